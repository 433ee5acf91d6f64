"""BIND: inserting inside the caller's own transaction."""

import asyncio
from collections.abc import Awaitable
from typing import Any

from durable_core.storage import (
    Bind,
    BoundStorage,
    InsertOutcome,
    Storage,
    TemporaryError,
    Token,
)

from ..author import Author, CallersTransaction
from ..checking import promises
from ..moves import finish, keep, new, row_of
from ..stage import ANNA, HOUR, NOW, Stage

_BLOCKED = 1.0
"""Seconds after which a call that has not ended counts as waiting for a lock."""


def bound(storage: Storage, caller: CallersTransaction) -> BoundStorage:
    """Bind a storage that declares it to the caller's transaction."""
    assert isinstance(storage, Bind), "`bind` is declared, but there is no method of it"
    return storage.bind(caller.tx)


class BindChecks(Author):
    """BIND-1 to BIND-4."""

    @promises("BIND-1")
    async def test_bind_1_with_the_callers_commit(self, stage: Stage) -> None:
        """Invisible before, visible after, and held by nobody."""
        other = await stage.handle()
        items = [new("a", key="k", input=b"i"), new("b", owner=ANNA)]
        async with self.transaction(stage.storage) as caller:
            answers = await bound(stage.storage, caller).insert(items=items, now=NOW)
            assert [answer.outcome for answer in answers] == [InsertOutcome.CREATED] * 2
            assert list(await other.get(ids=["a", "b"])) == [None, None]
            await caller.write()
            await caller.commit()
        expected = [row_of(items[0], NOW), row_of(new("b"), NOW)]
        assert [answer.record for answer in answers] == expected
        assert list(await other.get(ids=["a", "b"])) == expected

    @promises("BIND-1")
    async def test_bind_1_with_the_callers_rollback(self, stage: Stage) -> None:
        """Gone after a rollback, and when the transaction just ends; id and key are free."""
        for explicit in (True, False):
            async with self.transaction(stage.storage) as caller:
                mine = bound(stage.storage, caller)
                await mine.insert(items=[new("a", key="k")], now=NOW)
                await mine.insert(items=[new("b")], now=NOW)
                if explicit:
                    await caller.rollback()
            assert await stage.everything() == {}, "committed, but not by the caller"
        await stage.insert(new("a"), new("b", key="k"))

    @promises("BIND-2")
    async def test_bind_2_conflicts(self, stage: Stage) -> None:
        """An existing id and key, of before and of the same transaction, among good items."""
        existing = await stage.hold("a", key="k")
        async with self.transaction(stage.storage) as caller:
            mine = bound(stage.storage, caller)
            items = [new("a"), new("x", key="k"), new("b"), new("b"), new("c")]
            answers = await mine.insert(items=items, now=NOW)
            created, same_id = InsertOutcome.CREATED, InsertOutcome.EXISTING_ID
            outcomes = [answer.outcome for answer in answers]
            assert outcomes == [same_id, InsertOutcome.EXISTING_KEY, created, same_id, created]
            assert [answer.record for answer in answers[:2]] == [existing, existing]
            await caller.write()
            (answer,) = await mine.insert(items=[new("d")], now=NOW)
            assert answer.outcome is created
            await caller.commit()
        assert sorted(await stage.everything()) == ["a", "b", "c", "d"]

    @promises("BIND-3")
    async def test_bind_3_locks_nothing_else(self, stage: Stage) -> None:
        """What others can do beside a write of the caller's own, they can do beside ours."""
        other = await stage.handle()
        free: list[set[str]] = []
        for turn, ours in enumerate((False, True)):
            rows = [await stage.hold(f"{name}{turn}") for name in "ab"]
            async with self.transaction(stage.storage) as caller:
                if ours:
                    await bound(stage.storage, caller).insert(items=[new("ours")], now=NOW)
                else:
                    await caller.write()
                calls: dict[str, Awaitable[Any]] = {
                    "get": other.get(ids=[rows[0].id]),
                    "apply": other.apply(items=[finish(rows[0])], now=NOW),
                    "insert": other.insert(items=[new(f"other{turn}")], now=NOW),
                    "cancel": other.cancel(ids=[rows[1].id], request="r", now=NOW),
                    "heartbeat": other.heartbeat(executor=ANNA, ttl=HOUR, now=NOW, register=True),
                }
                tasks = {name: asyncio.ensure_future(call) for name, call in calls.items()}
                await asyncio.wait(tasks.values(), timeout=_BLOCKED)
                free.append({name for name, task in tasks.items() if _went_through(task)})
                await caller.rollback()
            # What had to wait goes on when the caller's transaction ends, or gives up politely.
            ends = await asyncio.gather(*tasks.values(), return_exceptions=True)
            strange = [end for end in ends if isinstance(end, BaseException)]
            assert all(isinstance(end, TemporaryError) for end in strange), strange
        beside_the_callers, beside_ours = free
        assert beside_ours >= beside_the_callers, "our insert locks more than it inserts"
        assert "get" in beside_ours

    @promises("BIND-4")
    async def test_bind_4_checkpoints(self, stage: Stage) -> None:
        """Under the current token only; gone with a rollback, there with a commit."""
        row = await stage.hold("a")
        for commit in (False, True):
            async with self.transaction(stage.storage) as caller:
                mine = bound(stage.storage, caller)
                for token in (Token("bela", row.gen), Token(ANNA, row.gen + 1)):
                    assert not await mine.checkpoint(
                        execution_id="a", token=token, name="stale", value=b"x", now=NOW
                    )
                assert not await mine.checkpoint(
                    execution_id="nobody", token=row.token, name="stale", value=b"x", now=NOW
                )
                assert await mine.checkpoint(
                    execution_id="a", token=row.token, name="step", value=b"1", now=NOW
                )
                if commit:
                    await caller.commit()
            found = [(point.name, point.value) for point in await stage.checkpoints("a")]
            assert found == ([("step", b"1")] if commit else [])

    @promises("BIND-4")
    async def test_bind_4_refuses_a_recorded_name(self, stage: Stage) -> None:
        """What was recorded is not recorded again, whoever recorded it: its value stays."""
        row = await stage.hold("a")
        await stage.apply(keep(row, checkpoints={"kept": b"1"}))
        async with self.transaction(stage.storage) as caller:
            assert await bound(stage.storage, caller).checkpoint(
                execution_id="a", token=row.token, name="bound", value=b"1", now=NOW
            )
            await caller.commit()
        for name in ("kept", "bound"):
            async with self.transaction(stage.storage) as caller:
                assert not await bound(stage.storage, caller).checkpoint(
                    execution_id="a", token=row.token, name=name, value=b"2", now=NOW
                )
                await caller.rollback()
        points = [(point.name, point.value) for point in await stage.checkpoints("a")]
        assert points == [("kept", b"1"), ("bound", b"1")]

    @promises("BIND-4")
    async def test_bind_4_excludes_reaping(self, stage: Stage) -> None:
        """A row of a dead owner is not reaped while a transaction recorded something of it."""
        other = await stage.handle()
        row = await stage.hold("a")
        async with self.transaction(stage.storage) as caller:
            assert await bound(stage.storage, caller).checkpoint(
                execution_id="a", token=row.token, name="step", value=b"1", now=NOW
            )
            reaping = asyncio.ensure_future(other.reap(now=NOW, limit=9))
            await asyncio.wait([reaping], timeout=_BLOCKED)
            if _went_through(reaping):
                assert reaping.result().rows == 0, "reaped under the caller's transaction"
            assert (await stage.row("a", at=other)).token == row.token
            await caller.commit()
        await asyncio.gather(reaping, return_exceptions=True)
        await stage.reap()
        assert (await stage.row("a")).gen == row.gen + 1
        assert [point.name for point in await stage.checkpoints("a")] == ["step"]


def _went_through(task: "asyncio.Future[Any]") -> bool:
    return task.done() and task.exception() is None
