"""Transactions of callers who use the driver: what EXEC does, and what it refuses to do."""

import asyncio
from typing import Any

import pytest
from redis import exceptions as exc
from redis.asyncio import Redis
from redis_hooks import plain_client, server_url, storage_in
from redis_private import private_server

from durable_core import DurableExecutor, Tasks
from durable_core.storage import (
    InsertOutcome,
    InvalidArgumentError,
    NewExecution,
    Phase,
    SchemaMissingError,
    TemporaryError,
    Token,
    TooLargeError,
    Wake,
)
from durable_redis import RedisStorage

NOW = 2_000_000_000_000_000


def new(id_: str, **fields: Any) -> NewExecution:
    return NewExecution(id=id_, task="work", **fields)


def own_key(storage: RedisStorage) -> str:
    return f"{{{storage._settings.namespace}}}:orders"


async def test_both_or_neither() -> None:
    """The caller's commands before and after ours, in one EXEC; its answers have one more."""
    async with storage_in() as storage, plain_client() as client:
        key = own_key(storage)
        async with client.pipeline(transaction=True) as pipe:
            pipe.set(key, "1")
            bound = storage.bind(pipe)
            (answer,) = await bound.insert(items=[new("a", input=bytes(5_000))], now=NOW)
            pipe.incr(key)
            (again,) = await bound.insert(items=[new("a")], now=NOW)
            assert again.outcome is InsertOutcome.EXISTING_ID
            assert again.record == answer.record
            assert await client.exists(key) == 0
            said = await pipe.execute()
        assert (said[0], said[2]) == (True, 2)
        assert await storage.get(ids=["a"]) == [answer.record]
        assert await client.get(key) == b"2"


async def test_somebody_else_is_faster() -> None:
    """An answer that is no longer true makes EXEC do nothing, of the caller's part neither."""
    async with storage_in() as storage, plain_client() as client:
        key = own_key(storage)
        await storage.insert(items=[new("there", key="used")], now=NOW)
        for mine, other in (
            (new("a"), new("a")),
            (new("b", key="k"), new("c", key="k")),
        ):
            async with client.pipeline(transaction=True) as pipe:
                (answer,) = await storage.bind(pipe).insert(items=[mine], now=NOW)
                assert answer.outcome is InsertOutcome.CREATED
                pipe.set(key, "1")
                await storage.insert(items=[other], now=NOW)
                with pytest.raises(exc.WatchError):
                    await pipe.execute()
            assert await client.exists(key) == 0
            async with client.pipeline(transaction=True) as pipe:
                (answer,) = await storage.bind(pipe).insert(items=[mine], now=NOW)
                assert answer.outcome is not InsertOutcome.CREATED
                assert answer.record.id == other.id
                pipe.set(key, "1")
                await pipe.execute()
            await client.delete(key)


async def test_many_at_once_one_wins() -> None:
    """Each repeats its transaction until EXEC is accepted; the key is created once."""
    async with storage_in() as storage:
        kind: Any = Redis
        client = kind.from_url(server_url())

        async def transact(number: int) -> InsertOutcome:
            while True:
                async with client.pipeline(transaction=True) as pipe:
                    item = new(f"{number}", key="one")
                    (answer,) = await storage.bind(pipe).insert(items=[item], now=NOW)
                    pipe.incr(own_key(storage))
                    try:
                        await pipe.execute()
                    except exc.WatchError:
                        continue
                    return answer.outcome

        outcomes = await asyncio.gather(*(transact(number) for number in range(8)))
        assert outcomes.count(InsertOutcome.CREATED) == 1
        assert await client.get(own_key(storage)) == b"8"
        await client.aclose()


async def test_a_sleeper_whose_message_waits() -> None:
    """Born finished, as the answer says; a message that comes meanwhile voids the transaction."""
    async with storage_in() as storage, plain_client() as client:

        def sleeper(id_: str) -> NewExecution:
            return new(id_, wake_key=id_, phase=Phase.SLEEPING, due=None)

        def message(key: str) -> Wake:
            return Wake(task="work", wake_key=key, request=key, payload=b"p", keep_until=NOW * 2)

        await storage.wake(items=[message("s")], now=NOW)
        async with client.pipeline(transaction=True) as pipe:
            (answer,) = await storage.bind(pipe).insert(items=[sleeper("s")], now=NOW)
            assert answer.record.output == b"p"
            await pipe.execute()
        assert await storage.get(ids=["s"]) == [answer.record]
        async with client.pipeline(transaction=True) as pipe:
            await storage.bind(pipe).insert(items=[sleeper("t")], now=NOW)
            await storage.wake(items=[message("t")], now=NOW)
            with pytest.raises(exc.WatchError):
                await pipe.execute()


async def test_the_callers_own_watch() -> None:
    async with storage_in() as storage, plain_client() as client:
        key = own_key(storage)
        async with client.pipeline(transaction=True) as pipe:
            await pipe.watch(key)
            with pytest.raises(InvalidArgumentError, match="multi"):
                storage.bind(pipe)
            pipe.multi()
            await storage.bind(pipe).insert(items=[new("a")], now=NOW)
            await client.set(key, "changed")
            with pytest.raises(exc.WatchError):
                await pipe.execute()
        assert await storage.get(ids=["a"]) == [None]


async def test_a_pipeline_that_is_used_again() -> None:
    """After EXEC or a reset it knows nothing of what was bound before."""
    async with (
        storage_in() as storage,
        plain_client() as client,
        client.pipeline(transaction=True) as pipe,
    ):
        await storage.bind(pipe).insert(items=[new("a")], now=NOW)
        await pipe.reset()
        (answer,) = await storage.bind(pipe).insert(items=[new("a")], now=NOW)
        assert answer.outcome is InsertOutcome.CREATED
        await pipe.execute()
        (answer,) = await storage.bind(pipe).insert(items=[new("a")], now=NOW)
        assert answer.outcome is InsertOutcome.EXISTING_ID


async def test_what_cannot_be_bound() -> None:
    async with storage_in() as storage, plain_client() as client:
        for stranger in (object(), client, client.pipeline(transaction=False)):
            with pytest.raises(InvalidArgumentError, match="pipeline"):
                storage.bind(stranger)
        with private_server() as server:
            async with plain_client(server.url) as other:
                with pytest.raises(InvalidArgumentError, match="own server"):
                    storage.bind(other.pipeline(transaction=True))
        async with plain_client(server_url().removesuffix("/0") + "/1") as other:
            with pytest.raises(InvalidArgumentError, match="own server"):
                storage.bind(other.pipeline(transaction=True))
        async with client.pipeline(transaction=True) as pipe:
            large = new("a", input=bytes(storage.capabilities.max_payload + 1))
            with pytest.raises(TooLargeError):
                await storage.bind(pipe).insert(items=[large], now=NOW)
            bare = RedisStorage.from_url(server_url(), namespace="never-set-up")
            with pytest.raises(SchemaMissingError):
                await bare.bind(pipe).insert(items=[new("a")], now=NOW)
            await bare.close()
        async with client.pipeline(transaction=True) as pipe:
            with pytest.raises(NotImplementedError, match="bind_checkpoint"):
                await storage.bind(pipe).checkpoint(
                    execution_id="a", token=Token("a", 1), name="n", value=b"", now=NOW
                )


async def test_memory_is_full_at_exec() -> None:
    """The server refuses the whole transaction, the caller's part too."""
    with private_server() as server:
        storage = RedisStorage.from_url(server.url)
        await storage.setup()
        async with plain_client(server.url) as client:
            key = own_key(storage)
            await client.set(key, "kept")
            async with client.pipeline(transaction=True) as pipe:
                pipe.delete(key)
                await storage.bind(pipe).insert(items=[new("a")], now=NOW)
                await client.config_set("maxmemory", 1)
                with pytest.raises(exc.ResponseError):
                    await pipe.execute()
            assert await client.get(key) == b"kept", "neither"
            assert await storage.get(ids=["a"]) == [None]
        await storage.close()


async def test_a_connection_that_is_lost() -> None:
    async with storage_in() as storage:
        with private_server() as server:
            there = RedisStorage.from_url(server.url)
            await there.setup()
            async with plain_client(server.url) as client:
                pipe = client.pipeline(transaction=True)
                await there.bind(pipe).insert(items=[new("a")], now=NOW)
                server.kill()
                with pytest.raises(TemporaryError):
                    await there.bind(pipe).insert(items=[new("b")], now=NOW)
                await pipe.reset()
            await there.close()
            server.start()
        assert (await storage.get(ids=["a"])) == [None]


async def test_an_executor() -> None:
    """Enqueued by the caller's transaction, run after its EXEC."""
    tasks = Tasks()

    @tasks.task
    async def confirm(order: int) -> str:
        return f"order {order} confirmed"

    async with storage_in() as storage, plain_client() as client:
        mine = RedisStorage.from_url(server_url(), namespace=storage._settings.namespace)
        async with DurableExecutor(mine, tasks=tasks) as executor:
            async with client.pipeline(transaction=True) as pipe:
                pipe.set(own_key(storage), "tea")
                handle = await executor.bind(pipe).enqueue(confirm, 7)
                await pipe.execute()
            assert await handle.result() == "order 7 confirmed"
