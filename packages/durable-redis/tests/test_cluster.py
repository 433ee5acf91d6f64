"""Namespaces on a cluster: where they are, what happens when a slot or a node is moved or lost."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from redis import exceptions as exc
from redis.crc import key_slot
from redis_hooks import (
    delete_namespace,
    fresh_namespace,
    hints_of,
    plain_client,
    plain_cluster,
    restart_server,
    server_url,
)
from redis_private import private_server

from durable_core.storage import (
    ClosedError,
    Finish,
    NewExecution,
    OutcomeUnknownError,
    PermanentError,
    Phase,
    Query,
    Ready,
    Reconnected,
    TemporaryError,
)
from durable_redis import RedisStorage

NOW = 2_000_000_000_000_000
ROOM = "REDIS_CLUSTER"


def new(id_: str, **fields: Any) -> NewExecution:
    return NewExecution(id=id_, task="work", **fields)


@asynccontextmanager
async def cluster_storage(namespace: str | None = None) -> AsyncGenerator[RedisStorage]:
    """Open a storage by URL, set up in a namespace of its own, deleted afterwards."""
    name = namespace or fresh_namespace("cluster")
    storage = RedisStorage.from_url(server_url(ROOM), namespace=name)
    try:
        await storage.setup()
        yield storage
    finally:
        await storage.close()
        async with plain_cluster(server_url(ROOM)) as client:
            await delete_namespace(client, name)


async def test_namespaces_spread_over_the_nodes() -> None:
    """Each is on one node, all of its keys are in one slot; together they use every node."""
    async with plain_cluster(server_url(ROOM)) as client:
        used: set[str] = set()
        for number in range(12):
            async with cluster_storage(f"spread_{number}") as storage:
                items = [new("a", key="k", tags=frozenset({"t"}), owner="anna"), new("b")]
                await storage.insert(items=items, now=NOW)
                keys = [key async for key in client.scan_iter(match=f"{{spread_{number}}}:*")]
                slots = {key_slot(key) for key in keys}
                assert slots == {key_slot(storage._settings.schema)}
                used.add(client.nodes_manager.get_node_from_slot(slots.pop()).name)
        assert len(used) == 3


async def test_the_callers_client_stays_open() -> None:
    async with plain_cluster(server_url(ROOM)) as client:
        storage = RedisStorage(client, namespace=fresh_namespace("own"))
        await storage.setup()
        await storage.insert(items=[new("a")], now=NOW)
        await storage.close()
        with pytest.raises(ClosedError):
            await storage.get(ids=["a"])
        assert await client.ping()
        await delete_namespace(client, storage._settings.namespace)


async def test_a_small_pool() -> None:
    """Calls wait for each other, instead of being refused as the driver would."""
    namespace = fresh_namespace("small")
    storage = RedisStorage.from_url(server_url(ROOM), namespace=namespace, pool_size=2)
    await storage.setup()
    await asyncio.gather(*(storage.insert(items=[new(f"{n}")], now=NOW) for n in range(30)))
    assert (await storage.count(query=Query()))["*"] == 30
    await storage.close()
    async with plain_cluster(server_url(ROOM)) as client:
        await delete_namespace(client, namespace)


async def test_a_plain_client_on_a_cluster() -> None:
    """A URL without the word: refused, although some namespaces would work by chance."""
    plain = server_url(ROOM).replace("redis+cluster", "redis")
    storage = RedisStorage.from_url(plain)
    with pytest.raises(PermanentError, match="redis\\+cluster://"):
        await storage.setup()
    await storage.close()


async def test_a_transaction_across_slots() -> None:
    async with cluster_storage() as storage, plain_cluster(server_url(ROOM)) as client:
        async with client.pipeline(transaction=True) as pipe:
            await storage.bind(pipe).insert(items=[new("a")], now=NOW)
            pipe.set("elsewhere", "1")
            with pytest.raises(exc.RedisClusterException):
                await pipe.execute()
        assert await storage.get(ids=["a"]) == [None]


@asynccontextmanager
async def _moving(storage: RedisStorage) -> AsyncGenerator[tuple[Any, Any, int]]:
    """Yield clients of the node that has the namespace's slot, and of one that may get it."""
    slot = key_slot(storage._settings.schema)
    async with plain_cluster(server_url(ROOM)) as cluster:
        source = cluster.nodes_manager.get_node_from_slot(slot)
        target = next(node for node in cluster.get_primaries() if node.name != source.name)
        urls = [f"redis://{node.host}:{node.port}" for node in (source, target)]
        async with plain_client(urls[0]) as here, plain_client(urls[1]) as there:
            yield here, there, slot


async def _node_id(client: Any) -> str:
    name = await client.execute_command("CLUSTER", "MYID")
    return name.decode() if isinstance(name, bytes) else str(name)


async def _set_slot(clients: tuple[Any, ...], slot: int, *what: str) -> None:
    for client in clients:
        await client.execute_command("CLUSTER", "SETSLOT", slot, *what)


async def test_a_slot_that_is_being_moved() -> None:
    """While its keys are on two nodes nothing is written; then it goes on at the new place."""
    async with cluster_storage() as storage, _moving(storage) as (here, there, slot):
        (answer,) = await storage.insert(items=[new("a", owner="anna")], now=NOW)
        pulse = storage.pulse()
        beat = await asyncio.to_thread(pulse.beat, executor="a", ttl=10**7, now=NOW)
        assert not beat.alive
        source, target = await _node_id(here), await _node_id(there)
        await _set_slot((there,), slot, "IMPORTING", source)
        await _set_slot((here,), slot, "MIGRATING", target)
        keys = await here.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 1000)
        before = {key: await here.dump(key) for key in keys}
        item = Finish(id="a", token=answer.record.token, phase=Phase.COMPLETED)
        for call in (
            lambda: storage.insert(items=[new("b")], now=NOW),
            lambda: storage.apply(items=[item], now=NOW),
        ):
            with pytest.raises(TemporaryError, match="being moved"):
                await call()
        assert {key: await here.dump(key) for key in keys} == before, "nothing was written"
        port = there.connection_pool.connection_kwargs["port"]
        async with hints_of(storage, "default") as hints:
            assert await anext(hints) == Reconnected()
            await here.execute_command("MIGRATE", "127.0.0.1", port, "", 0, 5000, "KEYS", *keys)
            await _set_slot((there, here), slot, "NODE", target)
            async with plain_cluster(server_url(ROOM)) as cluster:
                others = list(cluster.get_primaries())
            for node in others:
                async with plain_client(f"redis://{node.host}:{node.port}") as client:
                    with suppress(exc.ResponseError):
                        await _set_slot((client,), slot, "NODE", target)
            # The thread finds the new place by itself, were the loop blocked.
            beat = await asyncio.to_thread(pulse.beat, executor="a", ttl=10**7, now=NOW)
            assert not beat.alive
            (done,) = await storage.apply(items=[item], now=NOW)
            assert done.outcome == "applied"
            async with asyncio.timeout(20):
                while await anext(hints) != Reconnected():
                    pass
                await storage.insert(items=[new("c")], now=NOW)
                while await anext(hints) != Ready(queue="default"):
                    pass
        assert (await storage.count(query=Query()))["*"] == 2
        await asyncio.to_thread(pulse.close)
        await _back(here, there, slot, source)


async def _back(here: Any, there: Any, slot: int, source: str) -> None:
    """Bring the slot back, empty or not, so that the next test finds what it expects."""
    target = await _node_id(there)
    await _set_slot((here,), slot, "IMPORTING", target)
    await _set_slot((there,), slot, "MIGRATING", source)
    keys = await there.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 1000)
    port = here.connection_pool.connection_kwargs["port"]
    if keys:
        await there.execute_command("MIGRATE", "127.0.0.1", port, "", 0, 5000, "KEYS", *keys)
    await _set_slot((here, there), slot, "NODE", source)


async def test_a_restart_of_all_nodes() -> None:
    """Unknown or temporary meanwhile; everything that was answered is there afterwards."""
    async with cluster_storage() as storage:
        await storage.insert(items=[new(f"{n}") for n in range(50)], now=NOW)
        await restart_server(ROOM)
        async with asyncio.timeout(30):
            while True:
                try:
                    await storage.insert(items=[new("after")], now=NOW)
                    break
                except (TemporaryError, OutcomeUnknownError):
                    await asyncio.sleep(0.05)
        assert (await storage.count(query=Query()))["*"] == 51


async def test_nobody_there() -> None:
    storage = RedisStorage.from_url("redis+cluster://127.0.0.1:1")
    with pytest.raises(TemporaryError, match="cannot be reached"):
        await storage.setup()
    await storage.close()


async def test_no_cluster() -> None:
    """A cluster's URL of a server that is none."""
    with private_server() as server:
        url = server.url.replace("redis://", "redis+cluster://")
        storage = RedisStorage.from_url(url)
        with pytest.raises((TemporaryError, PermanentError), match="luster"):
            await storage.setup()
        await storage.close()
