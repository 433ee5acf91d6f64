"""Hot calls read what they need by the index meant for it, however much lies around."""

# ruff: noqa: S608 - the names of tables are made here

import os
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import pytest_asyncio
from mysql_hooks import Line, drop_tables, fresh_prefix, line, server_url
from mysql_plans import Plan, plan_of

from durable_core.storage import Finish, NewExecution, Phase, Query, Token, Wake
from durable_mysql import MySQLStorage
from durable_mysql.literals import number, text
from durable_mysql.records import slot_of

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("mysql-plans"),
    pytest.mark.slow,
    pytest.mark.timeout(900),
]

ROWS = int(os.environ.get("DURABLE_TEST_PLAN_ROWS", "100000"))
"""Finished rows, rows for next week, and ready rows of unknown tasks: so many each."""

NOW = 2_000_000_000_000_000
WEEK = 7 * 86_400 * 1_000_000
TASKS = [f"known{n}" for n in range(20)]

_FILL = (
    "INSERT INTO {table} (id, task, queue, root_id, child_index, on_cancel, priority, phase, due, "
    "slot, turn, owner, gen, created_at, finished_at, options, meta, input) "
    "SELECT CONCAT('{kind}', n), '{task}', 'default', CONCAT('{kind}', n), 0, 'end', {priority}, "
    "'{phase}', {due}, {slot}, {turn}, {owner}, 1, {created} + n, {finished}, '', '', x'00' "
    "FROM {numbers} WHERE n < {rows} AND n % {tasks} = {place}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """Rows that lie around."""

    kind: str
    rows: int
    tasks: list[str]
    priority: int = 0
    due: int | None = None
    owner: str | None = None
    finished: int | None = None


_KINDS = (
    _Kind(kind="f", tasks=TASKS, finished=NOW - 1, rows=ROWS),
    _Kind(kind="s", tasks=TASKS, priority=1000, due=NOW + WEEK, rows=ROWS),
    _Kind(kind="u", tasks=["unknown"], priority=1000, due=0, rows=ROWS),
    _Kind(kind="r", tasks=TASKS, due=NOW - 1, rows=2_000),
    _Kind(kind="h", tasks=TASKS, owner="anna", rows=2_000),
    _Kind(kind="b", tasks=TASKS, owner="bela", rows=10_000),
)


async def _count_to(one: Line, table: str, most: int) -> None:
    """Make a table of numbers from 0 on, as many as are wanted and less than twice as many."""
    await one.rows(f"CREATE TABLE {table} (n INT PRIMARY KEY)")
    await one.rows(f"INSERT INTO {table} VALUES (0)")
    size = 1
    while size < most:
        await one.rows(f"INSERT INTO {table} SELECT n + {size} FROM {table}")
        size *= 2


async def _fill(one: Line, prefix: str, kind: _Kind) -> None:
    later = kind.due is not None and kind.due > NOW
    for place, task in enumerate(kind.tasks):
        slot = None if kind.due is None else slot_of("default", task) + later
        await one.rows(
            _FILL.format(
                table=f"{prefix}executions",
                kind=kind.kind,
                task=task,
                priority=kind.priority,
                phase="ready" if kind.finished is None else "completed",
                due=number(kind.due),
                slot=number(slot),
                turn=0 if later else -kind.priority,
                owner=text(kind.owner),
                created=NOW - WEEK,
                finished=number(kind.finished),
                numbers=f"{prefix}numbers",
                rows=kind.rows,
                tasks=len(kind.tasks),
                place=place,
            )
        )


@dataclass(frozen=True, slots=True)
class _Crowd:
    """A storage with one connection, whose tables are crowded."""

    server: str
    storage: MySQLStorage

    async def plan(self, call: Awaitable[object]) -> Plan:
        """See `plan_of`."""
        return await plan_of(self.server, self.storage, call)


@asynccontextmanager
async def _crowded(server: str) -> AsyncGenerator[_Crowd]:
    prefix = fresh_prefix("plans")
    storage = MySQLStorage.from_url(server_url(server), prefix=prefix, pool_size=1)
    await storage.setup()
    async with line(server) as one:
        await _count_to(one, f"{prefix}numbers", max(kind.rows for kind in _KINDS))
        for kind in _KINDS:
            await _fill(one, prefix, kind)
        await one.rows(f"ANALYZE TABLE {prefix}executions")
    await storage.heartbeat(executor="bela", ttl=NOW, now=NOW, register=True)
    try:
        yield _Crowd(server, storage)
    finally:
        await storage.close()
        await drop_tables(server, prefix)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["mysql", "mariadb"])
async def crowd(request: pytest.FixtureRequest) -> AsyncGenerator[_Crowd]:
    async with _crowded(request.param) as one:
        yield one


async def test_claim(crowd: _Crowd) -> None:
    """Reads as many rows of each task as it may take, whatever else is stored."""
    plan = await crowd.plan(
        crowd.storage.claim(executor="carl", tasks=TASKS, queues=["default"], limit=50, now=NOW)
    )
    assert plan.indexes("executions") == {"claimable", "PRIMARY"}
    assert not plan.bad("executions")
    assert plan.rows <= 4 * len(TASKS) * 50


async def test_claim_of_nothing(crowd: _Crowd) -> None:
    """An idle executor's claim looks at no row but the next one that is scheduled."""
    plan = await crowd.plan(
        crowd.storage.claim(executor="carl", tasks=TASKS, queues=["elsewhere"], limit=50, now=NOW)
    )
    assert plan.indexes("executions") == {"claimable"}
    assert not plan.bad("executions")
    assert plan.rows <= 12 * len(TASKS)


async def test_claim_by_id(crowd: _Crowd) -> None:
    ids = [f"s{n}" for n in range(100)]
    plan = await crowd.plan(
        crowd.storage.claim(executor="carl", tasks=[], queues=[], limit=100, ids=ids, now=NOW)
    )
    assert plan.indexes("executions") == {"PRIMARY"}
    assert not plan.bad("executions")
    assert plan.rows <= 8 * len(ids)


async def test_apply(crowd: _Crowd) -> None:
    items = [
        Finish(id=f"h{n}", token=Token("anna", 1), phase=Phase.COMPLETED, output=b"o")
        for n in range(500)
    ]
    plan = await crowd.plan(crowd.storage.apply(items=items, now=NOW))
    assert plan.indexes("executions") == {"PRIMARY"}
    assert not plan.bad("executions")
    assert plan.rows <= 5 * len(items)


async def test_insert_of_what_is_there(crowd: _Crowd) -> None:
    items = [NewExecution(id=f"new{n}", task="known0", key=f"k{n}") for n in range(500)]
    await crowd.storage.insert(items=items, now=NOW)
    again = [NewExecution(id=f"again{n}", task="known0", key=f"k{n}") for n in range(500)]
    plan = await crowd.plan(crowd.storage.insert(items=again, now=NOW))
    assert plan.indexes("executions") == {"PRIMARY", "keys"}
    assert not plan.bad("executions")
    assert plan.rows <= 6 * len(items)


async def test_heartbeat_and_its_orders(crowd: _Crowd) -> None:
    plan = await crowd.plan(crowd.storage.heartbeat(executor="bela", ttl=NOW, now=NOW))
    assert plan.indexes("executions") == {"held"}
    assert not plan.bad("executions")
    assert plan.rows <= 10


async def test_reap(crowd: _Crowd) -> None:
    """Who is alive costs one look, however much is held."""
    plan = await crowd.plan(crowd.storage.reap(now=NOW, limit=100))
    # The first look jumps from owner to owner: each once.
    assert plan.indexes("executions") == {"held"}
    assert not plan.bad("executions")
    assert plan.rows <= 8 * 101


async def test_get(crowd: _Crowd) -> None:
    ids = [f"f{n}" for n in range(500)]
    plan = await crowd.plan(crowd.storage.get(ids=ids))
    assert plan.indexes("executions") == {"PRIMARY"}
    assert not plan.bad("executions")
    assert plan.rows <= 2 * len(ids)


async def test_pages_of_what_an_executor_holds(crowd: _Crowd) -> None:
    """Sorted, but only what it holds."""
    plan = await crowd.plan(crowd.storage.find(query=Query(owner="bela"), limit=500))
    assert plan.indexes("executions") == {"held"}
    assert plan.rows <= 2 * 10_000 + 1_000


async def test_pages_of_all(crowd: _Crowd) -> None:
    query = Query(tasks=frozenset({"known0", "known1"}))
    page = await crowd.storage.find(query=query, limit=100)
    plan = await crowd.plan(crowd.storage.find(query=query, limit=100, cursor=page.cursor))
    assert plan.indexes("executions") == {"created"}
    assert not plan.bad("executions")
    assert plan.rows <= 20 * 100


async def test_wake(crowd: _Crowd) -> None:
    items = [
        Wake(task="work", wake_key=f"{n}", request=f"{n}", keep_until=2 * NOW) for n in range(200)
    ]
    await crowd.storage.wake(items=items, now=NOW)
    plan = await crowd.plan(crowd.storage.wake(items=items, now=NOW))
    assert plan.indexes("executions") <= {"sleepers", "PRIMARY"}
    assert plan.indexes("mailboxes") == {"PRIMARY"}
    assert not plan.bad("executions", "mailboxes")
    assert plan.rows <= 6 * len(items)


async def test_purge(crowd: _Crowd) -> None:
    plan = await crowd.plan(crowd.storage.purge(finished_before=NOW, now=NOW, limit=500))
    assert plan.indexes("executions") == {"finished", "PRIMARY"}
    assert not plan.bad("executions")
    assert plan.rows <= 8 * 500
