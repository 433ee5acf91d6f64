"""Joining the caller's transaction: what kinds of connections are accepted."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from durable_core.storage import InvalidArgumentError

from .bound import Transaction, check_file, check_transaction
from .records import Row
from .settings import Settings

_FILES = "PRAGMA database_list"
_ACCEPTED = (
    "a sqlite3.Connection, an aiosqlite.Connection, or SQLAlchemy's Connection, Session, "
    "AsyncConnection or AsyncSession"
)


def path_of_engine(engine: object) -> str:
    """Return the file that an engine of SQLAlchemy works on.

    Raises:
        InvalidArgumentError: It is no engine, another database's, or works in memory.
    """
    if "sqlalchemy" in _origins(engine):
        # Only a caller who has SQLAlchemy can have an engine.
        from .alchemy import path_of_alchemy  # noqa: PLC0415

        path = path_of_alchemy(engine)
        if path is not None:
            return path
    msg = f"{type(engine).__qualname__} is no engine: give SQLAlchemy's Engine or AsyncEngine"
    raise InvalidArgumentError(msg)


def _origins(thing: object) -> set[str]:
    """Return the names of the packages whose classes a thing is made of."""
    return {kind.__module__.partition(".")[0] for kind in type(thing).__mro__}


def transaction_of(tx: object, settings: Settings) -> Transaction:
    """Return how to execute statements in the caller's transaction.

    Raises:
        InvalidArgumentError: It is none of the accepted kinds, or another database's.
    """
    if isinstance(tx, sqlite3.Connection):
        check_file(tx.execute(_FILES).fetchall(), settings)
        return _Plain(tx)
    modules = _origins(tx)
    found: Transaction | None = None
    if "sqlalchemy" in modules:
        from .alchemy import transaction_of_alchemy  # noqa: PLC0415 - optional, as above

        found = transaction_of_alchemy(tx)
    elif "aiosqlite" in modules:
        from .aio import transaction_of_aiosqlite  # noqa: PLC0415 - optional, as above

        found = transaction_of_aiosqlite(tx)
    if found is None:
        msg = f"cannot join the transaction of a {type(tx).__qualname__}: give {_ACCEPTED}"
        raise InvalidArgumentError(msg)
    return found


class _Plain(Transaction):
    """A connection of the standard library, in the caller's thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def execute(self, text: str, parameters: Sequence[Any]) -> list[Row]:
        cursor = self._connection.cursor()
        # The caller's own row factory is for the caller's own rows.
        cursor.row_factory = None
        try:
            return cursor.execute(text, parameters).fetchall()
        finally:
            cursor.close()

    def check(self) -> None:
        check_transaction(self._connection)
