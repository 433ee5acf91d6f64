"""One table: what the driver or the server said → what the caller does next."""

from collections.abc import Sequence
from typing import Final

from redis import exceptions as exc

from durable_core.storage import (
    CorruptError,
    DiskFullError,
    InvalidArgumentError,
    OutcomeUnknownError,
    PermanentError,
    ReadOnlyError,
    SchemaMissingError,
    StorageError,
    TemporaryError,
)

_BY_WORD: Final[Sequence[tuple[str, type[StorageError], str]]] = (
    ("NOSCHEMA", SchemaMissingError, "the namespace was not set up: run setup() with migrate=True"),
    (
        "OOM",
        DiskFullError,
        "the server has no memory left: purge, or raise its maxmemory, then try again",
    ),
    (
        "MISCONF",
        DiskFullError,
        "the server cannot write its files and refuses writes: look at its disk and its log",
    ),
    ("READONLY", ReadOnlyError, "this is a replica: connect to the primary"),
    ("NOREPLICAS", TemporaryError, "the server has fewer replicas than it needs for a write"),
    ("LOADING", TemporaryError, "the server is loading its data"),
    ("MASTERDOWN", TemporaryError, "the replica has lost its primary"),
    ("BUSY", TemporaryError, "the server is busy with somebody's script"),
    ("CLUSTERDOWN", TemporaryError, "the cluster is down, or does not cover the slot"),
    ("TRYAGAIN", TemporaryError, "the slot of the namespace is being moved"),
    ("ASK", TemporaryError, "the slot of the namespace is being moved"),
    ("MOVED", TemporaryError, "the slot of the namespace has moved, several times"),
    (
        "NOAUTH",
        PermanentError,
        "the server wants a password: name it in the URL, as redis://user:password@host",
    ),
    ("WRONGPASS", PermanentError, "wrong user or password: check the URL"),
    (
        "NOPERM",
        PermanentError,
        "the user may not do this: allow it the commands and the keys that the guide lists",
    ),
    ("CROSSSLOT", PermanentError, "keys of different slots in one transaction"),
    (
        "WRONGTYPE",
        CorruptError,
        "somebody else uses keys of this namespace: choose another namespace",
    ),
    ("EXECABORT", PermanentError, "the server refused a command of the transaction"),
    ("NOSCRIPT", TemporaryError, "the server forgets scripts as fast as they are loaded"),
    ("NOPROTO", PermanentError, "the server does not speak the protocol that the client asks for"),
)

_BY_TEXT: Final[Sequence[tuple[str, type[StorageError], str]]] = (
    (
        "max number of clients reached",
        TemporaryError,
        "too many connections: use a smaller pool_size, or raise the server's maxclients",
    ),
    ("unknown command", PermanentError, "the server is too old, or forbids the command"),
    (
        "client already authenticated",
        PermanentError,
        "the server wants a password: name it in the URL, as redis://user:password@host",
    ),
    (
        "no connection available",
        TemporaryError,
        "no connection of the pool became free: use a larger pool_size",
    ),
    (
        "without any password configured",
        PermanentError,
        "the server has no password: name none in the URL",
    ),
    (
        "invalid username-password pair",
        PermanentError,
        "wrong user or password: check the URL",
    ),
)

_LOST: Final = (exc.ConnectionError, exc.TimeoutError, OSError, EOFError, TimeoutError)
"""What says that the connection is lost, or never was."""

_BY_CLASS: Final[Sequence[tuple[tuple[type[Exception], ...], type[StorageError], str]]] = (
    (
        (exc.MaxConnectionsError,),
        TemporaryError,
        "no connection of the pool is free: use a larger pool",
    ),
    (
        (exc.AuthenticationError, exc.AuthorizationError),
        PermanentError,
        "the server refuses this user: check the URL",
    ),
    (
        (exc.WatchError,),
        TemporaryError,
        "the transaction is void, because its connection was lost: repeat it",
    ),
    (
        # The last two: what a cluster's client says when it finds no node.
        (*_LOST, exc.RedisClusterException, exc.ClusterError),
        TemporaryError,
        "the server cannot be reached; nothing was written",
    ),
    (
        (exc.DataError, UnicodeError, OverflowError),
        InvalidArgumentError,
        "a value cannot be sent; nothing was written",
    ),
)
"""What the driver says by itself, first match first."""


def word(error: BaseException) -> str:
    """Return the word with which the server begins an error; empty if it did not say one."""
    if isinstance(error, exc.BusyLoadingError):
        # The driver has cut it off.
        return "LOADING"
    for kind, said in _WORDS:
        if isinstance(error, kind):
            return said
    first = str(error).partition(" ")[0].rstrip(":")
    return first if first.isupper() else ""


_WORDS: Final[Sequence[tuple[type[Exception], str]]] = (
    (exc.NoScriptError, "NOSCRIPT"),
    (exc.ReadOnlyError, "READONLY"),
    (exc.OutOfMemoryError, "OOM"),
    (exc.NoPermissionError, "NOPERM"),
    (exc.ClusterCrossSlotError, "CROSSSLOT"),
    (exc.MasterDownError, "MASTERDOWN"),
    (exc.ClusterDownError, "CLUSTERDOWN"),
    (exc.TryAgainError, "TRYAGAIN"),
    (exc.MovedError, "MOVED"),
    (exc.AskError, "ASK"),
    (exc.ExecAbortError, "EXECABORT"),
)
"""What the driver has cut off, by the class that it chose for it."""


def lost(error: BaseException) -> bool:
    """Whether the connection cannot be used any more."""
    return isinstance(error, _LOST) and not isinstance(error, exc.BusyLoadingError)


def translate(
    error: Exception, place: str, *, write: bool, doubt: bool, written: bool
) -> StorageError:
    """Return what to raise instead of a driver's error; the caller chains it as the cause.

    Args:
        error: What was raised.
        place: The server and namespace, for the message.
        write: True if the call writes: what cannot be classified may have been written.
        doubt: True if a command that writes was sent and not answered.
        written: True if a part of the call was written before.

    Returns:
        A new error, or the same one if it is a storage's already.
    """
    if isinstance(error, StorageError):
        return error
    kind, advice = _classify(error, write=write, doubt=doubt)
    if written and kind is not OutcomeUnknownError:
        kind, advice = (
            OutcomeUnknownError,
            f"a part was written; send the same call again; {advice}",
        )
    return kind(f"{place}: {advice} ({type(error).__name__}: {error})")


def _classify(error: Exception, *, write: bool, doubt: bool) -> tuple[type[StorageError], str]:
    found = _named(error)
    if found is not None:
        return found
    if write and doubt:
        return OutcomeUnknownError, "the write may have landed; send the same call again"
    for kinds, kind, advice in _BY_CLASS:
        if isinstance(error, kinds):
            return kind, advice
    if write:
        return OutcomeUnknownError, "the write may have landed; send the same call again"
    return PermanentError, "the server or the driver refused the command"


def _named(error: Exception) -> tuple[type[StorageError], str] | None:
    """Classify what the server said by its words; it did nothing then."""
    said = word(error)
    for known, kind, advice in _BY_WORD:
        if said == known:
            return kind, advice
    lowered = str(error).lower()
    for known, kind, advice in _BY_TEXT:
        if known in lowered:
            return kind, advice
    return None
