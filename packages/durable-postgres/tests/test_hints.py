"""Hints between storages: heard when somebody listens, and not paid for when nobody does."""

import asyncio
import logging
from dataclasses import replace

import pytest
from postgres_hooks import connection, fresh_schema, hints_of, server_url, storage_in
from sqlalchemy.ext.asyncio import create_async_engine

from durable_core.storage import Finished, Hint, NewExecution, Ready, Reconnected
from durable_postgres import PostgresStorage
from durable_postgres.notifying import Notifier
from durable_postgres.session import Driver, Told
from durable_postgres.settings import Settings
from durable_postgres.statistics import Tally

NOW = 2_000_000_000_000_000
HERE = Ready(queue="default")


def new(id_: str) -> NewExecution:
    return NewExecution(id=id_, task="work")


async def writes_of_the_server() -> int:
    """Return how many transactions have written so far, as the server numbers them."""
    async with connection() as driver:
        number = await driver.fetchval("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
    return int(number)


async def quiet(storage: PostgresStorage) -> None:
    """Wait until the hints of what was written have been sent, or kept."""
    await storage._notifier.close()


def alone(notifier: Notifier) -> bool:
    """Whether hints are kept back."""
    return notifier._alone


class Ears:
    """What one listener has heard."""

    def __init__(self) -> None:
        self.heard: list[Hint] = []
        self._more = asyncio.Event()

    def take(self, hint: Hint) -> None:
        # Whose call it is about is of no interest here.
        self.heard.append(hint if isinstance(hint, Reconnected) else replace(hint, own=False))
        self._more.set()

    async def wait_for(self, hint: Hint) -> None:
        async with asyncio.timeout(20):
            while hint not in self.heard:
                self._more.clear()
                await self._more.wait()


async def hear(storage: PostgresStorage, ears: Ears) -> None:
    async with hints_of(storage, "default") as hints:
        async for hint in hints:
            ears.take(hint)


async def insert_twenty(storage: PostgresStorage, name: str) -> int:
    """Insert twenty rows one by one; return how many transactions have written meanwhile."""
    before = await writes_of_the_server()
    for number in range(20):
        await storage.insert(items=[new(f"{name}{number}")], now=NOW)
        await quiet(storage)
    return await writes_of_the_server() - before


async def test_what_nobody_hears_is_no_commit() -> None:
    async with storage_in() as storage:
        # The server's housekeeping may write, too.
        assert 20 <= await insert_twenty(storage, "a") < 30


async def test_who_listens_alone_sends_nothing() -> None:
    async with storage_in() as storage, asyncio.TaskGroup() as group:
        ears = Ears()
        listener = group.create_task(hear(storage, ears))
        await ears.wait_for(Reconnected())
        assert 20 <= await insert_twenty(storage, "a") < 30
        await ears.wait_for(HERE)
        before = storage.statistics().statements
        await storage.insert(items=[new("b")], now=NOW)
        await quiet(storage)
        assert storage.statistics().statements == before + 1
        listener.cancel()


async def test_two_that_listen_hear_each_other() -> None:
    """Who was alone for a while tells everything once somebody comes, and all that follows."""
    async with storage_in() as one, asyncio.TaskGroup() as group:
        other = PostgresStorage.from_url(server_url(), schema=one._settings.schema)
        first, second = Ears(), Ears()
        tasks = [group.create_task(hear(one, first))]
        await first.wait_for(Reconnected())
        await one.insert(items=[new("a")], now=NOW)
        await quiet(one)
        assert alone(one._notifier)
        tasks.append(group.create_task(hear(other, second)))
        await second.wait_for(Reconnected())
        # What was kept back meanwhile may have happened after the newcomer looked.
        await second.wait_for(HERE)
        first.heard.clear()
        second.heard.clear()
        await other.insert(items=[new("b")], now=NOW)
        await first.wait_for(HERE)
        await one.cancel(ids=["a"], request="r", now=NOW)
        await second.wait_for(Finished())
        # Hints do not wait for the disk, and nothing else of their connections takes part in that.
        await one.setup()
        assert "synchronous_commit=on" in one.capabilities.durability
        for task in tasks:
            task.cancel()
        await other.close()


async def test_somebody_comes_while_a_hint_is_on_its_way() -> None:
    """The server looked before he was there, his hello came after: the hint is sent again."""

    class Slow(Notifier):
        sent = 0

        async def _notify(self, texts: list[str]) -> int:
            self.sent += 1
            others = await super()._notify(texts)
            if self.sent == 1:
                self.heard("+somebody")
            return others

    engine = create_async_engine(server_url().set(drivername="postgresql+asyncpg"))
    settings = Settings(
        schema=fresh_schema("none"), prefix="durable_", pooler=False, connect_timeout=10
    )
    notifier = Slow(engine, settings, Tally())
    async with connection() as driver:
        await notifier.begin(driver.fetch)
        told = Told()
        told.finished, told.rows = True, 1
        notifier.send(told)
        await notifier.close()
        assert notifier.sent == 2
        assert alone(notifier)
        # Its own hello, which the server sends back, changes nothing.
        assert notifier.heard(f"+{notifier.sender}") is None
        assert alone(notifier)
        notifier.end()
        assert not alone(notifier), "hellos are not heard without a connection that listens"
        await notifier.close()
        assert notifier.sent == 3, "what was kept is sent then"
    await engine.dispose()


async def test_a_pool_that_overflows(caplog: pytest.LogCaptureFixture) -> None:
    """The caller's pool closes what it has too much of, and nothing stays open behind its back."""
    caplog.set_level(logging.ERROR, logger="sqlalchemy.pool")
    schema = fresh_schema("pool")
    engine = create_async_engine(
        server_url().set(drivername="postgresql+asyncpg"),
        pool_size=1,
        max_overflow=8,
        connect_args={"server_settings": {"application_name": schema}},
    )
    storage = PostgresStorage(engine, schema=schema)
    await storage.setup()
    await asyncio.gather(*(storage.insert(items=[new(f"{n}")], now=NOW) for n in range(40)))
    await quiet(storage)
    async with connection() as driver:
        async with asyncio.timeout(20):
            while await _connections(driver, schema) > 1:  # noqa: ASYNC110 - the server's side
                await asyncio.sleep(0.01)
        await storage.close()
        await engine.dispose()
        await driver.execute("SET client_min_messages = warning")
        await driver.execute(f'DROP SCHEMA "{schema}" CASCADE')
    assert caplog.records == []


async def _connections(driver: Driver, name: str) -> int:
    count: int = await driver.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1", name
    )
    return count
