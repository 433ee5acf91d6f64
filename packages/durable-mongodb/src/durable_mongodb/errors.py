"""One table: what the driver or the server said → what the caller does next."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from bson.errors import BSONError
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    DocumentTooLarge,
    InvalidOperation,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteConcernError,
)

from durable_core.storage import (
    ClosedError,
    CorruptError,
    DiskFullError,
    InvalidArgumentError,
    OutcomeUnknownError,
    PermanentError,
    ReadOnlyError,
    SchemaMissingError,
    StorageError,
    TemporaryError,
    TooLargeError,
)

TRANSIENT: Final = "TransientTransactionError"
"""The server undid the transaction, or lost it: all of it may be sent again."""

UNKNOWN_COMMIT: Final = "UnknownTransactionCommitResult"
"""The commit may have taken place: it may be sent again, alone."""

WRITE_CONFLICT: Final = 112
EXPIRED: Final = 50
DUPLICATE: Final = 11000

HOW_TO: Final = (
    "a replica set is needed, one member will do: start the server with `mongod --replSet rs0` and "
    'run `mongosh --eval "rs.initiate()"` once'
)
"""For who has a standalone server."""


class AgainError(TemporaryError):
    """Something was in the way for a moment: the same call is sent again by the storage itself."""


class TransactionUndoneError(TemporaryError, PyMongoError):
    """The caller's transaction is undone: somebody else was in its way.

    It has the driver's label ``TransientTransactionError``, so that `with_transaction` begins the
    transaction again. Whoever has begun it by himself does that by himself, too.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self._message = message
        self._error_labels = {TRANSIENT}


_TOO_LARGE: Final = (TooLargeError, "a document would be larger than 16 MB; nothing was written")

_BY_CODE: Final[Mapping[int, tuple[type[StorageError], str]]] = {
    11: (PermanentError, "there is no such user: check the URL and its authSource"),
    13: (
        PermanentError,
        "the user may not do this: grant it the role readWrite on the database",
    ),
    18: (PermanentError, "user or password are wrong: check the URL and its authSource"),
    20: (PermanentError, HOW_TO),
    24: (TemporaryError, "a lock was not to be had in time"),
    26: (SchemaMissingError, "a collection is missing: run setup() with migrate=True"),
    27: (SchemaMissingError, "an index is missing: run setup() with migrate=True"),
    46: (TemporaryError, "a lock was not to be had in time"),
    85: (
        PermanentError,
        "an index of the same name or keys is there with other options: drop it, then run setup()",
    ),
    86: (
        PermanentError,
        "an index of the same name is there with other keys: drop it, then run setup()",
    ),
    112: (TemporaryError, "write conflicts with other transactions, for too long"),
    211: (TemporaryError, "the server has lost its keys for a moment"),
    225: (TemporaryError, "the transaction was overtaken by another one of its session"),
    246: (TemporaryError, "the snapshot that was to be read is gone"),
    251: (TemporaryError, "the server has given the transaction up"),
    10334: _TOO_LARGE,
    17419: _TOO_LARGE,
    17420: _TOO_LARGE,
    14031: (DiskFullError, "the server's disk is full: make room, then try again"),
    10003: _TOO_LARGE,
}
"""The server's answers after which nothing of the command was carried out."""

_BY_WORDS: Final[Sequence[tuple[str, tuple[type[StorageError], str]]]] = (
    (
        "hint provided",
        (SchemaMissingError, "an index is missing: run setup() with migrate=True"),
    ),
    ("object to insert too large", _TOO_LARGE),
    (
        "transaction is too large",
        (
            TooLargeError,
            "the server's cache is too small for this item: raise storage.wiredTiger.cacheSizeGB",
        ),
    ),
)
"""Answers whose code says less than their text."""

_STOPPED: Final = frozenset(
    {6, 7, 89, 91, 189, 262, 9001, 10058, 10107, 11600, 11602, 13435, 13436}
)
"""The server is not the primary any more, or goes down: a command may have been cut in pieces."""

_REFUSED: Final = frozenset({2, 9, 14, 59, 72, 73, 115, 263})
"""The server did not understand the command, and has done nothing."""


def code_of(error: BaseException) -> int | None:
    """Return the server's code of an error, None if the server did not say one."""
    code = error.code if isinstance(error, OperationFailure) else None
    return code if isinstance(code, int) else None


def labelled(error: BaseException, label: str) -> bool:
    """Whether the driver or the server has labelled an error so."""
    return isinstance(error, PyMongoError) and error.has_error_label(label)


def too_large_for_cache(error: BaseException) -> bool:
    """Whether a transaction was undone because the server cannot keep all that it writes."""
    return isinstance(error, OperationFailure) and "transaction is too large" in str(error)


def between_roles(error: BaseException) -> bool:
    """Whether a connection was made while its server was neither primary nor secondary.

    That is what a server answers that goes on after it has hung or was away: it first finds out
    what it is now. The driver sends such a connection nothing that belongs to a transaction.
    """
    return isinstance(error, ConfigurationError) and "essions are not supported" in str(error)


def undone(error: BaseException) -> bool:
    """Whether the transaction was undone, and the storage itself sends it again."""
    if isinstance(error, AgainError) or between_roles(error):
        return True
    if isinstance(error, ServerSelectionTimeoutError):
        return False
    return labelled(error, TRANSIENT) or code_of(error) == WRITE_CONFLICT


def translate(
    error: Exception, place: str, *, write: bool, doubt: bool, written: bool
) -> StorageError:
    """Return what to raise instead of a driver's error; the caller chains it as the cause.

    Args:
        error: What was raised.
        place: The database, for the message.
        write: True if the call writes: what cannot be classified may have been written.
        doubt: True if a command was on its way that commits what it does, or a commit.
        written: True if something of the call was committed before.

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
    return kind(f"{place}: {advice} ({type(error).__name__}: {error!s:.500})")


_UNKNOWN: Final = (OutcomeUnknownError, "the write may have landed; send the same call again")
_UNREACHABLE: Final = (TemporaryError, "the server cannot be reached; nothing was written")
_BETWEEN_ROLES: Final = (
    TemporaryError,
    "the server is neither primary nor secondary for the moment; nothing was written",
)


def _classify(error: Exception, *, write: bool, doubt: bool) -> tuple[type[StorageError], str]:
    if labelled(error, UNKNOWN_COMMIT):
        return _UNKNOWN if write else _UNREACHABLE
    if isinstance(error, BulkWriteError):
        return _of_bulk(error, write=write, doubt=doubt)
    if isinstance(error, WriteConcernError):
        return _UNKNOWN if write else _UNREACHABLE
    if isinstance(error, OperationFailure):
        return _of_server(error.code, str(error), write=write, doubt=doubt)
    return _of_driver(error, write=write, doubt=doubt)


def _of_server(
    code: int | None, text: str, *, write: bool, doubt: bool
) -> tuple[type[StorageError], str]:
    if code == EXPIRED or code in _STOPPED:
        if write and doubt:
            return _UNKNOWN
        return TemporaryError, (
            "the server gave up after the time that it was given"
            if code == EXPIRED
            else "the server is not the primary, or is going down; nothing was written"
        )
    if code is not None and code in _BY_CODE:
        return _BY_CODE[code]
    for words, verdict in _BY_WORDS:
        if words in text:
            return verdict
    if code in _REFUSED or not write:
        return PermanentError, "the server refused the command"
    return _UNKNOWN


def _of_bulk(error: BulkWriteError, *, write: bool, doubt: bool) -> tuple[type[StorageError], str]:
    details: dict[str, Any] = cast("dict[str, Any]", error.details)
    landed = any(
        details.get(name, 0) for name in ("nInserted", "nMatched", "nUpserted", "nRemoved")
    )
    refused: list[dict[str, Any]] = details.get("writeErrors") or []
    if details.get("writeConcernErrors") or landed or not refused:
        return _UNKNOWN if write else _UNREACHABLE
    return _of_server(refused[0]["code"], str(refused[0]), write=write, doubt=doubt)


def _of_driver(error: Exception, *, write: bool, doubt: bool) -> tuple[type[StorageError], str]:
    if between_roles(error):
        return _UNKNOWN if write and doubt else _BETWEEN_ROLES
    for kinds, verdict in _NOT_SENT:
        if isinstance(error, kinds):
            return verdict
    if isinstance(error, ConnectionFailure | OSError | EOFError | TimeoutError):
        return _UNKNOWN if write and doubt else _UNREACHABLE
    if isinstance(error, BSONError | UnicodeError | OverflowError):
        if write:
            return InvalidArgumentError, "a value cannot be stored; nothing was written"
        return CorruptError, "a document cannot be read: restore it from a backup"
    if isinstance(error, InvalidOperation) and "after close" in str(error):
        return ClosedError, "the client that the storage was given is closed"
    if write:
        return _UNKNOWN
    return PermanentError, "the driver refused the command"


_NOT_SENT: Final[Sequence[tuple[type[Exception], tuple[type[StorageError], str]]]] = (
    (
        WaitQueueTimeoutError,
        (TemporaryError, "no connection of the pool became free: use a larger pool_size"),
    ),
    # Raised by a command's first try only; a repeated one raises what the first one did.
    (
        ServerSelectionTimeoutError,
        (TemporaryError, "no primary can be reached; nothing was written"),
    ),
    (DocumentTooLarge, _TOO_LARGE),
    (
        ConfigurationError,
        (PermanentError, "the client's options do not fit the server: check the URL"),
    ),
)
"""What the driver says before it has sent anything."""


def read_only(place: str) -> ReadOnlyError:
    """Return what is said of a secondary, to which the client is tied."""
    msg = (
        f"{place}: the client is connected to a secondary, which can only be read: give the URL of "
        "the replica set (replicaSet=…) instead of directConnection=true"
    )
    return ReadOnlyError(msg)
