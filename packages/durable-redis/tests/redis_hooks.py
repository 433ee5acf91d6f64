"""What the certification of Redis needs beside `open`: a server's worst days, on demand."""

import asyncio
import json
import os
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from typing import Any, ClassVar, cast
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import pytest
import redis
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis_proxy import Proxy

from durable_conformance import CallersTransaction, Cut
from durable_core.storage import Hint, Storage
from durable_redis import RedisStorage

_proxies: WeakKeyDictionary[Storage, Sequence[Proxy]] = WeakKeyDictionary()


def server_url(room: str = "REDIS") -> str:
    """Return the URL of the tests' server."""
    return os.environ[f"DURABLE_TEST_{room}_URL"]


def address(url: str) -> tuple[str, int]:
    """Return the host and port of a URL."""
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 6379


@asynccontextmanager
async def plain_client(url: str | None = None) -> AsyncGenerator[Any]:
    """Open a client of the driver, past all that is tested; its annotations leave much open."""
    kind: Any = Redis
    client = kind.from_url(url or server_url())
    try:
        yield client
    finally:
        await client.aclose()


@asynccontextmanager
async def plain_cluster(url: str, **options: Any) -> AsyncGenerator[Any]:
    """Open a client of a cluster; its annotations leave much open."""
    host, port = address(url)
    retry = Retry(NoBackoff(), 0)
    kind: Any = RedisCluster
    client = kind(host=host, port=port, retry=retry, **options)
    try:
        await client.initialize()
        yield client
    finally:
        await client.aclose()


async def restart_server(room: str = "REDIS") -> None:
    """Kill the server and start it again; returns when it answers."""
    command: list[str] = json.loads(os.environ[f"DURABLE_TEST_{room}_RESTART"])
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0, "the server did not come back"


@asynccontextmanager
async def through_proxy(namespace: str, room: str = "REDIS") -> AsyncGenerator[RedisStorage]:
    """Open a storage whose connections can be cut."""
    host, port = address(server_url(room))
    async with Proxy.open(host, port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}/0"
        storage = RedisStorage.from_url(url, namespace=namespace)
        _proxies[storage] = [proxy]
        try:
            yield storage
        finally:
            await storage.close()


_nodes: dict[str, list[tuple[str, int]]] = {}


async def cluster_nodes(url: str) -> list[tuple[str, int]]:
    """Return the addresses of a cluster's nodes."""
    if url not in _nodes:
        async with plain_cluster(url) as client:
            _nodes[url] = [(node.host, int(node.port)) for node in client.get_nodes()]
    return _nodes[url]


@asynccontextmanager
async def cluster_through_proxies(namespace: str, room: str) -> AsyncGenerator[RedisStorage]:
    """Open a storage on a cluster; each node's connections can be cut."""
    url = server_url(room)
    async with AsyncExitStack() as stack:
        proxies: dict[tuple[str, int], Proxy] = {}
        for node in await cluster_nodes(url):
            proxies[node] = await stack.enter_async_context(Proxy.open(*node))

        def remap(there: tuple[str, int]) -> tuple[str, int]:
            return "127.0.0.1", proxies[there[0], int(there[1])].port

        client = await stack.enter_async_context(plain_cluster(url, address_remap=remap))
        storage = RedisStorage(client, namespace=namespace)
        _proxies[storage] = list(proxies.values())
        try:
            yield storage
        finally:
            await storage.close()


@contextmanager
def strange_driver() -> Generator[list[object]]:
    """Let the driver's next command fail with an error that is in nobody's table."""
    seen: list[object] = []

    async def send(_connection: object, command: object, *_: object, **__: object) -> None:
        seen.append(command)
        raise RuntimeError("the driver did something strange")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AbstractConnection, "send_packed_command", send)
        yield seen


async def delete_namespace(client: Any, namespace: str) -> int:
    """Delete all keys of a namespace; return how many there were."""
    keys = [key async for key in client.scan_iter(match=f"{{{namespace}}}:*", count=5_000)]
    for first in range(0, len(keys), 5_000):
        await client.unlink(*keys[first : first + 5_000])
    return len(keys)


class Transaction:
    """A transaction of a caller who uses the driver."""

    def __init__(self, pipe: Any, key: str) -> None:
        self.tx = pipe
        self._key = key

    async def write(self) -> None:
        """Write a key of the caller's own."""
        self.tx.incr(self._key)

    async def commit(self) -> None:
        """Commit."""
        await self.tx.execute()

    async def rollback(self) -> None:
        """Roll back."""
        await self.tx.reset()


class RedisHooks:
    """The hooks of the suite; what `open` gives goes through a proxy."""

    room: ClassVar[str] = "REDIS"
    cluster: ClassVar[bool] = False

    def open(self, namespace: str) -> AbstractAsyncContextManager[Storage]:
        """Open a storage through a proxy."""
        if self.cluster:
            return cluster_through_proxies(namespace, self.room)
        return through_proxy(namespace, self.room)

    @asynccontextmanager
    async def _client(self) -> AsyncGenerator[Any]:
        url = server_url(self.room)
        async with plain_cluster(url) if self.cluster else plain_client(url) as client:
            yield client

    async def drop(self, namespace: str) -> None:
        """Delete the keys of the namespace."""
        async with self._client() as client:
            await delete_namespace(client, namespace)

    async def versions(self, storage: Storage) -> Mapping[str, str]:
        """Return the server's version and the driver's."""
        async with self._client() as client:
            facts: Mapping[str, Any] = await client.info("server")
        name = "valkey" if "valkey_version" in facts else "redis"
        return {
            name: str(facts[f"{name}_version"]),
            "mode": "cluster" if self.cluster else "standalone",
            "redis-py": redis.__version__,
        }

    @asynccontextmanager
    async def transaction(self, storage: Storage) -> AsyncGenerator[CallersTransaction]:
        """Begin a transaction of a caller who has a client of his own."""
        assert isinstance(storage, RedisStorage)
        client: Any = storage._client
        key = f"{{{storage._settings.namespace}}}:callers"
        async with client.pipeline(transaction=True) as pipe:
            yield Transaction(pipe, key)

    async def restart(self) -> None:
        """Kill the server and start it again."""
        await restart_server(self.room)

    @asynccontextmanager
    async def cut(self, storage: Storage, where: Cut) -> AsyncGenerator[None]:
        """Let the storage's proxies break the next call, or the listener's connection."""
        if where is Cut.STRANGELY:
            with strange_driver() as seen:
                yield
            assert seen, "nothing was cut"
            return
        proxies = _proxies[storage]
        before = sum(proxy.cuts for proxy in proxies)
        if where is Cut.LISTENER:
            break_listener(storage)
        else:
            for proxy in proxies:
                proxy.cut = where
        try:
            yield
        finally:
            for proxy in proxies:
                proxy.cut = None
        assert sum(proxy.cuts for proxy in proxies) > before, "nothing was cut"

    async def newer_schema(self, namespace: str) -> None:
        """Record a version that this release does not know."""
        async with self._client() as client:
            await client.hset(f"{{{namespace}}}:schema", "version", 1000)


def break_listener(storage: Storage) -> None:
    """Break the connection on which a storage hears hints."""
    assert isinstance(storage, RedisStorage)
    connection: Any = storage._hints.connection
    assert connection is not None, "nobody listens"
    port = connection._writer.get_extra_info("sockname")[1]
    for proxy in _proxies[storage]:
        proxy.break_client(port)


def break_connections(storage: Storage) -> None:
    """Break all connections of a storage that goes through proxies."""
    for proxy in _proxies[storage]:
        proxy.break_all()


def fresh_namespace(name: str) -> str:
    """Return a namespace that does not exist."""
    return f"{name}_{secrets.token_hex(6)}"


@asynccontextmanager
async def storage_in(url: str | None = None, **options: Any) -> AsyncGenerator[RedisStorage]:
    """Open a storage that is set up in a namespace of its own, deleted afterwards."""
    namespace = fresh_namespace("test")
    there = url or server_url()
    storage = RedisStorage.from_url(there, namespace=namespace, **options)
    try:
        await storage.setup()
        yield storage
    finally:
        await storage.close()
        async with plain_client(there) as client:
            await delete_namespace(client, namespace)


@asynccontextmanager
async def hints_of(storage: RedisStorage, *queues: str) -> AsyncGenerator[AsyncIterator[Hint]]:
    """Listen until the end of the context."""
    hints = storage.listen(queues=queues)
    try:
        yield hints
    finally:
        await cast("AsyncGenerator[Hint]", hints).aclose()
