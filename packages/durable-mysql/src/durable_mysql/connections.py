"""Driver connections: taken from SQLAlchemy's pools and transactions."""

import asyncio
from typing import Any, Final
from weakref import WeakSet

from sqlalchemy import Engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.util import greenlet_spawn

from durable_core.storage import InvalidArgumentError

from .drivers import DRIVERS, Driver, driver_of, query

_LEVEL: Final = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
_HABITS: Final = "SET SESSION innodb_lock_wait_timeout = {lock_timeout}, autocommit = 1"
_DIALECTS: Final = {
    f"{product}{driver}": driver.removeprefix("+") or DRIVERS[0]
    for product in ("mysql", "mariadb")
    for driver in ("", *(f"+{one}" for one in DRIVERS))
}
_HOW: Final = "mysql://user:password@host:3306/database"
_RECYCLED: Final = 3_600
"""Seconds after which a connection is made anew: servers and networks hang up on idle ones."""

_OWN: Final[WeakSet[Engine]] = WeakSet()


def open_engine(
    url: str | URL,
    *,
    pool_size: int,
    connect_timeout: float,
    command_timeout: float,
    lock_timeout: float,
) -> AsyncEngine:
    """Make an engine of our own: its connections commit by themselves, at READ COMMITTED.

    Raises:
        InvalidArgumentError: The URL is not MySQL's or MariaDB's, or cannot be read.
    """
    parsed = _parsed(url)
    try:
        engine = create_async_engine(
            parsed,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_timeout=command_timeout,
            pool_recycle=_RECYCLED,
            # No transaction is open when one is given back: no round trip to be sure of it.
            pool_reset_on_return=None,
            connect_args={"connect_timeout": connect_timeout, "charset": "utf8mb4"},
        )
    except ModuleNotFoundError as error:
        msg = f"{error.name} is not installed: `pip install durable-mysql[{error.name}]`"
        raise InvalidArgumentError(msg) from error
    habits = _HABITS.format(lock_timeout=max(1, round(lock_timeout)))

    async def prepare(connection: Any) -> None:
        # One after the other: whether several in one packet are allowed is not known yet.
        for text in (_LEVEL, habits):
            await query(driver_of(connection), text)

    def connected(adapted: Any, _record: object) -> None:
        adapted.run_async(prepare)

    event.listen(engine.sync_engine, "connect", connected)
    _OWN.add(engine.sync_engine)
    return engine


def made_here(engine: AsyncEngine) -> bool:
    """Whether an engine was made by `open_engine`."""
    return engine.sync_engine in _OWN


def _parsed(url: str | URL) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        msg = f"the URL cannot be read: write it as {_HOW}"
        raise InvalidArgumentError(msg) from error
    driver = _DIALECTS.get(parsed.drivername)
    if driver is None:
        msg = (
            f"{parsed.render_as_string(hide_password=True)}: a MySQLStorage takes {_HOW}, "
            "mariadb://…, and +aiomysql or +asyncmy for the driver"
        )
        raise InvalidArgumentError(msg)
    # SQLAlchemy refuses to meet MySQL by a URL that says MariaDB; here the server decides.
    return parsed.set(drivername=f"mysql+{driver}")


def check_engine(engine: object) -> AsyncEngine:
    """Return the engine if it is one for a driver that is known here.

    Raises:
        InvalidArgumentError: It is not.
    """
    if not isinstance(engine, AsyncEngine) or engine.dialect.driver not in DRIVERS:
        msg = (
            f"{engine!r}: a MySQLStorage takes an AsyncEngine of aiomysql or asyncmy, made by "
            "create_async_engine('mysql+aiomysql://…')"
        )
        raise InvalidArgumentError(msg)
    return engine


async def connected(engine: AsyncEngine) -> PoolProxiedConnection:
    """Return a connection of an engine's pool, or be cancelled.

    Drivers connect with `asyncio.wait_for`, which before Python 3.12 loses a cancellation that
    comes just when the connection is there: whoever is cancelled would go on.
    """
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    pooled = await engine.raw_connection()
    if task is not None and task.cancelling() > before:
        await greenlet_spawn(pooled.close)
        raise asyncio.CancelledError
    return pooled


def pooled_driver(pooled: PoolProxiedConnection) -> Driver:
    """Return the driver's connection of a pool's."""
    return driver_of(pooled.driver_connection)


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
    if dialect not in DRIVERS:
        msg = (
            f"{type(tx).__qualname__}: bind() takes an AsyncConnection or an AsyncSession of "
            "SQLAlchemy on aiomysql or asyncmy"
        )
        raise InvalidArgumentError(msg)


async def driver_in(tx: Any) -> Driver:
    """Return the driver's connection of the caller's transaction.

    Raises:
        InvalidArgumentError: There is no transaction, and none begins with the next statement.
    """
    if isinstance(tx, AsyncSession):
        tx = await tx.connection()
    check_transaction(tx)
    connection: AsyncConnection = tx
    if not connection.in_transaction():
        # SQLAlchemy begins with the first statement.
        await connection.exec_driver_sql("SELECT 1")
    driver = driver_of((await connection.get_raw_connection()).driver_connection)
    if driver.get_autocommit() and not driver.get_transaction_status():
        msg = (
            "the connection given to bind() is in no transaction: begin one, and do not use the "
            "isolation level AUTOCOMMIT"
        )
        raise InvalidArgumentError(msg)
    return driver
