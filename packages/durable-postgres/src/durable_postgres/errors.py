"""One table: what the driver or the server said → what the caller does next."""

from collections.abc import Mapping
from typing import Final

import asyncpg
from sqlalchemy import exc

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
    TooLargeError,
)

_RETRIED: Final = frozenset({"40001", "40P01"})
"""Serialization failures and deadlocks: the server undid the transaction, so it is sent again."""


class AgainError(TemporaryError):
    """Something was in the way for a moment: the same call is sent again by the storage itself."""


def passing(error: BaseException) -> bool:
    """Whether the call was undone, and the storage itself sends it again."""
    return isinstance(error, AgainError) or sqlstate(error) in _RETRIED


_BY_STATE: Final[Mapping[str, tuple[type[StorageError], str]]] = {
    "22021": (InvalidArgumentError, "a text cannot be stored in this database's encoding"),
    "22P05": (InvalidArgumentError, "a text cannot be stored in this database's encoding"),
    "25006": (
        ReadOnlyError,
        (
            "the server or the session is read-only (a standby, or "
            "default_transaction_read_only): connect to the primary"
        ),
    ),
    "28000": (PermanentError, "the server refuses this user: check the URL and pg_hba.conf"),
    "28P01": (PermanentError, "wrong password: check the URL"),
    "3D000": (PermanentError, "the database does not exist: create it, or name another one"),
    "3F000": (SchemaMissingError, "the schema is missing: run setup() with migrate=True"),
    "40001": (TemporaryError, "could not be serialized with other transactions, several times"),
    "40P01": (TemporaryError, "a deadlock with other transactions, several times"),
    "42501": (
        PermanentError,
        "the user may not do this: grant it USAGE and CREATE on the schema, and all on the tables",
    ),
    "42703": (SchemaMissingError, "the schema is not complete: run setup() with migrate=True"),
    "42P01": (SchemaMissingError, "the schema is not complete: run setup() with migrate=True"),
    "26000": (
        TemporaryError,
        (
            "a prepared statement is gone: behind a transaction pooler, make the storage with "
            "pooler=True"
        ),
    ),
    "42P05": (
        TemporaryError,
        (
            "a prepared statement exists already: behind a transaction pooler, make the storage "
            "with pooler=True"
        ),
    ),
    "53100": (DiskFullError, "the server's disk is full: make room, then try again"),
    "53300": (
        TemporaryError,
        "too many connections: use a smaller pool_size, or raise the server's max_connections",
    ),
    "54000": (TooLargeError, "a value is larger than the server's limit"),
    "55P03": (TemporaryError, "a lock was not to be had within lock_timeout"),
    "57014": (TemporaryError, "cancelled by statement_timeout, or by an administrator"),
    "57P03": (TemporaryError, "the server is starting up, or shutting down"),
    "XX001": (CorruptError, "the stored data is damaged: restore it from a backup"),
    "XX002": (CorruptError, "an index is damaged: REINDEX it"),
}

_BY_CLASS: Final[Mapping[str, tuple[type[StorageError], str]]] = {
    "53": (TemporaryError, "the server has not enough resources"),
    "58": (TemporaryError, "the server's system failed: see its log"),
    "22": (InvalidArgumentError, "the server refuses a value"),
    "23": (InvalidArgumentError, "a value breaks a rule of the schema"),
    "28": (PermanentError, "the server refuses this user: check the URL and pg_hba.conf"),
}

_LOST: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    OSError,
    EOFError,
    TimeoutError,
)
"""What says that the connection is lost, or never was."""


def sqlstate(error: BaseException) -> str | None:
    """Return the server's code of an error, None if the server did not say it."""
    code = getattr(error, "sqlstate", None)
    return code if isinstance(code, str) and isinstance(error, asyncpg.PostgresError) else None


def original(error: Exception) -> Exception:
    """Return the driver's own error, which SQLAlchemy's pool wraps once or twice."""
    while type(error).__module__.startswith("sqlalchemy."):
        inner = error.orig if isinstance(error, exc.DBAPIError) else error.__cause__
        if not isinstance(inner, Exception):
            break
        error = inner
    return error


def answered(error: BaseException) -> bool:
    """Whether the server answered the statement itself: it was undone, and nothing is in doubt."""
    code = sqlstate(error)
    return (
        isinstance(error, asyncpg.DataError)
        or (code is not None and not code.startswith("08") and code[:4] != "57P0")
    )  # fmt: skip


def lost(error: BaseException) -> bool:
    """Whether the connection cannot be used any more."""
    return isinstance(error, _LOST) and not isinstance(
        error, asyncpg.DataError | asyncpg.QueryCanceledError
    )


def translate(
    error: Exception, place: str, *, write: bool, doubt: bool, written: bool
) -> StorageError:
    """Return what to raise instead of a driver's error; the caller chains it as the cause.

    Args:
        error: What was raised.
        place: The database, for the message.
        write: True if the call writes: what cannot be classified may have been written.
        doubt: True if a statement was on its way that commits what it does, or a commit.
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
    return kind(f"{place}: {advice} ({type(error).__name__}: {error})")


def _classify(error: Exception, *, write: bool, doubt: bool) -> tuple[type[StorageError], str]:
    if isinstance(error, exc.TimeoutError):
        return TemporaryError, "no connection of the pool became free: use a larger pool"
    code = sqlstate(error)
    if code is not None and answered(error):
        found = _BY_STATE.get(code) or _BY_CLASS.get(code[:2])
        return found or (PermanentError, f"the server refused the statement (SQLSTATE {code})")
    if isinstance(error, asyncpg.DataError | UnicodeError | OverflowError):
        return InvalidArgumentError, "a value cannot be stored; nothing was written"
    return _unanswered(error, code, write=write, doubt=doubt)


def _unanswered(
    error: Exception, code: str | None, *, write: bool, doubt: bool
) -> tuple[type[StorageError], str]:
    """Classify what the server did not say of the statement itself."""
    unknown = (OutcomeUnknownError, "the write may have landed; send the same call again")
    if write and doubt:
        return unknown
    if code is not None and code in _BY_STATE:
        return _BY_STATE[code]
    if lost(error):
        return TemporaryError, "the server cannot be reached; nothing was written"
    if write:
        return unknown
    return PermanentError, "the driver refused the statement"
