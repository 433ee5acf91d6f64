"""SQLAlchemy's engines and transactions; imported only for a caller who has it."""

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
)
from sqlalchemy.orm import Session, scoped_session

from durable_core.storage import InvalidArgumentError

from .bound import Transaction, check_transaction
from .location import check_path
from .records import Row


def path_of_alchemy(engine: object) -> str | None:
    """Return the file that an engine works on, None if the object is no engine.

    Raises:
        InvalidArgumentError: It is another database's, or works in memory.
    """
    sync = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
    return _path_of_url(sync.url) if isinstance(sync, Engine) else None


def _path_of_url(url: URL) -> str:
    if url.get_backend_name() != "sqlite":
        msg = f"{url.render_as_string()} is no SQLite database"
        raise InvalidArgumentError(msg)
    if not url.database or url.database == ":memory:":
        msg = (
            "the engine works in memory, where no other connection sees its data: give an engine "
            "on a file, or use SQLiteStorage(':memory:')"
        )
        raise InvalidArgumentError(msg)
    return check_path(url.database, url.render_as_string())


def transaction_of_alchemy(tx: object) -> Transaction | None:
    """Return how to execute statements in the transaction, None if it is none.

    Raises:
        InvalidArgumentError: It is another database's.
    """
    if isinstance(tx, Connection):
        return _Sync(tx)
    if isinstance(tx, Session | scoped_session):
        return _OfSession(cast(Session, tx))
    if isinstance(tx, AsyncConnection):
        return _Async(tx)
    if isinstance(tx, AsyncSession | async_scoped_session):
        return _OfAsyncSession(cast(AsyncSession, tx))
    return None


class _Alchemy(Transaction):
    def driver_error(self, error: Exception) -> Exception:
        if isinstance(error, DBAPIError) and isinstance(error.orig, Exception):
            return error.orig
        return error


def _execute(connection: Connection, text: str, parameters: Sequence[Any]) -> list[Row]:
    # Through SQLAlchemy, so that it knows of the transaction that this may begin.
    result = connection.exec_driver_sql(text, tuple(parameters))
    return [tuple(row) for row in result] if result.returns_rows else []


def _check(connection: Connection) -> None:
    if connection.dialect.name != "sqlite":
        msg = f"the transaction is one of {connection.dialect.name}, not of SQLite"
        raise InvalidArgumentError(msg)
    check_transaction(connection.connection.driver_connection)


class _Sync(_Alchemy):
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def execute(self, text: str, parameters: Sequence[Any]) -> list[Row]:
        return _execute(self._connection, text, parameters)

    def check(self) -> None:
        _check(self._connection)


class _OfSession(_Alchemy):
    def __init__(self, session: Session) -> None:
        self._session = session

    async def execute(self, text: str, parameters: Sequence[Any]) -> list[Row]:
        return _execute(self._session.connection(), text, parameters)

    def check(self) -> None:
        _check(self._session.connection())


class _Async(_Alchemy):
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def execute(self, text: str, parameters: Sequence[Any]) -> list[Row]:
        return await self._connection.run_sync(_execute, text, parameters)

    def check(self) -> None:
        sync = self._connection.sync_connection
        if sync is not None:
            _check(sync)


class _OfAsyncSession(_Alchemy):
    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._inner: _Async | None = None

    async def execute(self, text: str, parameters: Sequence[Any]) -> list[Row]:
        self._inner = _Async(await self._session.connection())
        return await self._inner.execute(text, parameters)

    def check(self) -> None:
        if self._inner is not None:
            self._inner.check()
