"""Hot calls read what they need by the index meant for it, however much lies around."""

import os
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import pytest_asyncio
from mongodb_hooks import Client, fresh_database, server_url
from mongodb_plans import Plan, Recorder, explain
from pymongo import AsyncMongoClient

from durable_core.storage import Finish, NewExecution, Phase, Query, Token
from durable_core.storage.kit import born
from durable_mongodb import MongoStorage
from durable_mongodb.records import birth_doc

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("mongodb-plans")]

ROWS = int(os.environ.get("DURABLE_TEST_PLAN_ROWS", "100000"))
"""Finished rows, rows for next week, and ready rows of unknown tasks: so many each."""

NOW = 2_000_000_000_000_000
WEEK = 7 * 86_400 * 1_000_000
TASKS = [f"known{n}" for n in range(20)]


@dataclass
class Crowd:
    """A storage among many rows, and what it sends."""

    storage: MongoStorage
    recorder: Recorder
    database: Any

    async def plans(self, collection: str = "durable_executions") -> list[tuple[str, Plan]]:
        """Explain what was sent since the last time, by the command's name."""
        sent, self.recorder.commands = self.recorder.of(collection), []
        return [(next(iter(one)), await explain(self.database, one)) for one in sent]


def _doc(name: str, number: int, **values: Any) -> dict[str, Any]:
    task = values.pop("task", TASKS[number % 20])
    item = NewExecution(
        id=f"{name}{number}", task=task, priority=values.pop("priority", 0), due=values.pop("due")
    )
    return {**birth_doc(born(item, NOW - WEEK + number), NOW, b""), **values}


def _finished(number: int) -> dict[str, Any]:
    doc = _doc("f", number, due=0, phase="completed", finished_at=NOW - 1, pending=0)
    del doc["ready"], doc["due"]
    return doc


def _held(name: str, number: int, owner: str) -> dict[str, Any]:
    doc = _doc(name, number, due=0, owner=owner, gen=1)
    del doc["ready"], doc["due"]
    return doc


def _scheduled(number: int) -> dict[str, Any]:
    return _doc("s", number, due=NOW + WEEK, priority=1000)


def _unknown(number: int) -> dict[str, Any]:
    return _doc("u", number, due=0, priority=1000, task="unknown")


def _ready(number: int) -> dict[str, Any]:
    return _doc("r", number, due=NOW - 1)


async def _fill(collection: Any) -> None:
    kinds: tuple[tuple[Callable[[int], dict[str, Any]], int], ...] = (
        (_finished, ROWS),
        (_scheduled, ROWS),
        (_unknown, ROWS),
        (_ready, 2_000),
        (partial(_held, "h", owner="anna"), 1_000),
        (partial(_held, "b", owner="bela"), 10_000),
    )
    for make, number in kinds:
        for start in range(0, number, 5_000):
            docs = [make(n) for n in range(start, min(start + 5_000, number))]
            await collection.insert_many(docs, ordered=False)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crowd() -> AsyncGenerator[Crowd]:
    recorder = Recorder()
    name = fresh_database("plans")
    client: Client = AsyncMongoClient(server_url(), event_listeners=[recorder])
    storage = MongoStorage(client, database=name)
    await storage.setup()
    database = client[name]
    await _fill(database["durable_executions"])
    for executor, now in (("bela", NOW * 2), ("dora", NOW * 2)):
        await storage.heartbeat(executor=executor, ttl=WEEK, now=now, register=True)
    recorder.commands.clear()
    yield Crowd(storage, recorder, database)
    await storage.close()
    await client.drop_database(name)
    await client.close()


async def test_claim(crowd: Crowd) -> None:
    claimed = await crowd.storage.claim(
        executor="carl", tasks=TASKS, queues=["default"], limit=50, now=NOW
    )
    assert len(claimed.records) == 50
    plans = await crowd.plans()
    assert [name for name, _ in plans] == ["find", "find", "update", "find"]
    by_index = {frozenset(plan.indexes): plan for _, plan in plans[:2]}
    ready = by_index[frozenset({"durable_ready"})]
    assert ready.keys <= 51 + 2 * 21
    assert ready.docs <= 51
    assert not ready.sorts
    later = by_index[frozenset({"durable_later"})]
    assert (later.keys, later.docs, later.sorts) == (20, 1, False)
    for _, plan in plans[2:]:
        assert plan.indexes == {"_id_"}
        assert plan.docs <= 50


async def test_claim_of_nothing(crowd: Crowd) -> None:
    """An idle executor's claim looks at no row but the next one that is scheduled."""
    claimed = await crowd.storage.claim(
        executor="carl", tasks=TASKS[:2], queues=["elsewhere"], limit=50, now=NOW
    )
    assert claimed.exhausted
    plans = await crowd.plans()
    assert [name for name, _ in plans] == ["find"] * 3
    assert all(plan.docs == 0 and not plan.scans for _, plan in plans)


async def test_claim_of_very_many_tasks(crowd: Crowd) -> None:
    """More claim queues than the server merges in order are asked for in several queries."""
    tasks = [f"strange{n}" for n in range(500)] + TASKS
    claimed = await crowd.storage.claim(
        executor="carl", tasks=tasks, queues=["default"], limit=5, now=NOW
    )
    assert len(claimed.records) == 5
    plans = await crowd.plans()
    assert [plan.sorts for _, plan in plans] == [False] * len(plans)


async def test_apply(crowd: Crowd) -> None:
    items = [
        Finish(id=f"h{n}", token=Token("anna", 1), phase=Phase.COMPLETED, output=b"o")
        for n in range(500)
    ]
    await crowd.storage.apply(items=items, now=NOW)
    ((name, plan),) = await crowd.plans()
    assert name == "update"
    assert (plan.indexes, plan.docs) == ({"_id_"}, 1)


async def test_heartbeat_and_its_orders(crowd: Crowd) -> None:
    await crowd.storage.heartbeat(executor="bela", ttl=WEEK, now=NOW * 2)
    ((_, plan),) = await crowd.plans()
    assert plan.indexes == {"durable_marked"}
    assert (plan.keys, plan.docs) == (0, 0)


async def test_reap(crowd: Crowd) -> None:
    """Who is alive costs a look at each owner, however much is held."""
    done = await crowd.storage.reap(now=NOW, limit=100)
    assert (done.rows, done.more) == (100, True)
    plans = await crowd.plans()
    assert [name for name, _ in plans] == ["aggregate", "find", "update", "find"]
    owners, held, free, counted = [plan for _, plan in plans]
    assert owners.indexes == held.indexes == {"durable_held"}
    assert owners.keys <= 5
    assert held.docs <= 101
    assert free.indexes == counted.indexes == {"_id_"}
    assert free.docs <= 100


async def test_get(crowd: Crowd) -> None:
    ids = [f"f{n}" for n in range(500)]
    await crowd.storage.get(ids=ids)
    ((_, plan),) = await crowd.plans()
    assert plan.indexes == {"_id_"}
    assert plan.docs == 500


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (Query(owner="bela"), "durable_held"),
        (Query(parent_id="nobody"), "durable_children"),
        (Query(created_from=NOW), "durable_created"),
        (Query(finished_before=NOW - 1), "durable_finished"),
        (Query(id_prefix="nothing"), "_id_"),
    ],
)
async def test_find(crowd: Crowd, query: Query, index: str) -> None:
    await crowd.storage.find(query=query, limit=10)
    ((_, plan),) = await crowd.plans()
    assert plan.indexes == {index}


async def test_find_a_tree(crowd: Crowd) -> None:
    await crowd.storage.find(query=Query(root_id="f1"), limit=10)
    ((_, plan),) = await crowd.plans()
    assert plan.indexes <= {"_id_", "durable_tree"}
    assert plan.docs <= 2


async def test_apply_in_a_family(crowd: Crowd) -> None:
    """A transaction reads and writes what it is about, and nothing else."""
    row = Finish(id="h900", token=Token("anna", 1), phase=Phase.COMPLETED, parent_id="h901")
    await crowd.storage.apply(items=[row], now=NOW)
    plans = await crowd.plans()
    assert all(plan.indexes <= {"_id_"} and plan.docs <= 2 for _, plan in plans)


async def test_purge(crowd: Crowd) -> None:
    assert await crowd.storage.purge(finished_before=NOW, now=NOW, limit=150) == 150
    plans = await crowd.plans()
    assert [name for name, _ in plans] == ["find", "find", "delete"]
    assert "durable_finished" in plans[0][1].indexes
    assert not plans[0][1].scans
    assert plans[0][1].docs <= 200
    assert all(plan.docs <= 150 for _, plan in plans[1:])
