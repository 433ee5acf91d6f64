"""Options, the caller's client, durability, hints, the heartbeat's own connection."""

import asyncio
import logging
import threading
from typing import Any

import pytest
from redis.asyncio import Redis
from redis_hooks import (
    break_listener,
    delete_namespace,
    fresh_namespace,
    hints_of,
    plain_client,
    restart_server,
    server_url,
    storage_in,
    through_proxy,
)
from redis_private import private_server

from durable_core.storage import (
    Beat,
    ClosedError,
    Finished,
    Hint,
    InvalidArgumentError,
    NewExecution,
    OutcomeUnknownError,
    PermanentError,
    Ready,
    Reconnected,
    Wake,
)
from durable_redis import RedisStorage

NOW = 2_000_000_000_000_000
TTL = 15_000_000


def new(id_: str, **fields: Any) -> NewExecution:
    return NewExecution(id=id_, task="work", **fields)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"namespace": ""}, "1 to 64"),
        ({"namespace": "a{b}"}, "1 to 64"),
        ({"namespace": "x" * 65}, "1 to 64"),
        ({"durability": "maybe"}, "require"),
        ({"wait_replicas": -1}, "from 0"),
        ({"wait_timeout": 0}, "above|up to"),
        ({"pool_size": 0}, "from 1"),
        ({"connect_timeout": 0}, "above 0"),
        ({"command_timeout": -1}, "above 0"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=text):
        RedisStorage.from_url("redis://127.0.0.1:1/0", **options)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://anna:secret@localhost/a",
        "no url at all",
        "redis+cluster://anna:secret@localhost:port",
        "redis://anna:secret@localhost:port",
    ],
)
def test_urls_that_cannot_be(url: str) -> None:
    with pytest.raises(InvalidArgumentError, match="URL") as caught:
        RedisStorage.from_url(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://anna:secret@localhost:7000/3", "localhost:7000/3"),
        ("rediss://anna:secret@localhost:7000", "localhost:7000/0"),
        ("unix://anna@/tmp/redis.sock?db=2&password=secret", "/tmp/redis.sock/2"),  # noqa: S108
        ("redis+cluster://anna:secret@127.0.0.1:7000", "cluster 127.0.0.1:7000"),
    ],
)
def test_a_password_is_not_told(url: str, place: str) -> None:
    storage = RedisStorage.from_url(url)
    assert storage._database.place == f"{place} 'durable'"


def test_a_client_that_is_none() -> None:
    stranger: Any = object()
    with pytest.raises(InvalidArgumentError, match="RedisCluster"):
        RedisStorage(stranger)


@pytest.mark.parametrize("options", [{}, {"decode_responses": True}, {"protocol": 2}])
async def test_the_callers_client(options: dict[str, Any]) -> None:
    """Used, whatever it does with answers, and not closed."""
    kind: Any = Redis
    client = kind.from_url(server_url(), **options)
    namespace = fresh_namespace("own")
    storage = RedisStorage(client, namespace=namespace)
    await storage.setup()
    await storage.insert(items=[new("a", input=b"\xff\0", owner="anna")], now=NOW)
    await storage.heartbeat(executor="anna", ttl=TTL, now=NOW, register=True)
    (row,) = await storage.get(ids=["a"])
    assert row is not None
    assert row.owner == "anna"
    assert [lease.executor for lease in (await storage.leases(limit=9)).items] == ["anna"]
    async with hints_of(storage, "default") as hints:
        assert await anext(hints) == Reconnected()
    assert storage.capabilities.durable
    await storage.close()
    with pytest.raises(ClosedError):
        await storage.get(ids=["a"])
    assert await client.exists(f"{{{namespace}}}:e:a") == 1, "the client is still open"
    await delete_namespace(client, namespace)
    await client.aclose()


async def test_a_unix_socket() -> None:
    with private_server("--unixsocket", "redis.sock") as server:
        storage = RedisStorage.from_url(f"unix://{server.folder}/redis.sock")
        await storage.setup()
        await storage.insert(items=[new("a")], now=NOW)
        pulse = storage.pulse()
        assert not (await asyncio.to_thread(pulse.beat, executor="a", ttl=TTL, now=NOW)).alive
        await asyncio.to_thread(pulse.close)
        await storage.close()


@pytest.mark.parametrize(
    ("options", "weakness"),
    [
        (("--appendonly", "no"), "appendonly is off"),
        (("--appendfsync", "everysec"), "appendfsync is everysec"),
        (("--maxmemory", "1gb", "--maxmemory-policy", "allkeys-lru"), "policy is allkeys-lru"),
    ],
)
async def test_a_server_that_may_forget(
    options: tuple[str, ...], weakness: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning, a refusal, or nothing, as one likes; the capabilities say what is true."""
    with private_server(*options) as server, caplog.at_level(logging.WARNING, "durable_redis"):
        careful = RedisStorage.from_url(server.url, durability="require")
        with pytest.raises(PermanentError, match=weakness):
            await careful.setup()
        assert not caplog.records
        await careful.close()
        ignorant = RedisStorage.from_url(server.url, durability="ignore")
        await ignorant.setup()
        assert not caplog.records
        await ignorant.close()
        storage = RedisStorage.from_url(server.url)
        await storage.setup()
        (record,) = caplog.records
        assert weakness in record.getMessage()
        assert not storage.capabilities.durable
        await storage.close()


async def test_what_a_safe_server_says(caplog: pytest.LogCaptureFixture) -> None:
    async with storage_in() as storage:
        assert storage.capabilities.durable
        text = storage.capabilities.durability
        assert "appendonly=yes, appendfsync=always, maxmemory-policy=noeviction" in text
        assert not caplog.records


async def test_a_server_that_is_too_old_for_an_option() -> None:
    """WAITAOF came with Redis 7.2."""
    with private_server() as server:
        storage = RedisStorage.from_url(server.url, wait_aof=True)
        if b"redis_version:7.0" in await _info(server.url):
            with pytest.raises(PermanentError, match=r"7\.2"):
                await storage.setup()
        else:
            await storage.setup()
        await storage.close()


async def _info(url: str) -> bytes:
    async with plain_client(url) as client:
        facts = await client.info("server")
    return f"redis_version:{facts['redis_version']}".encode()


async def test_waiting_for_the_file() -> None:
    """A lazy server that is made to sync each write keeps what it answered."""
    with private_server("--appendfsync", "everysec", valkey=True) as server:
        storage = RedisStorage.from_url(server.url, wait_aof=True)
        await storage.setup()
        assert storage.capabilities.durable
        assert "WAITAOF" in storage.capabilities.durability
        await storage.insert(items=[new("a"), new("b")], now=NOW)
        async with plain_client(server.url) as client:
            stats = await client.info("commandstats")
        assert stats["cmdstat_waitaof"]["calls"] >= 1
        await storage.close()


async def test_waiting_for_replicas() -> None:
    """Too few of them: it was written, but may be lost; sent again it is found done."""
    with private_server() as primary:
        hasty = RedisStorage.from_url(primary.url, wait_replicas=1, wait_timeout=0.1)
        patient = RedisStorage.from_url(primary.url, wait_replicas=1, wait_timeout=30)
        with pytest.raises(OutcomeUnknownError, match="WAIT"):
            await hasty.setup()
        with private_server("--replicaof", f"127.0.0.1 {primary.port}") as replica:
            async with plain_client(replica.url) as client:
                while (await client.info("replication"))["master_link_status"] != "up":  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            await patient.setup()
            assert "confirmed by 1 replicas" in patient.capabilities.durability
            (answer,) = await patient.insert(items=[new("a")], now=NOW)
            assert answer.outcome == "created"
        with pytest.raises(OutcomeUnknownError, match="send the same call again"):
            await hasty.insert(items=[new("b")], now=NOW)
        await hasty.close()
        await patient.close()


async def test_a_heartbeat_beside_a_blocked_loop() -> None:
    """The thread's connection is its own, outlives a restart, and may change its thread."""
    async with storage_in() as storage:
        await storage.heartbeat(executor="anna", ttl=TTL, now=NOW, register=True, info=b"i")
        pulse = storage.pulse()
        beats: list[Beat] = []

        def beat() -> None:
            beats.append(pulse.beat(executor="anna", ttl=TTL, now=NOW + 1))

        for _ in range(2):
            thread = threading.Thread(target=beat)
            thread.start()
            thread.join()  # the loop stands still meanwhile
        await restart_server()
        await asyncio.to_thread(beat)
        await asyncio.to_thread(pulse.close)
        await asyncio.to_thread(pulse.close)
        assert [one.alive for one in beats] == [True] * 3
        (lease,) = (await storage.leases(limit=9)).items
        assert (lease.started_at, lease.expires_at, lease.info) == (NOW, NOW + 1 + TTL, b"i")
        with pytest.raises(ClosedError):
            pulse.beat(executor="anna", ttl=TTL, now=NOW)


async def test_hints_of_another_storage() -> None:
    """Ready and Finished arrive by the server; after its restart the listener says so."""
    async with storage_in() as writer:
        reader = RedisStorage.from_url(server_url(), namespace=writer._settings.namespace)
        async with hints_of(reader, "default") as hints:
            heard: list[Hint] = []

            async def hear(hint: Hint) -> None:
                async with asyncio.timeout(20):
                    while hint not in heard:
                        heard.append(await anext(hints))

            await hear(Reconnected())
            await writer.insert(items=[new("a")], now=NOW)
            await hear(Ready(queue="default"))
            await writer.cancel(ids=["a"], request="r", now=NOW)
            await hear(Finished())
            heard.clear()
            await restart_server()
            await hear(Reconnected())
            assert heard == [Reconnected()]
            heard.clear()
            await writer.insert(items=[new("b")], now=NOW)
            await hear(Ready(queue="default"))
        await reader.close()


async def test_no_hint_is_missed_between_two_connections() -> None:
    """What was written while nobody listened is behind the read that `Reconnected` asks for."""
    namespace = fresh_namespace("ears")
    async with through_proxy(namespace) as storage, plain_client() as client:
        await storage.setup()
        async with hints_of(storage, "default") as hints:
            assert await anext(hints) == Reconnected()
            for turn in range(5):
                break_listener(storage)
                await storage.insert(items=[new(f"{turn}", due=NOW)], now=NOW)
                async with asyncio.timeout(20):
                    while await anext(hints) != Reconnected():
                        pass
                claimed = await storage.claim(
                    executor="anna", tasks=["work"], queues=["default"], limit=9, now=NOW
                )
                assert [row.id for row in claimed.records] == [f"{turn}"]
        await delete_namespace(client, namespace)


async def test_a_clock_that_is_ahead() -> None:
    """A row that was due for its writer, but is not for the claimer, is told as the next one."""
    async with storage_in() as storage:
        for task in ("work", "$wake"):
            later = NOW + 500_000
            await storage.insert(items=[NewExecution(id=task, task=task, due=later)], now=later)
            for now, ids in ((NOW, []), (later, [task])):
                claimed = await storage.claim(
                    executor="anna", tasks=["work"], queues=["default"], limit=9, now=now
                )
                assert [row.id for row in claimed.records] == ids
                assert claimed.next_due == (None if ids else later)


async def test_round_trips() -> None:
    """As many for two hundred rows as for one."""
    async with storage_in() as storage:
        counts: list[int] = []
        for size in (1, 200):
            before = storage.statistics().round_trips
            items = [new(f"{size}-{n}") for n in range(size)]
            await storage.insert(items=items, now=NOW)
            await storage.claim(
                executor="anna", tasks=["work"], queues=["default"], limit=size, now=NOW
            )
            await storage.cancel(ids=[item.id for item in items], request="r", now=NOW)
            wakes = [Wake(task="work", wake_key=f"{n}", request=f"{n}") for n in range(size)]
            await storage.wake(items=wakes, now=NOW)
            counts.append(storage.statistics().round_trips - before)
        assert counts == [4, 4]
        total = storage.statistics()
        assert total.commands >= total.scripts >= total.writes > 0
