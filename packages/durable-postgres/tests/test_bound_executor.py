"""Enqueueing, waking and cancelling inside the caller's transaction, by SQLAlchemy's objects."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from postgres_hooks import PostgresHooks, fresh_schema, server_url
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine

from durable_core import DurableExecutor, Handle, Tasks
from durable_postgres import PostgresStorage

tasks = Tasks()
approval = tasks.sleeping("approval", int, timeout=600)


@tasks.task
async def double(number: int) -> int:
    return 2 * number


class Caller:
    """A caller with an engine of his own, on which the executor works, too."""

    def __init__(self, engine: AsyncEngine, executor: DurableExecutor, kind: str) -> None:
        self.executor = executor
        self._engine = engine
        self._kind = kind

    def transaction(self) -> AbstractAsyncContextManager[AsyncConnection | AsyncSession]:
        """Begin a transaction, which is rolled back unless somebody commits."""
        return self._engine.connect() if self._kind == "connection" else AsyncSession(self._engine)


@pytest.fixture(params=["connection", "session"])
async def caller(request: pytest.FixtureRequest) -> AsyncGenerator[Caller]:
    schema = fresh_schema("bound")
    engine = create_async_engine(server_url().set(drivername="postgresql+asyncpg"))
    storage = PostgresStorage(engine, schema=schema)
    async with DurableExecutor(storage, tasks=tasks, poll_interval=60) as executor:
        yield Caller(engine, executor, request.param)
    await engine.dispose()
    await PostgresHooks().drop(schema)


@asynccontextmanager
async def committed(
    caller: Caller, *, commit: bool
) -> AsyncGenerator[AsyncConnection | AsyncSession]:
    """Yield a transaction in which the caller has written already."""
    async with caller.transaction() as tx:
        await tx.execute(text("CREATE TEMPORARY TABLE IF NOT EXISTS mine (id int)"))
        await tx.execute(text("INSERT INTO mine VALUES (1)"))
        yield tx
        if commit:
            await tx.commit()


async def test_enqueue(caller: Caller) -> None:
    handles: list[Handle[int]] = []
    for commit in (False, True):
        async with committed(caller, commit=commit) as tx:
            handles.append(await caller.executor.bind(tx).enqueue(double, 4))
            assert await caller.executor.count() == {"*": 0}
    assert await handles[1].result(timeout=30) == 8
    assert await caller.executor.count() == {"*": 1}


async def test_wake(caller: Caller) -> None:
    """A wake-up that was rolled back never was; one that was committed is carried out at once."""
    handle = await caller.executor.enqueue(approval, "k")
    for commit, value in ((False, 1), (True, 2)):
        async with committed(caller, commit=commit) as tx:
            await caller.executor.bind(tx).wake(approval, "k", value)
    assert await handle.result(timeout=30) == 2


async def test_cancel(caller: Caller) -> None:
    first = await caller.executor.enqueue(approval, "a")
    second = await caller.executor.enqueue(approval, "b")
    for handle, commit in ((first, False), (second, True)):
        async with committed(caller, commit=commit) as tx:
            await caller.executor.bind(tx).cancel(handle.id)
    await second.wait(timeout=30)
    assert await second.status() == "cancelled"
    assert await first.status() == "sleeping"
