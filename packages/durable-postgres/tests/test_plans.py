"""Hot statements read what they need by the index meant for it, however much lies around."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from postgres_hooks import connection, fresh_schema, server_url
from postgres_plans import Plan, explain

from durable_core.storage import Finish, NewExecution, Phase, Token
from durable_postgres import PostgresStorage, batches, statements
from durable_postgres.applying import plain_values
from durable_postgres.connections import driver_of
from durable_postgres.inserting import birth_values
from durable_postgres.session import Driver
from durable_postgres.settings import Settings

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("postgres-plans")]

ROWS = int(os.environ.get("DURABLE_TEST_PLAN_ROWS", "100000"))
"""Finished rows, rows for next week, and ready rows of unknown tasks: so many each."""

NOW = 2_000_000_000_000_000
WEEK = 7 * 86_400 * 1_000_000

_FILL = (
    "INSERT INTO ~executions (id, task, queue, root_id, child_index, on_cancel, priority, phase, "
    "due, lane, owner, gen, crashes, attempt, pending, join_at, cancel_requested, created_at, "
    "finished_at, options, meta, input) SELECT $1 || n, $2 || CASE WHEN $3 > 1 THEN n % $3 ELSE 0 "
    "END, 'default', $1 || n, 0, 'end', $4, $5, $6, $7, $8, 1, 0, 1, 0, 0, false, $9::int8 + n, "
    "$10::int8, '', '', '\\x00' FROM generate_series(1, $11::int) AS n"
)


@asynccontextmanager
async def _crowded() -> AsyncGenerator[Settings]:
    schema = fresh_schema("plans")
    settings = Settings(schema=schema, prefix="durable_", pooler=False, connect_timeout=10)
    storage = PostgresStorage.from_url(server_url(), schema=schema)
    await storage.setup()
    await storage.close()
    fill = settings.expand(_FILL)
    kinds = (
        ("f", "known", 20, 0, "completed", None, None, None, NOW - WEEK, NOW - 1, ROWS),
        ("s", "known", 20, 1000, "ready", NOW + WEEK, 2, None, NOW - WEEK, None, ROWS),
        ("u", "unknown", 1, 1000, "ready", 0, 1, None, NOW - WEEK, None, ROWS),
        ("r", "known", 20, 0, "ready", NOW - 1, 1, None, NOW - WEEK, None, 2_000),
        ("h", "known", 20, 0, "ready", None, None, "anna", NOW - WEEK, None, 1_000),
        ("b", "known", 20, 0, "ready", None, None, "bela", NOW - WEEK, None, 10_000),
    )
    async with connection() as driver:
        for kind in kinds:
            await driver.execute(fill, *kind)
        await driver.execute(
            settings.expand("INSERT INTO ~leases VALUES ('bela', 0, $1, '')"), NOW * 2
        )
        await driver.execute(settings.expand("ANALYZE ~executions"))
        try:
            yield settings
        finally:
            await driver.execute(f'DROP SCHEMA "{schema}" CASCADE')


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crowded() -> AsyncGenerator[Settings]:
    async with _crowded() as settings:
        yield settings


@pytest_asyncio.fixture(params=["own engine", "caller's engine"], loop_scope="module")
async def driver(request: pytest.FixtureRequest) -> AsyncGenerator[Driver]:
    """A connection with the settings of our own engine, and one with the server's defaults."""
    if request.param == "caller's engine":
        async with connection() as one:
            yield one
        return
    storage = PostgresStorage.from_url(server_url())
    pooled = await storage._engine.raw_connection()
    yield driver_of(pooled)
    pooled.close()
    await storage.close()


async def _plan(driver: Driver, crowded: Settings, text: str, *values: object) -> Plan:
    return await explain(driver, crowded.expand(text), *values)


async def test_claim(driver: Driver, crowded: Settings) -> None:
    tasks = [f"known{n}" for n in range(20)]
    values = (NOW, "carl", 50, ["default"], tasks, 50)
    plan = await _plan(driver, crowded, statements.CLAIM, *values)
    ways = plan.indexes("durable_executions")
    reads = {"durable_ready", "durable_scheduled", "durable_duties", "durable_postponed"}
    assert ways == {*reads, "durable_executions_pkey"}
    assert plan.rows("durable_executions") <= 20 * 50 + 50
    assert plan.sorted_rows <= 20 * 50


async def test_claim_of_nothing(driver: Driver, crowded: Settings) -> None:
    """An idle executor's claim looks at no row but the next one that is scheduled."""
    values = (NOW, "carl", 50, ["elsewhere"], ["known0", "known1"], 50)
    plan = await _plan(driver, crowded, statements.CLAIM, *values)
    assert plan.rows("durable_executions") == 0
    assert None not in plan.indexes("durable_executions")


async def test_apply(driver: Driver, crowded: Settings) -> None:
    items = [
        Finish(id=f"h{n}", token=Token("anna", 1), phase=Phase.COMPLETED, output=b"o")
        for n in range(1, 501)
    ]
    plan = await _plan(driver, crowded, batches.APPLY, NOW, *plain_values(items))
    assert plan.indexes("durable_executions") == {"durable_executions_pkey"}
    assert plan.rows("durable_executions") == 2 * 500, "each row once to lock, once to write"


async def test_insert(driver: Driver, crowded: Settings) -> None:
    items = [NewExecution(id=f"new{n}", task="known0") for n in range(500)]
    plan = await _plan(driver, crowded, batches.INSERT, NOW, *birth_values(items, NOW))
    assert plan.nodes == []


async def test_heartbeat_and_its_orders(driver: Driver, crowded: Settings) -> None:
    plan = await _plan(driver, crowded, statements.RENEW, "bela", NOW)
    assert plan.indexes("durable_executions") == {"durable_marked"}
    assert plan.rows("durable_executions") == 0


async def test_reap(driver: Driver, crowded: Settings) -> None:
    """Who is alive costs one look, however much is held."""
    plan = await _plan(driver, crowded, statements.REAP, NOW, 100)
    assert plan.indexes("durable_executions") == {"durable_held", "durable_executions_pkey"}
    assert plan.rows("durable_executions") <= 2 * 101 + 5


async def test_get(driver: Driver, crowded: Settings) -> None:
    ids = [f"f{n}" for n in range(1, 501)]
    plan = await _plan(driver, crowded, statements.GET_RECORDS, ids)
    assert plan.indexes("durable_executions") == {"durable_executions_pkey"}
    assert plan.rows("durable_executions") == 500


async def test_lock_for_families(driver: Driver, crowded: Settings) -> None:
    ids = [f"h{n}" for n in range(1, 501)]
    plan = await _plan(driver, crowded, statements.LOCK, ids)
    assert plan.indexes("durable_executions") == {"durable_executions_pkey"}
    assert plan.rows("durable_executions") <= 2 * 500


async def test_purge(driver: Driver, crowded: Settings) -> None:
    plan = await _plan(driver, crowded, statements.OVER, NOW, 500)
    assert "durable_finished" in plan.indexes("durable_executions")
    assert None not in plan.indexes("durable_executions")
    assert plan.rows("durable_executions") <= 2 * 500
