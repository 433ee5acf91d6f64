"""Counting what the standard library's SQLite driver is told, whoever tells it."""

import sqlite3
import threading
from collections.abc import Callable
from typing import Any

from .sample import Counts

_READS = ("SELECT", "WITH", "VALUES")
_WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE")


class _Connection:
    """One connection's transaction, followed from the outside."""

    def __init__(self, tally: "SqliteTally") -> None:
        self._tally = tally
        self._open = False
        self._wrote = False

    def __call__(self, statement: str) -> None:
        """Count one statement; SQLite announces it before it runs."""
        word = statement.lstrip().partition(" ")[0].upper().rstrip(";")
        if word.startswith("--"):
            return  # part of the statement that was counted before
        touches = word in _READS or word in _WRITES
        commit = False
        if word == "BEGIN":
            self._open, self._wrote = True, False
        elif word in {"COMMIT", "END"}:
            commit = self._wrote
            self._open = self._wrote = False
        elif word == "ROLLBACK" and " TO " not in statement.upper():
            self._open = self._wrote = False
        elif word in _WRITES:
            self._wrote = self._open
            commit = not self._open
        self._tally.add(touches=touches, commit=commit)


class SqliteTally:
    """Counts the statements of all connections that are opened while it is installed.

    It slows every statement down, so that a run with it is never a run against the clock.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._statements = self._touching = self._commits = 0
        self._connect: Callable[..., sqlite3.Connection] = sqlite3.connect

    def install(self) -> None:
        """Count what connections do that are opened from now on."""

        def connect(*arguments: Any, **named: Any) -> sqlite3.Connection:
            connection = self._connect(*arguments, **named)
            connection.set_trace_callback(_Connection(self))
            return connection

        setattr(sqlite3, "connect", connect)  # noqa: B010  # the type checkers know one connect only

    def remove(self) -> None:
        """Leave connections alone that are opened from now on."""
        setattr(sqlite3, "connect", self._connect)  # noqa: B010  # as above

    def add(self, *, touches: bool, commit: bool) -> None:
        """Count one statement."""
        with self._lock:
            self._statements += 1
            self._touching += touches
            self._commits += commit

    def read(self) -> Counts:
        """Return what was counted so far."""
        with self._lock:
            return Counts(
                statements=self._statements,
                table_statements=self._touching,
                commits=self._commits,
            )
