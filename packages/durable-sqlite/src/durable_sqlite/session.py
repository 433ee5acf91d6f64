"""Connections: opened with the right settings, their statements expanded and counted."""

import os
import sqlite3
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar
from urllib.parse import quote

from durable_core.storage import PermanentError, SchemaMissingError

from .records import Row
from .settings import Settings

T = TypeVar("T")
Plan: TypeAlias = Generator[tuple[str, Sequence[Any]], list[Row], T]
"""Work that does not know how its statements are executed: it yields them and is sent the rows."""

_OLDEST: Final = (3, 37, 0)
_CACHED_STATEMENTS: Final = 512
_FIRST_PAUSE: Final = 0.000_5
_LONGEST_PAUSE: Final = 0.01
_PAUSE_GROWS: Final = 1.5


class Expanded(dict[str, str]):
    """Statements by their text with `~` for the prefix."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self._prefix = prefix

    def __missing__(self, text: str) -> str:
        """Expand a statement on its first use."""
        self[text] = expanded = text.replace("~", self._prefix)
        return expanded


class Tally:
    """What one thread has sent so far, over all its connections.

    Attributes:
        statements: Statements, transaction control included.
        table_statements: Those that read or write tables.
        commits: Transactions that wrote.
    """

    def __init__(self) -> None:
        self.statements = 0
        self.table_statements = 0
        self.commits = 0


class Session:
    """One connection, used by one thread.

    Args:
        connection: The driver's connection, in autocommit mode.
        prefix: Of all tables.
        tally: Where statements are counted.
        open_leases: Opens the file of the leases; None if they are in the same database.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        prefix: str,
        tally: Tally,
        open_leases: "Callable[[], Session] | None" = None,
    ) -> None:
        self.connection = connection
        self.texts = Expanded(prefix)
        self.tally = tally
        self._open_leases = open_leases
        self._leases: Session | None = None
        self._known: dict[object, tuple[tuple[int, int], Any]] = {}

    @property
    def leases(self) -> "Session":
        """The leases, opened on first use."""
        if self._open_leases is None:
            return self
        if self._leases is None:
            self._leases = self._open_leases()
        return self._leases

    def control(self, text: str) -> Row | None:
        """Execute a statement that touches no table; return its first row."""
        self.tally.statements += 1
        row: Row | None = self.connection.execute(text).fetchone()
        return row

    def run(self, text: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Execute a statement."""
        self.tally.statements += 1
        self.tally.table_statements += 1
        return self.connection.execute(self.texts[text], parameters)

    def row(self, text: str, parameters: Sequence[Any] = ()) -> Row | None:
        """Return a statement's only row, if there is one."""
        row: Row | None = self.run(text, parameters).fetchone()
        return row

    def rows(self, text: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Return all rows of a statement."""
        return self.run(text, parameters).fetchall()

    def many(self, text: str, rows: Sequence[Row]) -> None:
        """Execute a statement for each row of parameters."""
        self.tally.statements += len(rows)
        self.tally.table_statements += len(rows)
        self.connection.executemany(self.texts[text], rows)

    def version(self) -> tuple[int, int]:
        """Return what changes with every change of the database, by this connection or others."""
        row = self.control("PRAGMA data_version")
        return (0 if row is None else row[0], self.connection.total_changes)

    def cached(self, key: object, read: Callable[[], T]) -> T:
        """Return what was read last under a key, read anew if the database has changed since."""
        version = self.version()
        known = self._known.get(key)
        if known is None or known[0] != version:
            self._known[key] = known = (version, read())
        value: T = known[1]
        return value

    def distrust(self) -> None:
        """Forget what was read: changes were undone."""
        self._known.clear()

    def carry_out(self, plan: Plan[T]) -> T:
        """Execute the statements of a plan and return its result."""
        try:
            text, parameters = next(plan)
            while True:
                text, parameters = plan.send(self.rows(text, parameters))
        except StopIteration as end:
            result: T = end.value
            return result

    def close(self) -> None:
        """Close the connection, and that of the leases. Idempotent."""
        self.connection.close()
        if self._leases is not None:
            self._leases.close()


def connect(path: str | None, *, create: bool = False, timeout: float = 0) -> sqlite3.Connection:
    """Open a database in autocommit mode.

    Args:
        path: The file; None opens one in memory.
        create: Make the file if there is none.
        timeout: Seconds for SQLite's own waiting for locks.

    Raises:
        PermanentError: SQLite is too old, or the folder does not exist.
        SchemaMissingError: There is no file, and `create` is False.
        sqlite3.Error: It cannot be opened.
    """
    if sqlite3.sqlite_version_info < _OLDEST:
        needed = ".".join(map(str, _OLDEST))
        msg = f"SQLite {sqlite3.sqlite_version} is too old: durable-sqlite needs {needed} or newer"
        raise PermanentError(msg)
    if path is not None:
        _check_place(Path(path), create=create)
    mode = "rwc" if create else "rw"
    return sqlite3.connect(
        ":memory:" if path is None else f"file:{quote(path)}?mode={mode}",
        uri=path is not None,
        timeout=timeout,
        isolation_level=None,
        # Each connection is one thread's at a time; a heartbeat may change its thread.
        check_same_thread=False,
        cached_statements=_CACHED_STATEMENTS,
    )


def _check_place(path: Path, *, create: bool) -> None:
    # Not by `Path.exists`, which fails for a folder that this process may not look into.
    if os.access(path, os.F_OK):
        return
    if not os.access(path.parent, os.X_OK):
        msg = (
            f"{path}: the folder {path.parent} does not exist, or this process may not look into "
            "it: create it, allow it, or name another file"
        )
        raise PermanentError(msg)
    if not create:
        msg = f"{path} does not exist: run setup() with migrate=True to create it"
        raise SchemaMissingError(msg)


def open_writer(settings: Settings, *, create: bool = False) -> sqlite3.Connection:
    """Open the connection that writes."""
    connection = connect(settings.path, create=create)
    try:
        connection.execute(f"PRAGMA synchronous = {settings.synchronous}")
        for pragma in _WRITER:
            connection.execute(pragma)
    except BaseException:
        connection.close()
        raise
    return connection


_WRITER: Final = (
    "PRAGMA wal_autocheckpoint = 10000",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -16384",
)


def open_reader(settings: Settings) -> sqlite3.Connection:
    """Open a connection that never writes."""
    connection = connect(settings.path, timeout=settings.busy_timeout)
    try:
        for pragma in _READER:
            connection.execute(pragma)
    except BaseException:
        connection.close()
        raise
    return connection


_READER: Final = (
    "PRAGMA query_only = 1",
    "PRAGMA temp_store = MEMORY",
)


def begin(session: Session, timeout: float) -> None:
    """Begin a write transaction, waiting for those of other connections.

    Args:
        session: Where.
        timeout: Seconds to wait at most.

    Raises:
        sqlite3.OperationalError: The lock was not to be had in time.
    """
    retried(lambda: session.control("BEGIN IMMEDIATE"), timeout)


def retried(action: Callable[[], T], timeout: float) -> T:
    """Repeat an action as long as the database is locked.

    SQLite's own waiting grows to 100 ms a step and starves writers; short jittered steps are
    fair.

    Args:
        action: What to do.
        timeout: Seconds to wait at most.

    Raises:
        sqlite3.OperationalError: The lock was not to be had in time, or something else failed.
    """
    deadline: float | None = None
    pause = _FIRST_PAUSE
    while True:
        try:
            return action()
        except sqlite3.OperationalError as error:
            now = time.monotonic()
            deadline = now + timeout if deadline is None else deadline
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or now >= deadline:
                raise
        time.sleep(pause * _jitter())
        pause = min(pause * _PAUSE_GROWS, _LONGEST_PAUSE)


def _jitter() -> float:
    """Return a number from 0 to 1 that two processes are unlikely to share."""
    return time.perf_counter_ns() % 1_009 / 1_008
