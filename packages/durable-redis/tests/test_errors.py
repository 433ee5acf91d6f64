"""What goes wrong in the server becomes an error that says what to do, with its cause."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from redis import exceptions as exc
from redis.asyncio import Redis
from redis_hooks import (
    break_connections,
    delete_namespace,
    fresh_namespace,
    plain_client,
    restart_server,
    server_url,
    storage_in,
    through_proxy,
)
from redis_private import private_server
from redis_proxy import Proxy

from durable_core.storage import (
    ApplyOutcome,
    CorruptError,
    DiskFullError,
    Finish,
    InvalidArgumentError,
    NewExecution,
    OutcomeUnknownError,
    PermanentError,
    Phase,
    Query,
    ReadOnlyError,
    SchemaMissingError,
    StorageError,
    TemporaryError,
    Token,
)
from durable_redis import RedisStorage
from durable_redis.errors import translate

NOW = 2_000_000_000_000_000
TTL = 15_000_000


def new(id_: str, **fields: Any) -> NewExecution:
    return NewExecution(id=id_, task="work", **fields)


@asynccontextmanager
async def open_at(url: str, **options: Any) -> AsyncGenerator[RedisStorage]:
    storage = RedisStorage.from_url(url, **options)
    try:
        yield storage
    finally:
        await storage.close()


async def _raises(kind: type[StorageError], text: str, call: Callable[[], Awaitable[Any]]) -> None:
    with pytest.raises(kind, match=text) as caught:
        await call()
    assert caught.value.__cause__ is not None, "the driver's error is kept"
    assert not isinstance(caught.value.__cause__, StorageError)


async def test_nobody_listens() -> None:
    async with through_proxy(fresh_namespace("gone")) as storage:
        await storage.setup()
        break_connections(storage)
    async with Proxy.open("127.0.0.1", 1) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}/0"
    async with open_at(url) as storage:
        await _raises(TemporaryError, "nothing was written", storage.setup)
        insert = storage.insert(items=[new("a")], now=NOW)
        await _raises(TemporaryError, "nothing was written", lambda: insert)


async def test_a_namespace_that_was_not_set_up() -> None:
    async with open_at(server_url(), namespace=fresh_namespace("bare")) as storage:
        await _raises(SchemaMissingError, "setup", lambda: storage.insert(items=[new("a")], now=1))
        await _raises(SchemaMissingError, "setup", lambda: storage.get(ids=["a"]))


async def test_passwords() -> None:
    with private_server("--requirepass", "sesame") as server:
        place = f"127.0.0.1:{server.port}/0"
        async with open_at(f"redis://{place}") as storage:
            await _raises(PermanentError, "password", storage.setup)
        async with open_at(f"redis://:wrong@{place}") as storage:
            await _raises(PermanentError, "password", storage.setup)
        async with open_at(f"redis://:sesame@{place}") as storage:
            await storage.setup()
            await storage.insert(items=[new("a")], now=NOW)


async def test_a_user_with_few_rights() -> None:
    """Refused with what is missing; the rights that the guide lists are enough."""
    namespace = fresh_namespace("rights")
    async with plain_client() as client:
        await client.execute_command(
            "ACL", "SETUSER", "weak", "on", ">weak", f"~{{{namespace}}}:*", "+@connection", "+info"
        )
        await client.execute_command(
            "ACL", "SETUSER", "enough", "on", ">enough", f"~{{{namespace}}}:*",
            f"&{{{namespace}}}:*", "+@connection", "+@read", "+@write", "+@scripting",
            "+spublish", "+ssubscribe", "+sunsubscribe", "+info", "+time", "+multi", "+exec",
        )  # fmt: skip
        host = server_url().removeprefix("redis://")
        async with open_at(f"redis://weak:weak@{host}", namespace=namespace) as storage:
            await _raises(PermanentError, "may not", storage.setup)
        async with open_at(f"redis://enough:enough@{host}", namespace=namespace) as storage:
            await storage.setup()
            (answer,) = await storage.insert(items=[new("a", owner="anna")], now=NOW)
            token = answer.record.token
            await storage.apply(items=[Finish(id="a", token=token, phase=Phase.FAILED)], now=NOW)
            assert "appendfsync=unknown" in storage.capabilities.durability
            assert not storage.capabilities.durable, "what is forbidden to ask is not known"
            hints = storage.listen(queues=["default"])
            async for _ in hints:
                break
        await client.execute_command("ACL", "DELUSER", "weak", "enough")
        await delete_namespace(client, namespace)


async def test_a_replica() -> None:
    with private_server() as primary:
        options = ("--replicaof", f"127.0.0.1 {primary.port}")
        with private_server(*options) as replica:
            async with open_at(replica.url) as storage:
                await _raises_here(ReadOnlyError, "connect to the primary", storage.setup)
            async with open_at(primary.url) as storage, plain_client(primary.url) as client:
                await storage.setup()
                await client.execute_command("REPLICAOF", "127.0.0.1", str(replica.port))
                await _raises(
                    ReadOnlyError,
                    "connect to the primary",
                    lambda: storage.insert(items=[new("a")], now=NOW),
                )


async def _raises_here(
    kind: type[StorageError], text: str, call: Callable[[], Awaitable[Any]]
) -> None:
    with pytest.raises(kind, match=text):
        await call()


async def test_memory_is_full() -> None:
    """Nothing is written any more, but heartbeats, reads and purges go on; then there is room."""
    with private_server() as server:
        async with open_at(server.url) as storage, plain_client(server.url) as client:
            await storage.setup()
            await storage.heartbeat(executor="anna", ttl=TTL, now=NOW, register=True)
            items = [new(f"{n}", owner="anna", input=bytes(2_000)) for n in range(100)]
            await storage.insert(items=items, now=NOW)
            done = [Finish(id=f"{n}", token=Token("anna", 1), phase=Phase.FAILED) for n in range(9)]
            await storage.apply(items=done, now=NOW)
            await client.config_set("maxmemory", 1)
            for call in (
                lambda: storage.insert(items=[new("more")], now=NOW),
                lambda: storage.cancel(ids=["50"], request="r", now=NOW),
                lambda: storage.claim(
                    executor="bela", tasks=["work"], queues=["default"], limit=1, now=NOW
                ),
            ):
                await _raises(DiskFullError, "no memory left", call)
            assert await storage.get(ids=["more"]) == [None]
            assert (await storage.heartbeat(executor="anna", ttl=TTL, now=NOW)).alive
            assert await storage.purge(finished_before=NOW + 1, now=NOW, limit=99) == 9
            assert (await storage.reap(now=NOW + 2 * TTL, limit=99)).rows == 91
            await client.config_set("maxmemory", 0)
            await storage.insert(items=[new("more")], now=NOW)


async def test_a_disk_that_cannot_be_written() -> None:
    """The server could not save, and refuses to write: room can be made."""
    with private_server("--save", "3600 1", "--dbfilename", "dump.rdb") as server:
        async with open_at(server.url) as storage, plain_client(server.url) as client:
            await storage.setup()
            # A folder in the way of the file: saving fails, as it does on a full disk.
            await client.config_set("appendonly", "no")
            await client.execute_command("DEBUG", "SLEEP", "0")
            folder = _in_the_way(server.folder)
            await client.execute_command("BGSAVE")
            while (await client.info("persistence"))["rdb_bgsave_in_progress"]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            insert = lambda: storage.insert(items=[new("a")], now=NOW)  # noqa: E731
            await _raises(DiskFullError, "refuses writes", insert)
            assert await storage.get(ids=["a"]) == [None]
            folder()
            await client.execute_command("SAVE")
            await storage.insert(items=[new("a")], now=NOW)


def _in_the_way(folder: str) -> Callable[[], None]:
    there = Path(folder) / "dump.rdb"
    there.unlink(missing_ok=True)
    there.mkdir()
    (there / "file").write_text("in the way")

    def away() -> None:
        (there / "file").unlink()
        there.rmdir()

    return away


async def test_too_many_clients() -> None:
    with private_server("--maxclients", "3") as server:
        clients: list[Any] = [Redis(port=server.port) for _ in range(3)]
        pipes = [client.pipeline() for client in clients]
        for pipe in pipes:
            await pipe.watch("a")
        async with open_at(server.url) as storage:
            await _raises(TemporaryError, "maxclients", storage.setup)
            for pipe in pipes:
                await pipe.reset()
            for client in clients:
                await client.aclose()
            await storage.setup()


async def test_a_pool_that_is_too_small() -> None:
    async with storage_in(pool_size=1, command_timeout=1.0) as storage:
        connection = await storage._link.acquire()
        await _raises(TemporaryError, "pool", lambda: storage.get(ids=["a"]))
        await storage._link.release(connection)
        assert await storage.get(ids=["a"]) == [None]


async def test_a_small_pool_of_the_callers() -> None:
    """Calls wait for each other, instead of being refused as the driver would."""
    kind: Any = Redis
    client = kind.from_url(server_url(), max_connections=2)
    namespace = fresh_namespace("small")
    storage = RedisStorage(client, namespace=namespace)
    await storage.setup()
    await asyncio.gather(*(storage.insert(items=[new(f"{n}")], now=NOW) for n in range(30)))
    assert (await storage.count(query=Query()))["*"] == 30
    await storage.close()
    await delete_namespace(client, namespace)
    await client.aclose()


async def test_an_answer_that_does_not_come() -> None:
    """A write may have landed; a read can be made again."""
    async with storage_in() as patient, plain_client() as client:
        options: dict[str, Any] = {"namespace": patient._settings.namespace}
        async with open_at(server_url(), **options, command_timeout=0.5) as hasty:
            items = [new("a")]
            await hasty.insert(items=[new("before")], now=NOW)
            await client.execute_command("CLIENT", "PAUSE", "2000", "ALL")
            insert = hasty.insert(items=items, now=NOW)
            await _raises(OutcomeUnknownError, "send the same call again", lambda: insert)
            await _raises(TemporaryError, "cannot be reached", lambda: hasty.get(ids=["a"]))
        (answer,) = await patient.insert(items=items, now=NOW)
        assert answer.record.id == "a"


async def test_keys_of_somebody_else() -> None:
    async with storage_in() as storage, plain_client() as client:
        await client.lpush(f"{{{storage._settings.namespace}}}:e:a", "not ours")
        await _raises(
            CorruptError, "another namespace", lambda: storage.insert(items=[new("a")], now=NOW)
        )


async def test_scripts_that_were_forgotten() -> None:
    """A flush of the scripts costs one more round trip, and nothing else."""
    async with storage_in() as storage, plain_client() as client:
        for turn in range(3):
            await client.script_flush()
            items = [new(f"{turn}-{n}", owner="anna") for n in range(150)]
            answers = await storage.insert(items=items, now=NOW)
            assert [answer.record.id for answer in answers] == [item.id for item in items]
            assert all(answer.outcome.value == "created" for answer in answers)
        assert (await storage.count(query=Query()))["*"] == 450
        pulse = storage.pulse()
        await client.script_flush()
        await asyncio.to_thread(pulse.beat, executor="anna", ttl=TTL, now=NOW)
        await asyncio.to_thread(pulse.close)


async def test_a_restart_of_the_server() -> None:
    """Connections of the pool are dead, and are replaced without anybody noticing."""
    async with storage_in() as storage:
        await storage.insert(items=[new("a", owner="anna")], now=NOW)
        await asyncio.gather(*[storage.get(ids=["a"]) for _ in range(5)])
        await restart_server()
        item = Finish(id="a", token=Token("anna", 1), phase=Phase.COMPLETED)
        (answer,) = await storage.apply(items=[item], now=NOW)
        assert answer.outcome is ApplyOutcome.APPLIED


async def test_everything_is_cut_at_once() -> None:
    """All connections of the pool break; new ones are made."""
    namespace = fresh_namespace("cut")
    async with through_proxy(namespace) as storage:
        await storage.setup()
        await asyncio.gather(*[storage.insert(items=[new(f"{n}")], now=NOW) for n in range(10)])
        break_connections(storage)
        counts: list[int] = []
        for _ in range(20):
            # A connection whose end is not known yet is tried once: a read says so.
            with suppress(TemporaryError):
                counts.append((await storage.count(query=Query()))["*"])
        assert counts[-1] == 10
        assert len(counts) >= 10, "what was made anew works"
    async with plain_client() as client:
        await delete_namespace(client, namespace)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (exc.BusyLoadingError("Redis is loading the dataset in memory"), TemporaryError),
        (exc.ResponseError("BUSY Redis is busy running a script"), TemporaryError),
        (exc.ResponseError("NOREPLICAS Not enough good replicas to write."), TemporaryError),
        (exc.ClusterDownError("CLUSTERDOWN Hash slot not served"), TemporaryError),
        (exc.MasterDownError("MASTERDOWN Link with MASTER is down"), TemporaryError),
        (exc.ClusterCrossSlotError("Keys in request don't hash to the same slot"), PermanentError),
        (exc.DataError("Invalid input of type"), OutcomeUnknownError),
        (exc.ConnectionError("Connection closed by server."), OutcomeUnknownError),
        (exc.TimeoutError("Timeout reading from socket"), OutcomeUnknownError),
        (exc.RedisClusterException("no reachable node"), OutcomeUnknownError),
        (ConnectionResetError("reset by peer"), OutcomeUnknownError),
        (exc.ResponseError("ERR something new"), OutcomeUnknownError),
        (RuntimeError("strange"), OutcomeUnknownError),
    ],
)
def test_errors_that_are_hard_to_cause(error: Exception, kind: type[StorageError]) -> None:
    """While a write is on its way; none of them is said to have written nothing if it may have."""
    raised = translate(error, "place", write=True, doubt=True, written=False)
    assert isinstance(raised, kind)
    after = translate(error, "place", write=True, doubt=False, written=True)
    assert isinstance(after, OutcomeUnknownError), "a part of the call was committed"
    read = translate(error, "place", write=False, doubt=False, written=False)
    assert not isinstance(read, OutcomeUnknownError)


def test_values_that_cannot_be_sent() -> None:
    error = translate(UnicodeError("x"), "place", write=True, doubt=False, written=False)
    assert isinstance(error, InvalidArgumentError)
