"""What the certification of PostgreSQL needs beside `open`: a server's worst days, on demand."""

# ruff: noqa: S608 - the names of schemas are made here

import asyncio
import json
import os
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, cast
from weakref import WeakKeyDictionary

import asyncpg
import pytest
from postgres_proxy import Proxy
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from durable_conformance import CallersTransaction, Cut
from durable_core.storage import Hint, Storage
from durable_postgres import PostgresStorage
from durable_postgres.session import Driver

_URL = "DURABLE_TEST_POSTGRES_URL"
_RESTART = "DURABLE_TEST_POSTGRES_RESTART"
_CALLERS = "CREATE TABLE IF NOT EXISTS public.callers (id bigint GENERATED ALWAYS AS IDENTITY)"

_proxies: WeakKeyDictionary[Storage, Proxy] = WeakKeyDictionary()


def server_url() -> URL:
    """Return the URL of the tests' server."""
    return make_url(os.environ[_URL])


@asynccontextmanager
async def connection() -> AsyncGenerator[Driver]:
    """Open a connection of the driver, past all that is tested."""
    driver = await asyncpg.connect(server_url().render_as_string(hide_password=False))
    try:
        yield driver
    finally:
        await driver.close()


async def restart_server() -> None:
    """Kill the server and start it again; returns when it answers."""
    command: list[str] = json.loads(os.environ[_RESTART])
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0, "the server did not come back"


@asynccontextmanager
async def through_proxy(storage_schema: str) -> AsyncGenerator[PostgresStorage]:
    """Open a storage whose connections can be cut."""
    url = server_url()
    async with Proxy.open(url.host or "127.0.0.1", url.port or 5432) as proxy:
        near = url.set(host="127.0.0.1", port=proxy.port)
        storage = PostgresStorage.from_url(near, schema=storage_schema)
        _proxies[storage] = proxy
        try:
            yield storage
        finally:
            await storage.close()


@contextmanager
def _strange_driver() -> Generator[list[str]]:
    """Let the driver's next statement fail with an error that is in nobody's table."""
    seen: list[str] = []

    async def fetch(_driver: Driver, text: str, *_values: object) -> list[object]:
        seen.append(text)
        raise RuntimeError("the driver did something strange")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncpg.Connection, "fetch", fetch)
        yield seen


class Transaction:
    """A transaction of a caller who uses SQLAlchemy."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.tx = connection

    async def write(self) -> None:
        """Insert a row of the caller's own."""
        await self.tx.exec_driver_sql("INSERT INTO public.callers DEFAULT VALUES")

    async def commit(self) -> None:
        """Commit."""
        await self.tx.commit()

    async def rollback(self) -> None:
        """Roll back."""
        await self.tx.rollback()


class PostgresHooks:
    """The hooks of the suite; what `open` gives goes through a proxy."""

    async def drop(self, namespace: str) -> None:
        """Drop the schema."""
        async with connection() as driver:
            await driver.execute("SET client_min_messages = warning")
            await driver.execute(f'DROP SCHEMA IF EXISTS "{namespace}" CASCADE')

    async def versions(self, storage: Storage) -> Mapping[str, str]:
        """Return the server's version and the driver's."""
        async with connection() as driver:
            server = await driver.fetchval("SHOW server_version")
        return {"postgresql": str(server), "asyncpg": asyncpg.__version__}

    @asynccontextmanager
    async def transaction(self, storage: Storage) -> AsyncGenerator[CallersTransaction]:
        """Begin a transaction of a caller's own engine."""
        async with connection() as driver:
            await driver.execute("SET client_min_messages = warning")
            await driver.execute(_CALLERS)
        url = server_url().set(drivername="postgresql+asyncpg")
        engine = create_async_engine(url, poolclass=NullPool)
        async with engine.connect() as one:
            yield Transaction(one)
        await engine.dispose()

    async def restart(self) -> None:
        """Kill the server and start it again."""
        await restart_server()

    @asynccontextmanager
    async def cut(self, storage: Storage, where: Cut) -> AsyncGenerator[None]:
        """Let the storage's proxy break the next call, or the listener's connection."""
        if where is Cut.STRANGELY:
            with _strange_driver() as seen:
                yield
            assert seen, "nothing was cut"
            return
        proxy = _proxies[storage]
        before = proxy.cuts
        if where is Cut.LISTENER:
            assert isinstance(storage, PostgresStorage)
            driver = storage._hints.driver
            assert driver is not None, "nobody listens"
            own = driver._transport.get_extra_info("sockname")  # type: ignore[attr-defined]
            proxy.break_client(own[1])
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
        async with connection() as driver, driver.transaction():
            locked = await driver.fetch(
                f'SELECT 1 FROM "{namespace}".durable_executions WHERE id = $1 FOR UPDATE',
                execution_id,
            )
            assert len(locked) == 1
            yield

    async def newer_schema(self, namespace: str) -> None:
        """Record a migration that this release does not know."""
        async with connection() as driver:
            await driver.execute(
                f"INSERT INTO \"{namespace}\".durable_schema VALUES (1000, 'future', 1)"
            )


def fresh_schema(name: str) -> str:
    """Return the name of a schema that does not exist."""
    return f"{name}_{secrets.token_hex(6)}"


@asynccontextmanager
async def storage_in(url: URL | None = None, **options: Any) -> AsyncGenerator[PostgresStorage]:
    """Open a storage that is set up in a schema of its own, dropped afterwards."""
    schema = fresh_schema("test")
    storage = PostgresStorage.from_url(url or server_url(), schema=schema, **options)
    try:
        await storage.setup()
        yield storage
    finally:
        await storage.close()
        await PostgresHooks().drop(schema)


@asynccontextmanager
async def role(settings: str) -> AsyncGenerator[URL]:
    """Make a user with settings of its own; yield the URL with it."""
    name = f"r{secrets.token_hex(6)}"
    async with connection() as driver:
        await driver.execute(f"CREATE ROLE {name} LOGIN SUPERUSER")
        await driver.execute(f"ALTER ROLE {name} {settings}")
        try:
            yield server_url().set(username=name)
        finally:
            await driver.execute(f"DROP ROLE {name}")


@asynccontextmanager
async def hints_of(storage: PostgresStorage, *queues: str) -> AsyncGenerator[AsyncIterator[Hint]]:
    """Listen until the end of the context."""
    hints = storage.listen(queues=queues)
    try:
        yield hints
    finally:
        await cast("AsyncGenerator[Hint]", hints).aclose()


async def somebody_waits(driver: Driver) -> None:
    """Return when a statement of somebody waits for a lock: only the server knows."""
    while await driver.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted") == 0:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


def break_connections(storage: PostgresStorage) -> None:
    """Break all connections of a storage that goes through a proxy."""
    _proxies[storage].break_all()
