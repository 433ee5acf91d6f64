"""Options, the caller's engine, the heartbeat's own connection, and the tables for Alembic."""

import asyncio
import threading
from typing import Any

import pytest
from postgres_hooks import (
    connection,
    fresh_schema,
    hints_of,
    restart_server,
    server_url,
    storage_in,
)
from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.schema import CreateSchema

from durable_core.storage import (
    Beat,
    ClosedError,
    Finished,
    Hint,
    InvalidArgumentError,
    NewExecution,
    Ready,
    Reconnected,
    Wake,
)
from durable_postgres import PostgresStorage, tables

NOW = 2_000_000_000_000_000
TTL = 15_000_000

_SHAPE = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
    l.collname
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
LEFT JOIN pg_collation l ON l.oid = a.attcollation
WHERE c.relnamespace = $1::regnamespace AND c.relkind = 'r' AND a.attnum > 0
ORDER BY c.relname, a.attnum
"""
_SETTINGS = """
SELECT relname, array(SELECT unnest(reloptions) ORDER BY 1) FROM pg_class
WHERE relnamespace = $1::regnamespace AND relkind = 'r' ORDER BY relname
"""
_INDEXES = """
SELECT indexname, replace(indexdef, $1, 'SCHEMA') FROM pg_indexes WHERE schemaname = $1
ORDER BY indexname
"""


def new(id_: str) -> NewExecution:
    return NewExecution(id=id_, task="work")


@pytest.mark.parametrize(
    "options",
    [
        {"schema": "1st"},
        {"schema": "pg_temp"},
        {"prefix": 'a"b'},
        {"prefix": "x" * 41},
        {"schema": ""},
    ],
)
def test_names_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match="ASCII letters"):
        PostgresStorage.from_url(server_url(), **options)


@pytest.mark.parametrize(
    "url", ["mysql://localhost/a", "no url at all", "postgresql+psycopg://h/d"]
)
def test_urls_that_cannot_be(url: str) -> None:
    with pytest.raises(InvalidArgumentError, match="postgresql://user"):
        PostgresStorage.from_url(url)


def test_a_password_is_not_told() -> None:
    storage = PostgresStorage.from_url("postgresql://anna:secret@localhost/x?sslmode=disable")
    assert "secret" not in storage._database.place


async def test_the_callers_engine() -> None:
    """Used, with a schema and prefix of the user's choice, and not closed."""
    engine = create_async_engine(server_url().set(drivername="postgresql+asyncpg"))
    schema = fresh_schema("own")
    storage = PostgresStorage(engine, schema=schema, prefix="jobs_")
    await storage.setup()
    await storage.insert(items=[new("a")], now=NOW)
    await storage.close()
    with pytest.raises(ClosedError):
        await storage.get(ids=["a"])
    async with engine.begin() as one:
        rows = await one.exec_driver_sql(f"SELECT id FROM {schema}.jobs_executions")  # noqa: S608
        assert [row[0] for row in rows] == ["a"]
        await one.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
    await engine.dispose()


async def test_what_the_server_says_of_durability() -> None:
    async with storage_in() as storage:
        assert storage.capabilities.durable
        assert "fsync=on, synchronous_commit=on" in storage.capabilities.durability
        assert storage.capabilities.durability.startswith("PostgreSQL 1")


async def test_the_tables_for_alembic() -> None:
    """What SQLAlchemy creates from the metadata is what the migrations create."""
    schema = fresh_schema("alembic")
    async with storage_in() as storage, connection() as driver:
        engine = create_async_engine(server_url().set(drivername="postgresql+asyncpg"))
        metadata = MetaData()
        made = tables(metadata, schema=schema)
        async with engine.begin() as one:
            await one.execute(CreateSchema(schema))
            await one.run_sync(metadata.create_all)
        await engine.dispose()
        assert len(made) == 5
        shapes: list[object] = []
        indexes: list[object] = []
        settings: list[list[tuple[str, list[str]]]] = []
        for name in (storage._settings.schema, schema):
            shapes.append([tuple(row) for row in await driver.fetch(_SHAPE, name)])
            indexes.append([tuple(row) for row in await driver.fetch(_INDEXES, name)])
            settings.append([tuple(row) for row in await driver.fetch(_SETTINGS, name)])
        assert shapes[0] == shapes[1]
        assert settings[0] == settings[1]
        tuned = dict(settings[0])
        assert "autovacuum_vacuum_threshold=20000" in tuned["durable_executions"]
        assert tuned["durable_leases"] == ["fillfactor=50"]
        assert indexes[0] == indexes[1]
        await driver.execute(f"DROP SCHEMA {schema} CASCADE")


async def test_a_heartbeat_beside_a_blocked_loop() -> None:
    """The thread's connection is its own, outlives a restart, and may change its thread."""
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


async def test_hints_of_another_storage() -> None:
    """Ready and Finished arrive by the server; after its restart the listener says so."""
    async with storage_in() as writer:
        reader = PostgresStorage.from_url(server_url(), schema=writer._settings.schema)
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


async def test_round_trips() -> None:
    """As many statements for a thousand rows as for one."""
    async with storage_in() as storage:
        counts: list[int] = []
        for size in (1, 1_000):
            before = storage.statistics().statements
            items = [new(f"{size}-{n}") for n in range(size)]
            await storage.insert(items=items, now=NOW)
            await storage.claim(
                executor="anna", tasks=["work"], queues=["default"], limit=size, now=NOW
            )
            await storage.cancel(ids=[item.id for item in items], request="r", now=NOW)
            wakes = [Wake(task="work", wake_key=f"{n}", request=f"{n}") for n in range(size)]
            await storage.wake(items=wakes, now=NOW)
            await storage._notifier.close()
            counts.append(storage.statistics().statements - before)
        assert counts[1] <= counts[0] + 2, "but for hints, which may be sent in several"
