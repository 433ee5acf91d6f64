"""One table: what the driver raised → what the caller does next."""

import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Final

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

_LOCKED: Final = (
    "another connection holds the database's write lock, for longer than `busy_timeout`; nothing "
    "was written: try again, and keep other transactions on this file short"
)
_FULL: Final = "no room is left for the database; nothing was written: make room, then try again"
_READ_ONLY: Final = (
    "the database cannot be written: make the file and its folder writable for this process"
)
_CORRUPT: Final = (
    "the file is damaged, or is no SQLite database: restore it from a backup, or name another file"
)
_CANNOT_OPEN: Final = (
    "the database or a file beside it (-wal, -shm, -leases) cannot be opened: see that the folder "
    "exists and is writable for this process"
)
_MOVED: Final = "the database file was moved or deleted while it was open: reopen the storage"

_BY_EXTENDED: Final[Mapping[int, tuple[type[StorageError], str]]] = {
    sqlite3.SQLITE_READONLY_DBMOVED: (PermanentError, _MOVED),
}

_BY_PRIMARY: Final[Mapping[int, tuple[type[StorageError], str]]] = {
    sqlite3.SQLITE_BUSY: (TemporaryError, _LOCKED),
    sqlite3.SQLITE_LOCKED: (TemporaryError, _LOCKED),
    sqlite3.SQLITE_PROTOCOL: (TemporaryError, _LOCKED),
    sqlite3.SQLITE_NOMEM: (TemporaryError, "SQLite got no memory; nothing was written"),
    sqlite3.SQLITE_INTERRUPT: (TemporaryError, "interrupted; nothing was written"),
    sqlite3.SQLITE_SCHEMA: (TemporaryError, "the schema changed meanwhile; nothing was written"),
    sqlite3.SQLITE_FULL: (DiskFullError, _FULL),
    sqlite3.SQLITE_READONLY: (ReadOnlyError, _READ_ONLY),
    sqlite3.SQLITE_PERM: (ReadOnlyError, _READ_ONLY),
    sqlite3.SQLITE_AUTH: (ReadOnlyError, _READ_ONLY),
    sqlite3.SQLITE_CANTOPEN: (PermanentError, _CANNOT_OPEN),
    sqlite3.SQLITE_CORRUPT: (CorruptError, _CORRUPT),
    sqlite3.SQLITE_NOTADB: (CorruptError, _CORRUPT),
    sqlite3.SQLITE_FORMAT: (CorruptError, _CORRUPT),
    sqlite3.SQLITE_TOOBIG: (TooLargeError, "a value is larger than SQLite's limit"),
    sqlite3.SQLITE_MISMATCH: (InvalidArgumentError, "a value has the wrong type"),
    sqlite3.SQLITE_CONSTRAINT: (InvalidArgumentError, "a value breaks a rule of the schema"),
}

_UNBINDABLE: Final = (
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    TypeError,
    UnicodeError,
)
"""What the driver raises before it gives SQLite anything: the values do not fit."""

_NOTHING_THERE: Final = ("no such table", "no such column", "no such index", "has no column named")


def translate(
    error: Exception, place: str, *, write: bool = False, sent: bool = False
) -> StorageError:
    """Return what to raise instead of a driver's error; the caller chains it as the cause.

    Args:
        error: What was raised.
        place: The database, for the message.
        write: True if the call writes: what cannot be classified may have been written.
        sent: True if a commit was sent, so that the disk may hold it although it failed.

    Returns:
        A new error, or the same one if it is a storage's already.
    """
    if isinstance(error, StorageError):
        return error
    kind, advice = _classify(error, place, write=write, sent=sent)
    return kind(f"{place}: {advice} ({type(error).__name__}: {error})")


def _classify(
    error: Exception, place: str, *, write: bool, sent: bool
) -> tuple[type[StorageError], str]:
    code = getattr(error, "sqlite_errorcode", None)
    if not isinstance(error, sqlite3.Error) or not isinstance(code, int):
        if isinstance(error, _UNBINDABLE):
            return InvalidArgumentError, "a value cannot be stored; nothing was written"
        return _unknown(write=write or sent)
    if any(text in str(error) for text in _NOTHING_THERE):
        return SchemaMissingError, "the schema is not complete: run setup() with migrate=True"
    primary = code & 0xFF
    if primary == sqlite3.SQLITE_CANTOPEN and _unwritable(Path(place)):
        return ReadOnlyError, _READ_ONLY
    if sent and primary == sqlite3.SQLITE_IOERR:
        return _unknown(write=True)
    if (found := _BY_EXTENDED.get(code) or _BY_PRIMARY.get(primary)) is not None:
        return found
    if primary == sqlite3.SQLITE_IOERR:
        return TemporaryError, "the disk failed before anything was committed: check it"
    return _unknown(write=write or sent)


def _unwritable(path: Path) -> bool:
    """Whether this process may not write the file, or make files beside it."""
    there = os.access(path, os.F_OK)
    return not os.access(path.parent, os.W_OK) or (there and not os.access(path, os.W_OK))


def _unknown(*, write: bool) -> tuple[type[StorageError], str]:
    if write:
        return OutcomeUnknownError, "the write may have landed; send the same call again"
    return PermanentError, "SQLite refused the statement"
