"""Enqueueing inside the caller's own transaction, whatever its isolation level is."""

# ruff: noqa: S608 - the names of tables are made here

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from mysql_hooks import engine_url, hints_of, line, somebody_waits, storage_in
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from durable_core.storage import (
    Finish,
    InsertOutcome,
    InvalidArgumentError,
    NewExecution,
    OnCancel,
    Phase,
    Ready,
    Reconnected,
    TemporaryError,
    Token,
    Wake,
)
from durable_mysql import MySQLStorage

NOW = 2_000_000_000_000_000
ITEM = NewExecution(id="a", task="work", tags=frozenset({"x", "ü"}), on_cancel=OnCancel.DELIVER)


@asynccontextmanager
async def engine(server: str, **options: str) -> AsyncGenerator[AsyncEngine]:
    one = create_async_engine(engine_url(server), poolclass=NullPool, **options)
    try:
        yield one
    finally:
        await one.dispose()


async def snapshot(storage: MySQLStorage, caller: AsyncConnection) -> None:
    """Let the caller's transaction see what is there now, and nothing newer."""
    await caller.exec_driver_sql(f"SELECT COUNT(*) FROM {storage._settings.prefix}executions")


async def test_a_session(server: str) -> None:
    async with storage_in(server) as storage, engine(server) as one:
        async with AsyncSession(one) as session:
            await storage.bind(session).insert(items=[ITEM], now=NOW)
            assert await storage.get(ids=["a"]) == [None]
            await session.commit()
        (row,) = await storage.get(ids=["a"])
        assert row is not None
        assert row.tags == ITEM.tags


async def test_a_session_that_has_begun(server: str) -> None:
    async with storage_in(server) as storage, engine(server) as one:
        async with AsyncSession(one) as session, session.begin():
            await storage.bind(session).insert(items=[ITEM], now=NOW)
        assert await storage.get(ids=["a"]) != [None]


async def test_no_transaction(server: str) -> None:
    """In autocommit there is nothing to join, so nothing is written."""
    async with storage_in(server) as storage, engine(server, isolation_level="AUTOCOMMIT") as one:
        async with one.connect() as caller:
            with pytest.raises(InvalidArgumentError, match="AUTOCOMMIT"):
                await storage.bind(caller).insert(items=[ITEM], now=NOW)
        assert await storage.get(ids=["a"]) == [None]


async def test_something_else(server: str) -> None:
    async with storage_in(server) as storage:
        for tx in (None, "tx", storage):
            with pytest.raises(InvalidArgumentError, match="AsyncSession"):
                storage.bind(tx)


async def test_an_asyncmy_connection(server: str) -> None:
    url = engine_url(server).set(drivername="mysql+asyncmy")
    one = create_async_engine(url, poolclass=NullPool)
    async with storage_in(server) as storage:
        async with one.begin() as caller:
            await storage.bind(caller).insert(items=[ITEM], now=NOW)
            assert await storage.get(ids=["a"]) == [None]
        assert await storage.get(ids=["a"]) != [None]
    await one.dispose()


@pytest.mark.parametrize("level", ["REPEATABLE READ", "READ COMMITTED", "SERIALIZABLE"])
async def test_what_came_after_the_callers_snapshot(server: str, level: str) -> None:
    """An id and a key that the caller's transaction cannot see are answered all the same."""
    item = NewExecution(id="b", task="work", key="k")
    async with (
        storage_in(server) as storage,
        engine(server, isolation_level=level) as one,
        one.connect() as caller,
    ):
        await snapshot(storage, caller)
        if level == "SERIALIZABLE":
            # There, a read locks what it has read: others cannot insert before it ends.
            await caller.rollback()
        await storage.insert(items=[ITEM, item], now=NOW)
        again = [ITEM, NewExecution(id="c", task="work", key="k"), NewExecution(id="d", task="t")]
        answers = await storage.bind(caller).insert(items=again, now=NOW)
        assert [answer.outcome for answer in answers] == [
            InsertOutcome.EXISTING_ID,
            InsertOutcome.EXISTING_KEY,
            InsertOutcome.CREATED,
        ]
        assert answers[1].record.id == "b"
        await caller.commit()
        assert None in await storage.get(ids=["c"])
        assert None not in await storage.get(ids=["d"])


async def test_what_is_there_is_not_locked(server: str) -> None:
    """The execution that has the key can go on while the caller's transaction is open."""
    async with storage_in(server, lock_timeout=1) as storage, engine(server) as one:
        held = NewExecution(id="a", task="work", key="k", owner="anna")
        await storage.insert(items=[held], now=NOW)
        async with one.begin() as caller:
            again = NewExecution(id="b", task="work", key="k")
            (answer,) = await storage.bind(caller).insert(items=[again], now=NOW)
            assert answer.outcome is InsertOutcome.EXISTING_KEY
            done = Finish(id="a", token=Token("anna", 1), phase=Phase.COMPLETED)
            (applied,) = await storage.apply(items=[done], now=NOW)
            assert applied.outcome.value == "applied"


async def test_nobody_is_held(server: str) -> None:
    """A wish to be held is not granted: who commits when is the caller's business."""
    async with storage_in(server) as storage, engine(server) as one:
        async with one.begin() as caller:
            item = NewExecution(id="a", task="work", owner="anna")
            (answer,) = await storage.bind(caller).insert(items=[item], now=NOW)
            assert answer.record.owner is None
        (row,) = await storage.get(ids=["a"])
        assert row == answer.record


async def test_a_deadlock(server: str) -> None:
    """The server has rolled back all that the caller did: the caller repeats it."""
    async with storage_in(server) as storage, engine(server) as one, line(server) as other:
        prefix = storage._settings.prefix
        await storage.insert(items=[NewExecution(id=f"o{n}", task="t") for n in range(9)], now=NOW)
        async with one.connect() as caller, line(server) as admin:
            await storage.bind(caller).insert(items=[ITEM], now=NOW)
            table = f"{prefix}executions"
            await other.rows(
                f"START TRANSACTION; UPDATE {table} SET attempt = 7 WHERE id LIKE 'o%'"
            )
            waiting = asyncio.ensure_future(
                other.rows(f"SELECT 1 FROM {table} WHERE id = 'a' FOR UPDATE")
            )
            await somebody_waits(admin, prefix)
            bound = storage.bind(caller)
            token = Token("anna", 1)
            with pytest.raises(TemporaryError, match="deadlock"):
                await bound.checkpoint(execution_id="o1", token=token, name="n", value=b"", now=NOW)
            await waiting
            await other.rows("ROLLBACK")
            await caller.rollback()
        assert await storage.get(ids=["a"]) == [None]


async def test_a_sleeper_and_its_message(server: str) -> None:
    """A message that is kept ends a sleeper that is born in the caller's transaction."""
    async with storage_in(server) as storage, engine(server) as one:
        wake = Wake(task="work", wake_key="k", request="r", payload=b"p", keep_until=NOW * 2)
        await storage.wake(items=[wake], now=NOW)
        item = NewExecution(id="s", task="work", phase=Phase.SLEEPING, wake_key="k", due=None)
        async with one.begin() as caller:
            (answer,) = await storage.bind(caller).insert(items=[item], now=NOW)
            assert answer.record.output == b"p"
        (row,) = await storage.get(ids=["s"])
        assert row == answer.record


async def test_its_hint(server: str) -> None:
    """Rides in the caller's transaction: heard after the commit, also by the same storage."""
    async with (
        storage_in(server, poll_interval=0.05) as storage,
        engine(server) as one,
        hints_of(storage, "default") as hints,
    ):
        assert await anext(hints) == Reconnected()
        async with one.begin() as caller:
            await storage.bind(caller).insert(items=[ITEM], now=NOW)
        async with asyncio.timeout(10):
            assert await anext(hints) == Ready(queue="default")
