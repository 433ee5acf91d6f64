"""Enqueueing inside the caller's own transaction, whatever the caller uses."""

import asyncio

import pytest
from postgres_hooks import connection, hints_of, server_url, storage_in
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from durable_core.storage import (
    InvalidArgumentError,
    NewExecution,
    OnCancel,
    Phase,
    Ready,
    Reconnected,
    Wake,
)

NOW = 2_000_000_000_000_000
ITEM = NewExecution(id="a", task="work", tags=frozenset({"x", "ü"}), on_cancel=OnCancel.DELIVER)


async def test_a_session() -> None:
    one = create_async_engine(server_url().set(drivername="postgresql+asyncpg"), poolclass=NullPool)
    async with storage_in() as storage:
        async with AsyncSession(one) as session:
            await storage.bind(session).insert(items=[ITEM], now=NOW)
            assert await storage.get(ids=["a"]) == [None]
            await session.commit()
        (row,) = await storage.get(ids=["a"])
        assert row is not None
        assert row.tags == ITEM.tags
    await one.dispose()


async def test_the_drivers_connection() -> None:
    async with storage_in() as storage, connection() as driver:
        async with driver.transaction():
            await storage.bind(driver).insert(items=[ITEM], now=NOW)
            assert await storage.get(ids=["a"]) == [None]
        assert await storage.get(ids=["a"]) != [None]


async def test_no_transaction() -> None:
    """In autocommit there is nothing to join, so nothing is written."""
    one = create_async_engine(
        server_url().set(drivername="postgresql+asyncpg"),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
    )
    async with storage_in() as storage:
        async with connection() as driver:
            with pytest.raises(InvalidArgumentError, match="in no transaction"):
                await storage.bind(driver).insert(items=[ITEM], now=NOW)
        async with one.connect() as caller:
            with pytest.raises(InvalidArgumentError, match="AUTOCOMMIT"):
                await storage.bind(caller).insert(items=[ITEM], now=NOW)
        assert await storage.get(ids=["a"]) == [None]
    await one.dispose()


async def test_something_else() -> None:
    async with storage_in() as storage:
        for tx in (None, "tx", storage):
            with pytest.raises(InvalidArgumentError, match="AsyncSession"):
                storage.bind(tx)


async def test_a_sleeper_and_its_message() -> None:
    """A message that is kept ends a sleeper that is born in the caller's transaction."""
    async with storage_in() as storage, connection() as driver:
        wake = Wake(task="work", wake_key="k", request="r", payload=b"p", keep_until=NOW * 2)
        await storage.wake(items=[wake], now=NOW)
        item = NewExecution(id="s", task="work", phase=Phase.SLEEPING, wake_key="k", due=None)
        async with driver.transaction():
            (answer,) = await storage.bind(driver).insert(items=[item], now=NOW)
            assert answer.record.output == b"p"
        (row,) = await storage.get(ids=["s"])
        assert row == answer.record


async def test_its_hint() -> None:
    """Rides in the caller's transaction: heard after the commit, also by the same storage."""
    async with (
        storage_in() as storage,
        connection() as driver,
        hints_of(storage, "default") as hints,
    ):
        assert await anext(hints) == Reconnected()
        async with driver.transaction():
            await storage.bind(driver).insert(items=[ITEM], now=NOW)
        async with asyncio.timeout(10):
            assert await anext(hints) == Ready(queue="default")
