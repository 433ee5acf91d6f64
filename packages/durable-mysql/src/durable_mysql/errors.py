"""One table: what the driver or the server said → what the caller does next."""

from collections.abc import Mapping
from typing import Final

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

_DEADLOCK: Final = 1213
_DUPLICATE: Final = frozenset({1062, 1586})
_SYNTAX: Final = 1064
_IDLE: Final = 4031
_FIRST_CLIENTS: Final = 2000
_AFTER_CLIENTS: Final = 3000
_FIRST_SERVERS: Final = 1000

_HANGS_UP: Final = frozenset({1053, 1077, 1078, 1079, 1080, 1152, 1159, 1161, 1184, 1927, _IDLE})
"""Server's last words on a connection: shut down, killed, idle for too long."""


class AgainError(TemporaryError):
    """Something was in the way for a moment: the same call is sent again by the storage itself."""


_FULL: Final = (DiskFullError, "the server's disk is full: make room, then try again")
_MISSING: Final = (SchemaMissingError, "the schema is not complete: run setup() with migrate=True")
_DENIED: Final = (PermanentError, "the server refuses this user: check the URL and its grants")
_READ_ONLY: Final = (
    ReadOnlyError,
    "the server is read-only (a replica, or read_only is on): connect to the primary",
)
_TOO_LARGE: Final = (
    TooLargeError,
    "larger than the server's max_allowed_packet: raise it, then run setup() again",
)
_MANY: Final = (
    TemporaryError,
    "too many connections: use a smaller pool_size, or raise the server's max_connections",
)
_TOO_SLOW: Final = (TemporaryError, "the statement took longer than the server allows")
_DAMAGED: Final = (CorruptError, "the stored data is damaged: check the table, restore a backup")
_VALUE: Final = (InvalidArgumentError, "the server refuses a value")

_BY_NUMBER: Final[Mapping[int, tuple[type[StorageError], str]]] = {
    1021: _FULL,
    1030: (TemporaryError, "the server's storage failed: see its log"),
    1034: _DAMAGED,
    1035: _DAMAGED,
    1036: _READ_ONLY,
    1037: (TemporaryError, "the server is out of memory"),
    1038: (TemporaryError, "the server is out of memory for sorting"),
    1040: _MANY,
    1041: (TemporaryError, "the server is out of memory"),
    1044: _DENIED,
    1045: _DENIED,
    1046: (PermanentError, "no database: name one in the URL"),
    1049: (PermanentError, "the database does not exist: create it, or name another one"),
    1054: _MISSING,
    1114: _FULL,
    1129: (PermanentError, "the server blocks this host: run FLUSH HOSTS"),
    1130: _DENIED,
    1142: _DENIED,
    1143: _DENIED,
    1146: _MISSING,
    1153: _TOO_LARGE,
    1176: _MISSING,
    1194: _DAMAGED,
    1195: _DAMAGED,
    1203: _MANY,
    1205: (TemporaryError, "a lock was not to be had within innodb_lock_wait_timeout"),
    1206: (TemporaryError, "the server has no room for more locks"),
    1213: (TemporaryError, "a deadlock with other transactions, several times"),
    1226: _MANY,
    1227: _DENIED,
    1264: _VALUE,
    1290: _READ_ONLY,
    1301: _TOO_LARGE,
    1317: (TemporaryError, "interrupted by an administrator"),
    1366: _VALUE,
    1406: _VALUE,
    1412: (TemporaryError, "the table was changed meanwhile"),
    1665: (
        PermanentError,
        "binlog_format is STATEMENT, with which READ COMMITTED is not possible: set ROW or MIXED",
    ),
    1698: _DENIED,
    1785: (PermanentError, "the server's replication settings forbid the statement"),
    1792: _READ_ONLY,
    1836: _READ_ONLY,
    1877: _DAMAGED,
    1969: _TOO_SLOW,
    3024: _TOO_SLOW,
    3032: _READ_ONLY,
    3572: (TemporaryError, "a lock was not to be had at once"),
    3675: _FULL,
    4031: (TemporaryError, "the server has hung up, because the connection was idle"),
}


def number_of(error: BaseException) -> int | None:
    """Return the server's number of an error, None if the server did not say it."""
    module = type(error).__module__
    if not module.startswith(("pymysql.", "asyncmy.")) or not error.args:
        return None
    number: object = error.args[0]
    if not isinstance(number, int):
        return None
    clients = _FIRST_CLIENTS <= number < _AFTER_CLIENTS
    return None if clients or number < _FIRST_SERVERS else number


def duplicate(error: BaseException) -> bool:
    """Whether a row is there already."""
    return number_of(error) in _DUPLICATE


def refused_packet(error: BaseException) -> bool:
    """Whether a packet of several statements was not understood."""
    return number_of(error) == _SYNTAX


def passing(error: BaseException) -> bool:
    """Whether the call was undone, and the storage itself sends it again."""
    return isinstance(error, AgainError) or number_of(error) in {_DEADLOCK, _IDLE}


def original(error: Exception) -> Exception:
    """Return the driver's own error, which SQLAlchemy's pool wraps once or twice."""
    while type(error).__module__.startswith("sqlalchemy."):
        inner = error.orig if isinstance(error, exc.DBAPIError) else error.__cause__
        if not isinstance(inner, Exception):
            break
        error = inner
    return error


def answered(error: BaseException) -> bool:
    """Whether the server answered a statement itself: the transaction did not go on."""
    number = number_of(error)
    return number is not None and number not in _HANGS_UP


def lost(error: BaseException) -> bool:
    """Whether the connection cannot be used any more, or never could."""
    if isinstance(error, OSError | EOFError | TimeoutError):
        return True
    module = type(error).__module__
    return module.startswith(("pymysql.", "asyncmy.")) and not answered(error)


def translate(
    error: Exception, place: str, *, write: bool, doubt: bool, written: bool
) -> StorageError:
    """Return what to raise instead of a driver's error; the caller chains it as the cause.

    Args:
        error: What was raised.
        place: The database, for the message.
        write: True if the call writes: what cannot be classified may have been written.
        doubt: True if something was on its way that commits.
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
    number = number_of(error)
    if number is not None and answered(error):
        found = _full(error) or _BY_NUMBER.get(number)
        return found or (PermanentError, f"the server refused the statement (error {number})")
    if isinstance(error, UnicodeError):
        return InvalidArgumentError, "a value cannot be stored; nothing was written"
    unknown = (OutcomeUnknownError, "the write may have landed; send the same call again")
    if write and doubt:
        return unknown
    if lost(error):
        advice = "the server cannot be reached; nothing was written"
        return _BY_NUMBER.get(number or 0, (TemporaryError, advice))
    if write:
        return unknown
    return PermanentError, "the driver refused the statement"


def _full(error: BaseException) -> tuple[type[StorageError], str] | None:
    """Tell a full disk from other troubles of the server's storage, which share a number."""
    said = str(error)
    if "No space left" in said or "errno: 28" in said or "Got error 28" in said:
        return _FULL
    return None
