"""Driver connections: taken from SQLAlchemy's pools and transactions."""

from typing import Any, Final, cast

import asyncpg
from sqlalchemy import Engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.util import greenlet_spawn

from durable_core.storage import InvalidArgumentError

from .session import Driver

_PLANS: Final = (
    "SET plan_cache_mode = force_generic_plan; "
    "SET jit = off; SET enable_seqscan = off; SET enable_bitmapscan = off; "
    "SET max_parallel_workers_per_gather = 0"
)
"""Prepared plans outlive the size of the table that they were made for: no scan is worth it.

Planning a claim takes longer than claiming, and the values change nothing about the plan. Nor is
any statement worth processes of its own, which the server starts for it at each execution.
"""

_DIALECTS: Final = frozenset({"postgresql", "postgres", "postgresql+asyncpg"})


def open_engine(
    url: str | URL,
    *,
    pool_size: int,
    pooler: bool,
    connect_timeout: float,
    command_timeout: float,
) -> AsyncEngine:
    """Make an engine of our own.

    Raises:
        InvalidArgumentError: The URL is not PostgreSQL's, or cannot be read.
    """
    connect_args: dict[str, Any] = {"timeout": connect_timeout, "command_timeout": command_timeout}
    if pooler:
        connect_args |= {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
    engine = create_async_engine(
        _asyncpg(url),
        pool_size=pool_size,
        # One that is closed again after each burst would have to prepare its statements anew.
        max_overflow=0,
        pool_use_lifo=True,
        pool_timeout=command_timeout,
        connect_args=connect_args,
    )
    if not pooler:
        event.listen(engine.sync_engine, "connect", _set_plans)
    return engine


def _asyncpg(url: str | URL) -> URL:
    """Return the URL for asyncpg; what libpq calls ``sslmode`` is called ``ssl`` there."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        msg = "the URL cannot be read: write it as postgresql://user:password@host:5432/database"
        raise InvalidArgumentError(msg) from error
    if parsed.drivername not in _DIALECTS:
        msg = (
            f"{parsed.render_as_string(hide_password=True)}: a PostgresStorage takes "
            "postgresql://user:password@host:5432/database, and asyncpg as the driver"
        )
        raise InvalidArgumentError(msg)
    mode = parsed.query.get("sslmode")
    if mode is not None:
        parsed = parsed.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})
    return parsed.set(drivername="postgresql+asyncpg")


def check_engine(engine: object) -> AsyncEngine:
    """Return the engine if it is one for asyncpg.

    Raises:
        InvalidArgumentError: It is not.
    """
    if not isinstance(engine, AsyncEngine) or engine.dialect.driver != "asyncpg":
        msg = (
            f"{engine!r}: a PostgresStorage takes an AsyncEngine of asyncpg, made by "
            "create_async_engine('postgresql+asyncpg://…')"
        )
        raise InvalidArgumentError(msg)
    return engine


def _set_plans(adapted: Any, _record: object) -> None:
    async def set_plans(driver: Driver) -> None:
        await driver.execute(_PLANS)

    adapted.run_async(set_plans)


def driver_of(pooled: PoolProxiedConnection) -> Driver:
    """Return the driver's connection of a pool's."""
    return _driver(pooled.driver_connection)


async def give_back(pooled: PoolProxiedConnection) -> None:
    """Return a connection to its pool.

    A pool that has enough of them closes it, for which the driver sends and waits: outside of a
    greenlet SQLAlchemy can do neither, and the connection would stay open.
    """
    await greenlet_spawn(pooled.close)


def _driver(connection: Any) -> Driver:
    if isinstance(connection, asyncpg.Connection):
        return cast("Driver", connection)
    msg = f"the engine's driver is not asyncpg: it made a {type(connection).__qualname__}"
    raise InvalidArgumentError(msg)


def lonely_engine(engine: AsyncEngine) -> AsyncEngine:
    """Return an engine that connects as the given one does, with a pool for another event loop."""
    sync = engine.sync_engine
    return AsyncEngine(Engine(sync.pool.recreate(), sync.dialect, sync.url))


def check_transaction(tx: object) -> None:
    """Refuse what cannot carry a transaction of this database.

    Raises:
        InvalidArgumentError: What is accepted.
    """
    dialect: str | None = None
    if isinstance(tx, AsyncConnection):
        dialect = tx.dialect.driver
    elif isinstance(tx, AsyncSession):
        dialect = tx.get_bind().dialect.driver
    elif isinstance(tx, asyncpg.Connection):
        return
    if dialect != "asyncpg":
        msg = (
            f"{type(tx).__qualname__}: bind() takes an AsyncConnection or an AsyncSession of "
            "SQLAlchemy on asyncpg, or an asyncpg.Connection"
        )
        raise InvalidArgumentError(msg)


async def driver_in(tx: object) -> Driver:
    """Return the driver's connection of the caller's transaction, which has begun by then.

    Raises:
        InvalidArgumentError: There is no transaction.
    """
    if isinstance(tx, AsyncSession):
        tx = await tx.connection()
    if isinstance(tx, AsyncConnection):
        driver = _driver((await tx.get_raw_connection()).driver_connection)
        if not driver.is_in_transaction():
            # SQLAlchemy begins with the first statement.
            await tx.exec_driver_sql("SELECT 1")
    else:
        driver = _driver(tx)
    if not driver.is_in_transaction():
        msg = (
            "the connection given to bind() is in no transaction: begin one (and do not use the "
            "isolation level AUTOCOMMIT)"
        )
        raise InvalidArgumentError(msg)
    return driver
