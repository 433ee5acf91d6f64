"""Hints: at once from this storage, by the file's version from others, and none for nothing."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lite import ANNA, NOW, finish, held, new, opened

from durable_core.storage import (
    ClosedError,
    Finished,
    Hint,
    Ready,
    Reconnected,
    SchemaMissingError,
)
from durable_sqlite import SQLiteStorage
from durable_sqlite.session import Session

READY = Ready(queue="default")


@asynccontextmanager
async def listening(storage: SQLiteStorage, *queues: str) -> AsyncGenerator[AsyncIterator[Hint]]:
    """Listen, and take the first hint."""
    hints = storage.listen(queues=queues or ["default"])
    assert await anext(hints) == Reconnected()
    yield hints
    await hints.aclose()


async def soon(hints: AsyncIterator[Hint]) -> Hint:
    """Return the next hint, whosever call it is about."""
    async with asyncio.timeout(20):
        hint = await anext(hints)
    return hint if isinstance(hint, Reconnected) else replace(hint, own=False)


async def silent(hints: AsyncIterator[Hint], storage: SQLiteStorage) -> None:
    """Fail if there is a hint before the next one that is certain to come."""
    mark = "mark"
    await storage.insert(items=[new(f"mark-{time.monotonic_ns()}", queue=mark)], now=NOW)
    assert await soon(hints) == Ready(queue=mark)


async def test_hints_of_own_commits_need_no_poll(tmp_path: Path) -> None:
    async with (
        opened(tmp_path / "x.db", poll_interval=3_600) as storage,
        listening(storage, "default", "other") as hints,
    ):
        await storage.insert(items=[new("a"), held("b")], now=NOW)
        assert await soon(hints) == READY
        await storage.apply(items=[finish("b")], now=NOW)
        assert await soon(hints) == Finished()
        await storage.insert(items=[new("c", queue="other", due=NOW + 1)], now=NOW)
        assert await soon(hints) == Ready(queue="other")


async def test_what_concerns_nobody_is_not_told(tmp_path: Path) -> None:
    async with (
        opened(tmp_path / "x.db") as storage,
        opened(tmp_path / "x.db") as other,
        listening(storage, "default", "mark") as hints,
    ):
        await other.insert(items=[new("a", queue="theirs"), held("b")], now=NOW)
        await other.heartbeat(executor=ANNA, ttl=10, now=NOW, register=True)
        await other.heartbeat(executor=ANNA, ttl=10, now=NOW)
        await other.reap(now=NOW, limit=9)
        await other.claim(executor=ANNA, tasks=["work"], queues=["theirs"], limit=9, now=NOW)
        await silent(hints, other)


async def test_hints_tell_own_calls_from_those_of_others(tmp_path: Path) -> None:
    async with (
        opened(tmp_path / "work.db") as storage,
        opened(tmp_path / "work.db") as other,
        listening(storage) as hints,
    ):
        await storage.insert(items=[new("mine")], now=NOW)
        assert await anext(hints) == Ready(queue="default", own=True)
        await other.insert(items=[new("yours")], now=NOW)
        assert await anext(hints) == Ready(queue="default", own=False)


async def test_hints_of_another_storage_on_the_file(tmp_path: Path) -> None:
    async with (
        opened(tmp_path / "x.db", poll_interval=0.005) as storage,
        opened(tmp_path / "x.db") as other,
        listening(storage) as hints,
    ):
        await other.insert(items=[new("a")], now=NOW)
        assert await soon(hints) == READY
        await other.insert(items=[held("b")], now=NOW)
        await other.apply(items=[finish("b")], now=NOW)
        assert await soon(hints) == Finished()


async def test_hints_of_a_bound_insert_come_with_the_commit(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with (
        opened(path, poll_interval=0.005) as storage,
        listening(storage, "default", "mark") as hints,
    ):
        with closing(sqlite3.connect(path)) as connection:
            await storage.bind(connection).insert(items=[new("a")], now=NOW)
            connection.rollback()
            await silent(hints, storage)
            await storage.bind(connection).insert(items=[new("a")], now=NOW)
            connection.commit()
        assert await soon(hints) == READY


@pytest.fixture
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody look, so that a test can look itself."""

    def stay(_: object) -> None:
        """Do not look."""

    monkeypatch.setattr("durable_sqlite.hints._Poller.hurry", stay)


@pytest.mark.usefixtures("calm")
async def test_own_commits_are_told_once(tmp_path: Path) -> None:
    async with (
        opened(tmp_path / "x.db", poll_interval=3_600) as storage,
        opened(tmp_path / "x.db") as other,
        listening(storage) as hints,
    ):
        poller = storage._hints._poller
        assert poller is not None
        await storage.insert(items=[new("a"), held("b")], now=NOW)
        assert await soon(hints) == READY
        await storage.apply(items=[finish("b")], now=NOW)
        assert await soon(hints) == Finished()
        # What a look finds now was told already.
        assert await storage._read(poller._look) == []
        await other.insert(items=[new("c")], now=NOW)
        assert await storage._read(poller._look) == ["default"]


@pytest.mark.usefixtures("calm")
async def test_a_hint_raised_by_two_at_once_is_not_swallowed(tmp_path: Path) -> None:
    async with (
        opened(tmp_path / "x.db", poll_interval=3_600) as storage,
        opened(tmp_path / "x.db") as other,
        listening(storage) as hints,
    ):
        poller = storage._hints._poller
        assert poller is not None
        await other.insert(items=[new("a")], now=NOW)
        await storage.insert(items=[new("b")], now=NOW)
        assert await soon(hints) == READY
        assert await storage._read(poller._look) == ["default"]


async def test_one_thread_serves_all_listeners_and_ends_with_the_last(tmp_path: Path) -> None:
    def pollers() -> list[threading.Thread]:
        return [one for one in threading.enumerate() if one.name == "durable-sqlite-hints"]

    async with opened(tmp_path / "x.db") as storage:
        assert not pollers()
        async with listening(storage), listening(storage, "other"):
            (poller,) = pollers()
        await asyncio.to_thread(poller.join, 30)
        assert not pollers()
        async with listening(storage) as hints:
            await storage.insert(items=[new("a")], now=NOW)
            assert await soon(hints) == READY


async def test_while_nothing_changes_no_table_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, enough = [0], threading.Event()
    original = Session.control

    def control(self: Session, text: str) -> Any:
        looks[0] += text == "PRAGMA data_version"
        if looks[0] > 50:
            enough.set()
        return original(self, text)

    monkeypatch.setattr(Session, "control", control)
    async with opened(tmp_path / "x.db", poll_interval=0.001) as storage, listening(storage):
        before = storage.statistics().table_statements
        assert await asyncio.to_thread(enough.wait, 30)
        assert storage.statistics().table_statements == before


async def test_a_poller_that_failed_says_reconnected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = threading.Event()

    def fail(_: object) -> sqlite3.Connection:
        failed.set()
        raise OSError

    async with (
        opened(tmp_path / "x.db", poll_interval=0.005) as storage,
        opened(tmp_path / "x.db") as other,
        listening(storage) as hints,
    ):
        with monkeypatch.context() as patch:
            patch.setattr("durable_sqlite.hints.open_reader", fail)
            patch.setattr("durable_sqlite.hints._VERSION", "PRAGMA no_such(")
            assert await asyncio.to_thread(failed.wait, 30)
            await other.insert(items=[new("a")], now=NOW)
        assert await soon(hints) == Reconnected()
        await other.insert(items=[new("b")], now=NOW)
        assert await soon(hints) == READY


async def test_close_ends_listeners(tmp_path: Path) -> None:
    storage = SQLiteStorage(tmp_path / "x.db")
    await storage.setup()
    async with listening(storage) as hints:
        ended = asyncio.ensure_future(anext(hints, None))
        await asyncio.sleep(0)
        await storage.close()
        assert await ended is None
    with pytest.raises(ClosedError):
        storage.listen(queues=[])


async def test_listening_without_a_schema_is_an_error(tmp_path: Path) -> None:
    storage = SQLiteStorage(tmp_path / "x.db")
    with pytest.raises(SchemaMissingError):
        await anext(storage.listen(queues=["default"]))
    await storage.setup()
    async with listening(storage):
        pass
    await storage.close()


async def test_in_memory() -> None:
    async with opened(":memory:") as storage, listening(storage) as hints:
        await storage.insert(items=[new("a")], now=NOW)
        assert await soon(hints) == READY
