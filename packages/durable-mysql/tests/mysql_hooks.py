"""What the certification of MySQL and MariaDB needs beside `open`: a server's worst days."""

# ruff: noqa: S608 - the names of tables are made here

import asyncio
import importlib
import json
import os
import secrets
from asyncio import Future
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version
from typing import Any, cast
from weakref import WeakKeyDictionary

import pytest
from mysql_proxy import Proxy
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from durable_conformance import CallersTransaction, Cut
from durable_core.storage import Hint, Storage
from durable_mysql import MySQLStorage
from durable_mysql.drivers import Driver, Row, driver_of, query

SERVERS = ("mysql", "mariadb")

_aiomysql: Any = importlib.import_module("aiomysql")
_proxies: WeakKeyDictionary[Storage, Proxy] = WeakKeyDictionary()


def server_url(server: str) -> URL:
    """Return the URL of one of the tests' servers."""
    return make_url(os.environ[f"DURABLE_TEST_{server.upper()}_URL"])


def engine_url(server: str) -> URL:
    """Return the same for an engine of the caller's."""
    return server_url(server).set(drivername="mysql+aiomysql")


class Line:
    """A connection of the driver, past all that is tested."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver

    async def rows(self, text: str) -> Sequence[Row]:
        """Return the last statement's rows."""
        return (await query(self.driver, text))[-1].rows

    async def value(self, text: str) -> Any:
        """Return the last statement's only value."""
        return (await self.rows(text))[0][0]


@asynccontextmanager
async def line_to(url: URL) -> AsyncGenerator[Line]:
    """Open a connection of the driver; each statement is a transaction until one begins."""
    connection: Any = await _aiomysql.connect(
        host=url.host,
        port=url.port,
        user=url.username,
        password=url.password,
        db=url.database,
        autocommit=True,
    )
    try:
        yield Line(driver_of(connection))
    finally:
        connection.close()


def line(server: str) -> Any:
    """Open a connection to one of the tests' servers, see `line_to`."""
    return line_to(server_url(server))


async def restart_server(server: str) -> None:
    """Kill the server and start it again; returns when it answers."""
    command: list[str] = json.loads(os.environ[f"DURABLE_TEST_{server.upper()}_RESTART"])
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0, "the server did not come back"


@asynccontextmanager
async def through_proxy(server: str, prefix: str, **options: Any) -> AsyncGenerator[MySQLStorage]:
    """Open a storage whose connections can be cut."""
    url = server_url(server)
    async with Proxy.open(url.host or "127.0.0.1", url.port or 3306) as proxy:
        near = url.set(host="127.0.0.1", port=proxy.port)
        storage = MySQLStorage.from_url(near, prefix=prefix, **options)
        _proxies[storage] = proxy
        try:
            yield storage
        finally:
            await storage.close()


def proxy_of(storage: Storage) -> Proxy:
    """Return the proxy before a storage that was opened by `through_proxy`."""
    return _proxies[storage]


@contextmanager
def _strange_driver() -> Generator[list[str]]:
    """Let the driver's next statement fail with an error that is in nobody's table."""
    seen: list[str] = []

    async def execute(_cursor: object, text: str, _values: object = None) -> None:
        seen.append(text)
        raise RuntimeError("the driver did something strange")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_aiomysql.Cursor, "execute", execute)
        yield seen


def port_of(driver: Driver) -> int:
    """Return the port from which a connection was made."""
    connection: Any = driver
    port: int = connection._writer.transport.get_extra_info("sockname")[1]
    return port


class Transaction:
    """A transaction of a caller who uses SQLAlchemy."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.tx = connection

    async def write(self) -> None:
        """Insert a row of the caller's own."""
        await self.tx.exec_driver_sql("INSERT INTO callers VALUES (NULL)")

    async def commit(self) -> None:
        """Commit."""
        await self.tx.commit()

    async def rollback(self) -> None:
        """Roll back."""
        await self.tx.rollback()


class MySQLHooks:
    """The hooks of the suite; what `open` gives goes through a proxy."""

    server = "mysql"

    async def drop(self, namespace: str) -> None:
        """Drop the tables."""
        await drop_tables(self.server, f"{namespace}_")

    async def versions(self, storage: Storage) -> Mapping[str, str]:
        """Return the server's version and the driver's."""
        async with line(self.server) as one:
            found = await one.value("SELECT @@version")
        return {self.server: str(found), "aiomysql": version("aiomysql")}

    @asynccontextmanager
    async def transaction(self, storage: Storage) -> AsyncGenerator[CallersTransaction]:
        """Begin a transaction of a caller's own engine, at the server's own isolation level."""
        async with line(self.server) as one:
            await one.rows(
                "CREATE TABLE IF NOT EXISTS callers (id BIGINT PRIMARY KEY AUTO_INCREMENT)"
            )
        engine = create_async_engine(engine_url(self.server), poolclass=NullPool)
        async with engine.connect() as connection:
            yield Transaction(connection)
        await engine.dispose()

    async def restart(self) -> None:
        """Kill the server and start it again."""
        await restart_server(self.server)

    @asynccontextmanager
    async def cut(self, storage: Storage, where: Cut) -> AsyncGenerator[None]:
        """Let the storage's proxy break the next call, or the listener's connection."""
        if where is Cut.STRANGELY:
            with _strange_driver() as seen:
                yield
            assert seen, "nothing was cut"
            return
        proxy = proxy_of(storage)
        before = proxy.cuts
        if where is Cut.LISTENER:
            assert isinstance(storage, MySQLStorage)
            poller = storage._hints.poller
            assert poller is not None, "nobody listens"
            assert poller.driver is not None, "nobody looks"
            proxy.break_client(port_of(poller.driver))
        else:
            proxy.cut = where
        try:
            yield
        finally:
            proxy.cut = None
        assert proxy.cuts > before, "nothing was cut"

    @asynccontextmanager
    async def lock(self, namespace: str, execution_id: str) -> AsyncGenerator[None]:
        """Lock a row as somebody else's transaction does."""
        async with line(self.server) as one:
            locked = await one.rows(
                f"START TRANSACTION; SELECT 1 FROM {namespace}_executions "
                f"WHERE id = '{execution_id}' FOR UPDATE"
            )
            assert len(locked) == 1
            yield
            await one.rows("ROLLBACK")

    async def newer_schema(self, namespace: str) -> None:
        """Record a migration that this release does not know."""
        async with line(self.server) as one:
            await one.rows(f"INSERT INTO {namespace}_schema VALUES (1000, 'future', 1)")


async def drop_tables(server: str, prefix: str) -> None:
    """Drop all tables that begin with a prefix."""
    async with line(server) as one:
        found = await one.rows(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() "
            f"AND LEFT(table_name, {len(prefix)}) = '{prefix}'"
        )
        for (name,) in found:
            await one.rows(f"DROP TABLE IF EXISTS `{name}`")


def fresh_prefix(name: str) -> str:
    """Return a prefix that nobody uses."""
    return f"{name}_{secrets.token_hex(6)}_"


@asynccontextmanager
async def storage_in(
    server: str, url: URL | None = None, **options: Any
) -> AsyncGenerator[MySQLStorage]:
    """Open a storage that is set up with a prefix of its own, dropped afterwards."""
    prefix = fresh_prefix("test")
    storage = MySQLStorage.from_url(url or server_url(server), prefix=prefix, **options)
    try:
        await storage.setup()
        yield storage
    finally:
        await storage.close()
        await drop_tables(server, prefix)


@asynccontextmanager
async def hints_of(storage: MySQLStorage, *queues: str) -> AsyncGenerator[AsyncIterator[Hint]]:
    """Listen until the end of the context."""
    hints = storage.listen(queues=queues)
    try:
        yield hints
    finally:
        await cast("AsyncGenerator[Hint]", hints).aclose()


@asynccontextmanager
async def user(server: str, grants: str = "ALL ON *.*", limits: str = "") -> AsyncGenerator[URL]:
    """Make a user with some rights; yield the URL with it."""
    name = f"u{secrets.token_hex(6)}"
    async with line(server) as one:
        await one.rows(f"CREATE USER '{name}'@'%' IDENTIFIED BY 'p' {limits}")
        if grants:
            await one.rows(f"GRANT {grants} TO '{name}'@'%'")
        try:
            yield server_url(server).set(username=name, password="p")
        finally:
            await one.rows(f"DROP USER '{name}'@'%'")


ORDINARY = "SELECT, INSERT, UPDATE, DELETE, CREATE ON durable.*"
"""Rights without those of an administrator, whom a server's limits do not hold."""


@asynccontextmanager
async def setting(server: str, name: str, value: str) -> AsyncGenerator[None]:
    """Give a setting of the whole server another value for a while."""
    async with line(server) as one:
        before = await one.value(f"SELECT @@GLOBAL.{name}")
        await one.rows(f"SET GLOBAL {name} = {value}")
        try:
            yield
        finally:
            await one.rows(f"SET GLOBAL {name} = {before}")


_WAITING = (
    "SELECT id FROM information_schema.processlist WHERE info LIKE '%{prefix}%FOR UPDATE%' "
    "AND id <> CONNECTION_ID()"
)


async def somebody_waits(one: Line, prefix: str) -> None:
    """Return when a locking statement on these tables waits: only the server knows."""
    async with asyncio.timeout(10):
        while not await one.rows(_WAITING.format(prefix=prefix)):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def kill_who_waits(one: Line, prefix: str, kill: str, call: Future[Any]) -> None:
    """Kill the locking statement on these tables that a call waits for.

    Again, if need be: a statement that is killed just before it begins to wait goes on waiting.
    """
    async with asyncio.timeout(10):
        while not call.done():
            for (victim,) in await one.rows(_WAITING.format(prefix=prefix)):
                await one.rows(f"{kill} {victim}")
            await asyncio.wait([call], timeout=0.2)


async def gone(one: Line, connection: int) -> None:
    """Return when the server has no connection of this number any more."""
    text = f"SELECT 1 FROM information_schema.processlist WHERE id = {connection}"
    async with asyncio.timeout(10):
        while await one.rows(text):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def break_connections(storage: MySQLStorage) -> None:
    """Break all connections of a storage that goes through a proxy."""
    _proxies[storage].break_all()
