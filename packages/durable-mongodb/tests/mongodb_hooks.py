"""What the certification of MongoDB needs beside `open`: a server's worst days, on demand."""

import asyncio
import importlib
import json
import os
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, cast
from weakref import WeakKeyDictionary

import pymongo
import pytest
from mongodb_proxy import Proxy
from pymongo import AsyncMongoClient
from pymongo.asynchronous.pool import AsyncConnection
from pymongo.synchronous.pool import Connection

from durable_conformance import CallersTransaction, Cut
from durable_core.storage import Hint, Storage
from durable_mongodb import MongoStorage

_URL = "DURABLE_TEST_MONGODB_URL"
_RESTART = "DURABLE_TEST_MONGODB_RESTART"

Client = AsyncMongoClient[dict[str, Any]]

_proxies: WeakKeyDictionary[Storage, Proxy] = WeakKeyDictionary()


def server_url() -> str:
    """Return the URL of the tests' replica set."""
    return os.environ[_URL]


async def primary_address() -> tuple[str, int]:
    """Return host and port of the member that can be written to."""
    async with connection() as client:
        await client.admin.command("ping")
        address = await client.address
    assert address is not None
    return address[0], address[1]


@asynccontextmanager
async def connection() -> AsyncGenerator[Client]:
    """Open a client of the driver, past all that is tested."""
    client: Client = AsyncMongoClient(server_url())
    try:
        yield client
    finally:
        await client.close()


async def restart_server() -> None:
    """Kill the server and start it again; returns when it can be written to."""
    command: list[str] = json.loads(os.environ[_RESTART])
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0, "the server did not come back"


def near(proxy: Proxy, options: str = "") -> str:
    """Return the URL of a proxy: of one server, because members call each other by their own."""
    return f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true{options}"


@asynccontextmanager
async def through_proxy(
    database: str, prefix: str = "durable_", options: str = ""
) -> AsyncGenerator[MongoStorage]:
    """Open a storage whose connections can be cut."""
    async with Proxy.open(*await primary_address()) as proxy:
        storage = MongoStorage.from_url(near(proxy, options), database=database, prefix=prefix)
        _proxies[storage] = proxy
        try:
            yield storage
        finally:
            await storage.close()


@asynccontextmanager
async def motor_through_proxy(database: str, prefix: str) -> AsyncGenerator[MongoStorage]:
    """Open a storage on a client of Motor, whose connections can be cut."""
    motor: Any = importlib.import_module("motor.motor_asyncio")
    async with Proxy.open(*await primary_address()) as proxy:
        client: Any = motor.AsyncIOMotorClient(near(proxy))
        storage = MongoStorage(client, database=database, prefix=prefix)
        _proxies[storage] = proxy
        try:
            yield storage
        finally:
            await storage.close()
            # It says good-bye through the proxy, which must not stand still meanwhile.
            await asyncio.to_thread(client.close)


@contextmanager
def _strange_driver() -> Generator[list[str]]:
    """Let the driver's next commands fail with an error that is in nobody's table."""
    seen: list[str] = []

    async def command(*_values: object, **_options: object) -> dict[str, object]:
        seen.append("asyncio")
        raise RuntimeError("the driver did something strange")

    def blocking(*_values: object, **_options: object) -> dict[str, object]:
        seen.append("blocking")
        raise RuntimeError("the driver did something strange")

    with pytest.MonkeyPatch.context() as patch:
        for name in ("command", "send_message"):
            patch.setattr(AsyncConnection, name, command)
            patch.setattr(Connection, name, blocking)
        yield seen


class Transaction:
    """A transaction of a caller's."""

    def __init__(self, client: Client, session: Any, database: str) -> None:
        self.tx = session
        self._callers = client[database]["callers"]

    async def write(self) -> None:
        """Insert a document of the caller's own."""
        await self._callers.insert_one({"some": "thing"}, session=self.tx)

    async def commit(self) -> None:
        """Commit."""
        await self.tx.commit_transaction()

    async def rollback(self) -> None:
        """Roll back."""
        await self.tx.abort_transaction()


class MongoHooks:
    """The hooks of the suite; what `open` gives goes through a proxy."""

    def place(self, namespace: str) -> tuple[str, str]:
        """Return the database and the prefix of a namespace: a database of its own."""
        return namespace, "durable_"

    async def drop(self, namespace: str) -> None:
        """Drop the database."""
        async with connection() as client:
            await client.drop_database(self.place(namespace)[0])

    async def versions(self, storage: Storage) -> Mapping[str, str]:
        """Return the server's version and the driver's."""
        async with connection() as client:
            server = (await client.server_info())["version"]
        return {"mongodb": str(server), "pymongo": pymongo.version}

    @asynccontextmanager
    async def transaction(self, storage: Storage) -> AsyncGenerator[CallersTransaction]:
        """Begin a transaction of a client of the caller's own."""
        assert isinstance(storage, MongoStorage)
        database = storage._settings.database
        async with connection() as client:
            await client[database]["callers"].insert_one({"first": "of all"})
            async with client.start_session() as session:
                await session.start_transaction()
                yield Transaction(client, session, database)

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
            await proxy.listened.wait()
            proxy.break_listeners()
        else:
            proxy.cut = where
        try:
            yield
        finally:
            proxy.cut = None
            proxy.broken.clear()
        assert proxy.cuts > before, "nothing was cut"

    @asynccontextmanager
    async def lock(self, namespace: str, execution_id: str) -> AsyncGenerator[None]:
        """Lock a row as somebody else's transaction does."""
        database, prefix = self.place(namespace)
        async with connection() as client, client.start_session() as session:
            await session.start_transaction()
            locked = await client[database][f"{prefix}executions"].update_one(
                {"_id": execution_id}, {"$inc": {"lock": 1}}, session=session
            )
            assert locked.matched_count == 1
            yield
            await session.abort_transaction()

    async def newer_schema(self, namespace: str) -> None:
        """Record a migration that this release does not know."""
        database, prefix = self.place(namespace)
        async with connection() as client:
            await client[database][f"{prefix}schema"].insert_one(
                {"_id": 1_000, "name": "future", "protocol": 1}
            )


def fresh_database(name: str) -> str:
    """Return the name of a database that does not exist."""
    return f"{name}_{secrets.token_hex(6)}"


@asynccontextmanager
async def storage_in(url: str | None = None, **options: Any) -> AsyncGenerator[MongoStorage]:
    """Open a storage that is set up in a database of its own, dropped afterwards."""
    database = fresh_database("test")
    storage = MongoStorage.from_url(url or server_url(), database=database, **options)
    try:
        await storage.setup()
        yield storage
    finally:
        await storage.close()
        await MongoHooks().drop(database)


@asynccontextmanager
async def hints_of(storage: MongoStorage, *queues: str) -> AsyncGenerator[AsyncIterator[Hint]]:
    """Listen until the end of the context."""
    hints = storage.listen(queues=queues)
    try:
        yield hints
    finally:
        await cast("AsyncGenerator[Hint]", hints).aclose()


def refuse_connections(storage: MongoStorage) -> None:
    """Let a storage that goes through a proxy reach nobody any more."""
    _proxies[storage].refusing = True
    _proxies[storage].break_all()


def break_connections(storage: MongoStorage) -> None:
    """Break all connections of a storage that goes through a proxy."""
    _proxies[storage].break_all()
