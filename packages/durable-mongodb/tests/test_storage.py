"""Options, the caller's client, the heartbeat's own connection, round trips, and mailboxes."""

import asyncio
import threading
from typing import Any

import pytest
from mongodb_hooks import (
    Client,
    MongoHooks,
    connection,
    fresh_database,
    restart_server,
    server_url,
    storage_in,
)
from mongodb_plans import Recorder
from pymongo import AsyncMongoClient, MongoClient

from durable_core.storage import (
    Beat,
    ClosedError,
    Finish,
    InvalidArgumentError,
    Keep,
    NewExecution,
    Phase,
    Token,
    Wake,
)
from durable_mongodb import MongoStorage

NOW = 2_000_000_000_000_000
TTL = 15_000_000


def new(id_: str, **fields: Any) -> NewExecution:
    return NewExecution(id=id_, task="work", **fields)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prefix": "1st"}, "ASCII letters"),
        ({"prefix": "system."}, "ASCII letters"),
        ({"prefix": "a$b"}, "ASCII letters"),
        ({"prefix": "x" * 41}, "ASCII letters"),
        ({"database": "a.b"}, "ASCII letters"),
        ({"database": "x" * 61}, "ASCII letters"),
        ({"pool_size": 0}, "pool_size=0"),
        ({"selection_timeout": 0}, "selection_timeout=0"),
        ({"command_timeout": float("nan")}, "command_timeout=nan"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        MongoStorage.from_url(server_url(), **options)


@pytest.mark.parametrize(
    "url",
    ["postgresql://localhost/a", "no url", "mongodb://", "mongodb://anna:se:cret@@h/?x=y&&"],
)
def test_urls_that_cannot_be(url: str) -> None:
    with pytest.raises(InvalidArgumentError, match="mongodb://user") as caught:
        MongoStorage.from_url(url)
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize("client", [None, "mongodb://localhost", object()])
def test_clients_that_cannot_be(client: object) -> None:
    with pytest.raises(InvalidArgumentError, match="AsyncMongoClient"):
        MongoStorage(client)


def test_a_blocking_client() -> None:
    client: MongoClient[Any] = MongoClient(server_url(), connect=False)
    with pytest.raises(InvalidArgumentError, match="AsyncMongoClient"):
        MongoStorage(client)
    client.close()


async def test_a_password_is_not_told() -> None:
    url = "mongodb://anna:secret@localhost:1/x?replicaSet=r"
    storage = MongoStorage.from_url(url)
    assert storage._database.place == "mongodb://localhost:1/x"
    await storage.close()


async def test_the_callers_client() -> None:
    """Used, with a database and prefix of the user's choice, and not closed.

    Whatever it was made with, writes wait for a majority, and documents are read as we mean them.
    """
    recorder = Recorder()
    client: Client = AsyncMongoClient(
        server_url(),
        event_listeners=[recorder],
        w=1,
        journal=False,
        readConcernLevel="local",
        readPreference="secondaryPreferred",
        tz_aware=False,
        retryWrites=False,
    )
    database = fresh_database("own")
    storage = MongoStorage(client, database=database, prefix="jobs_")
    await storage.setup()
    await storage.heartbeat(executor="anna", ttl=TTL, now=NOW, register=True)
    recorder.commands.clear()
    await storage.insert(items=[new("a", owner="anna"), new("b")], now=NOW)
    await storage.claim(executor="anna", tasks=["work"], queues=["default"], limit=9, now=NOW)
    token = Token("anna", 1)
    await storage.apply(items=[Keep(id="a", token=token, state=b"s")], now=NOW)
    end = Finish(id="a", token=token, phase=Phase.COMPLETED, checkpoints={"c": b"1"})
    await storage.apply(items=[end], now=NOW)
    await storage.heartbeat(executor="anna", ttl=TTL, now=NOW)
    writes = [one for one in recorder.commands if next(iter(one)) in _WRITES]
    alone = [one for one in writes if "autocommit" not in one]
    assert all(one["writeConcern"] == {"w": "majority", "j": True} for one in alone)
    assert recorder.commands[-1]["readConcern"] == {"level": "majority"}
    commits = [one for one in recorder.commands if "commitTransaction" in one]
    assert [one["writeConcern"] for one in commits] == [{"w": "majority", "j": True}]
    await storage.close()
    with pytest.raises(ClosedError):
        await storage.get(ids=["a"])
    rows = client[database]["jobs_executions"]
    assert [doc["_id"] async for doc in rows.find().sort("_id")] == ["a", "b"]
    await client.drop_database(database)
    await client.close()


_WRITES = {"insert", "update", "delete", "findAndModify"}


async def test_what_the_server_says_of_durability() -> None:
    async with storage_in() as storage:
        assert storage.capabilities.durable
        assert "w=majority, j=true" in storage.capabilities.durability
        assert "replica set durable of 1 member" in storage.capabilities.durability


async def test_the_database_of_the_url() -> None:
    """By default that of the URL; what is given goes before it."""
    url = server_url().replace("/?", "/from_url?")
    for given, name in ((None, "from_url"), ("given", "given")):
        storage = MongoStorage.from_url(url, database=given)
        assert storage._settings.database == name
        await storage.close()


async def test_a_heartbeat_beside_a_blocked_loop() -> None:
    """The thread's client is its own, outlives a restart, and may change its thread."""
    async with storage_in() as storage:
        await storage.heartbeat(executor="anna", ttl=TTL, now=NOW, register=True)
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
        assert lease.expires_at == NOW + 1 + TTL
        with pytest.raises(ClosedError):
            pulse.beat(executor="anna", ttl=TTL, now=NOW)


@pytest.mark.parametrize("task", ["work", "$wake"])
async def test_a_clock_that_is_ahead(task: str) -> None:
    """A row that was due for its writer, but is not for the claimer, is told as the next one."""
    async with storage_in() as storage:
        item = NewExecution(id="a", task=task, due=NOW + 500)
        await storage.insert(items=[item], now=NOW + 500)
        for now, ids in ((NOW, []), (NOW + 500, ["a"])):
            claimed = await storage.claim(
                executor="anna", tasks=["work"], queues=["default"], limit=9, now=now
            )
            assert [row.id for row in claimed.records] == ids
            assert claimed.next_due == (None if ids else NOW + 500)


async def test_many_scheduled_rows_become_due_at_once() -> None:
    """Claimed by priority, in pieces, though they lie in the order of their due times."""
    async with storage_in() as storage:
        items = [new(f"{n}", due=NOW + 1 + n, priority=n % 50) for n in range(500)]
        await storage.insert(items=items, now=NOW)
        order: list[tuple[int, int]] = []
        while len(order) < 500:
            claimed = await storage.claim(
                executor="anna", tasks=["work"], queues=["default"], limit=60, now=NOW + 1_000
            )
            order += [(-row.priority, int(row.id)) for row in claimed.records]
            assert claimed.exhausted == (len(order) == 500)
        assert order == sorted(order)


async def test_round_trips() -> None:
    """As many commands for a thousand rows as for two, and few; one less to claim a single one."""
    recorder = Recorder()
    client: Client = AsyncMongoClient(server_url(), event_listeners=[recorder])
    storage = MongoStorage(client, database=fresh_database("trips"))
    await storage.setup()
    names: list[list[str]] = []
    for size in (1, 2, 1_000):
        recorder.commands.clear()
        before = storage.statistics()
        items = [new(f"{size}-{n}") for n in range(size)]
        await storage.insert(items=items, now=NOW)
        claimed = await storage.claim(
            executor="anna", tasks=["work"], queues=["default"], limit=size, now=NOW
        )
        assert len(claimed.records) == size
        ends = [Finish(id=row.id, token=row.token, phase=Phase.FAILED) for row in claimed.records]
        await storage.apply(items=ends, now=NOW)
        await storage.cancel(ids=[item.id for item in items], request="r", now=NOW)
        wakes = [Wake(task="work", wake_key=f"{n}", request=f"{n}") for n in range(size)]
        await storage.wake(items=wakes, now=NOW)
        after = storage.statistics()
        names.append(recorder.names)
        assert after.commands - before.commands == len(recorder.names), "all are counted"
        assert after.transactions - before.transactions == 2
    assert names[0][:4] == ["insert", "find", "find", "findAndModify"]
    assert names[0][4:] == names[1][5:]
    assert names[1] == names[2]
    assert names[1] == [
        "insert",
        "find", "find", "update", "find",
        "update",
        "find", "commitTransaction",
        "find", "find", "update", "commitTransaction",
    ]  # fmt: skip
    await storage.close()
    await client.drop_database(storage._settings.database)
    await client.close()


async def test_a_purge_goes_past_children_of_the_living() -> None:
    """They stay, however many they are, and hide nothing behind them."""
    async with storage_in() as storage, connection() as client:
        rows = client[storage._settings.database]["durable_executions"]
        await storage.insert(items=[new("living"), new("z")], now=NOW)
        await storage.cancel(ids=["z"], request="r", now=NOW + 1)
        old = await rows.find_one({"_id": "z"})
        assert old is not None
        kids = [
            {**old, "_id": f"k{n}", "parent_id": "living", "finished_at": NOW} for n in range(450)
        ]
        await rows.insert_many(kids)
        assert await storage.purge(finished_before=NOW * 2, now=NOW, limit=10) == 1
        assert await rows.count_documents({}) == 451


async def test_mailboxes_are_forgotten() -> None:
    """Neither a message that nobody wanted nor a sleeper that was purged leaves one behind."""
    async with storage_in() as storage, connection() as client:
        boxes = client[storage._settings.database]["durable_mailboxes"]
        sleeper = new("s", phase=Phase.SLEEPING, wake_key="a", due=None)
        await storage.insert(items=[sleeper], now=NOW)
        wakes = [
            Wake(task="work", wake_key="a", request="1"),
            Wake(task="work", wake_key="b", request="2", keep_until=NOW + 10),
            Wake(task="work", wake_key="c", request="3"),
        ]
        await storage.wake(items=wakes, now=NOW)
        assert await boxes.count_documents({}) == 3
        await storage.purge(finished_before=NOW, now=NOW + 5, limit=9)
        assert {doc["_id"] async for doc in boxes.find()} == {"work\0a", "work\0b"}
        assert await storage.purge(finished_before=NOW * 2, now=NOW + 10, limit=9) == 1
        await storage.purge(finished_before=NOW * 2, now=NOW + 10, limit=9)
        assert await boxes.count_documents({}) == 0


async def test_two_prefixes_in_one_database() -> None:
    async with storage_in(prefix="one_") as one:
        two = MongoStorage.from_url(
            server_url(), database=one._settings.database, prefix="one_more_"
        )
        await two.setup()
        await one.insert(items=[new("a")], now=NOW)
        assert await two.get(ids=["a"]) == [None]
        await two.close()
        await MongoHooks().drop(one._settings.database)


async def test_batches_of_many_megabytes() -> None:
    """Larger than a document and a message may be: cut by the driver, read in several replies."""
    async with storage_in() as storage:
        large = bytes(storage.capabilities.max_payload)
        number = storage.capabilities.max_batch_bytes // len(large)
        items = [new(f"{n}", input=large) for n in range(number)]
        await storage.insert(items=items, now=NOW)
        claimed = await storage.claim(
            executor="anna", tasks=["work"], queues=["default"], limit=number, now=NOW
        )
        assert sum(len(row.input) for row in claimed.records) == number * len(large)
        ends = [
            Finish(id=row.id, token=row.token, phase=Phase.COMPLETED, output=large)
            for row in claimed.records
        ]
        assert {one.outcome.value for one in await storage.apply(items=ends, now=NOW)} == {
            "applied"
        }
        await storage.insert(items=[new("p", owner="anna")], now=NOW)
        children = [
            new(f"p{n}", parent_id="p", root_id="p", owner="anna", input=large)
            for n in range(number)
        ]
        keep = Keep(id="p", token=Token("anna", 1), children=children)
        (done,) = await storage.apply(items=[keep], now=NOW)
        assert len(done.held) == number
        ends = [
            Finish(
                id=child.id,
                token=Token("anna", 1),
                phase=Phase.FAILED,
                parent_id="p",
                error=large,
                checkpoints={},
            )
            for child in children
        ]
        assert {one.outcome.value for one in await storage.apply(items=ends, now=NOW)} == {
            "applied"
        }
        (parent,) = await storage.get(ids=["p"])
        assert parent is not None
        assert parent.pending == 0
