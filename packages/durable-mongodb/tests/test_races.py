"""Several clients and processes at once: every row has one holder, every count is exact."""

import asyncio
import random
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from mongodb_hooks import connection, server_url, storage_in
from mongodb_worker import FAMILY

from durable_core.storage import (
    Claimed,
    Finish,
    Head,
    Keep,
    NewExecution,
    Phase,
    Query,
    Release,
    Status,
    Token,
    Wake,
    WakeOutcome,
)
from durable_mongodb import MongoStorage

NOW = 2_000_000_000_000_000


@asynccontextmanager
async def _several(number: int) -> AsyncGenerator[list[MongoStorage]]:
    """Open storages on one namespace, each with a client of its own."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(storage_in())
        storages = [first]
        for _ in range(number - 1):
            one = MongoStorage.from_url(server_url(), database=first._settings.database)
            stack.push_async_callback(one.close)
            storages.append(one)
        yield storages


async def _everything(storage: MongoStorage) -> list[Head]:
    rows: list[Head] = []
    cursor: str | None = None
    while True:
        page = await storage.find(query=Query(), limit=500, cursor=cursor)
        rows += page.items
        cursor = page.cursor
        if cursor is None:
            return rows


async def test_eight_claimers() -> None:
    """They share 2,000 rows without sharing one, and each gets to the end by itself."""
    async with _several(8) as storages:
        for start in range(0, 2_000, 1_000):
            items = [NewExecution(id=f"{start + n}", task="work") for n in range(1_000)]
            await storages[0].insert(items=items, now=NOW)

        async def claim_all(number: int) -> list[str]:
            mine: list[str] = []
            while True:
                claimed = await storages[number].claim(
                    executor=f"c{number}", tasks=["work"], queues=["default"], limit=50, now=NOW
                )
                mine += [row.id for row in claimed.records]
                if claimed.exhausted:
                    return mine

        shares = await asyncio.gather(*(claim_all(number) for number in range(8)))
        ids = [id_ for share in shares for id_ in share]
        assert len(ids) == len(set(ids)) == 2_000


async def test_hot_parents() -> None:
    """Children of two parents end in overlapping batches of six clients, each batch sent twice."""
    chance = random.Random(7)
    async with _several(6) as storages:
        first = storages[0]
        ends: list[Finish] = []
        for parent in ("p", "q"):
            await first.insert(items=[NewExecution(id=parent, task="work", owner="anna")], now=NOW)
            children = [
                NewExecution(
                    id=f"{parent}{n}", task="work", parent_id=parent, root_id=parent, owner="anna"
                )
                for n in range(60)
            ]
            wait = Release(
                id=parent,
                token=Token("anna", 1),
                phase=Phase.WAITING_FOR_CHILDREN,
                due=None,
                children=children,
            )
            await first.apply(items=[wait], now=NOW)
            ends += [
                Finish(id=child.id, token=Token("anna", 1), phase=Phase.COMPLETED, parent_id=parent)
                for child in children
            ]
        batches = [chance.sample(ends, 20) for _ in range(18)]
        batches.append(ends)

        async def send(number: int) -> int:
            applied = 0
            for place, batch in enumerate(batches):
                if place % 6 in (number, (number + 1) % 6):
                    answers = await storages[number].apply(items=batch, now=NOW)
                    applied += sum(answer.outcome.value == "applied" for answer in answers)
            return applied

        applied = sum(await asyncio.gather(*(send(number) for number in range(6))))
        # Only who sends a batch that nobody has sent before applies it.
        assert applied == 120
        for row in await first.get(ids=["p", "q"]):
            assert row is not None
            assert (row.pending, row.due, row.owner) == (0, 0, None)
        assert sum(storage.statistics().conflicts for storage in storages) > 0, "no race at all"


async def test_wake_ups_and_sleepers_never_miss_each_other() -> None:
    async with _several(2) as (first, second):
        for turn in range(40):
            item = NewExecution(
                id=f"s{turn}", task="work", phase=Phase.SLEEPING, wake_key=f"{turn}", due=None
            )
            wake = Wake(
                task="work", wake_key=f"{turn}", request=f"r{turn}", payload=b"p",
                keep_until=NOW * 2,
            )  # fmt: skip
            _, (answer,) = await asyncio.gather(
                first.insert(items=[item], now=NOW), second.wake(items=[wake], now=NOW)
            )
            assert answer.outcome in (WakeOutcome.WOKEN, WakeOutcome.KEPT)
            (row,) = await first.get(ids=[f"s{turn}"])
            assert row is not None
            assert (row.phase, row.ended_by) == (Phase.COMPLETED, f"r{turn}")


async def test_one_winner_of_everything() -> None:
    """Finish, cancel, keep and reap of the same rows at once: every answer agrees with the row."""
    async with _several(4) as (finisher, canceller, keeper, reaper):
        for turn in range(15):
            ids = [f"{turn}-{n}" for n in range(6)]
            items = [NewExecution(id=id_, task="work", owner="dead") for id_ in ids]
            await finisher.insert(items=items, now=NOW)
            token = Token("dead", 1)
            finished, cancelled, kept, reaped = await asyncio.gather(
                finisher.apply(
                    items=[Finish(id=id_, token=token, phase=Phase.COMPLETED) for id_ in ids],
                    now=NOW,
                ),
                canceller.cancel(ids=ids, request="r", now=NOW),
                keeper.apply(items=[Keep(id=id_, token=token, state=b"s") for id_ in ids], now=NOW),
                reaper.reap(now=NOW, limit=100),
            )
            rows = await finisher.get(ids=ids)
            ended_by_reap = freed = 0
            for row, finish, cancel, keep in zip(rows, finished, cancelled, kept, strict=True):
                assert row is not None
                if finish.outcome.value == "applied":
                    assert (row.phase, row.ended_by) == (Phase.COMPLETED, "dead/1")
                else:
                    assert row.ended_by != "dead/1"
                assert (cancel.outcome.value == "ended") == (row.ended_by == "r")
                if cancel.outcome.value == "marked" and not row.finished:
                    assert row.cancel_requested
                assert keep.outcome.value in ("applied", "superseded", "already",
                                              "cancel_requested")  # fmt: skip
                ended_by_reap += row.ended_by == "reap"
                freed += row.gen == 2 and row.ended_by != "reap"
            assert reaped.rows == ended_by_reap + freed


@pytest.mark.slow
async def test_processes_that_are_killed() -> None:
    """SIGKILL at random moments: each item is there wholly or not at all, every count exact."""
    chance = random.Random(11)
    worker = Path(__file__).with_name("mongodb_worker.py")
    async with storage_in() as storage:
        database = storage._settings.database
        for turn in range(6):
            processes = [
                await asyncio.create_subprocess_exec(
                    sys.executable, str(worker), server_url(), database, f"w{turn}-{n}",
                    stdout=asyncio.subprocess.PIPE,
                )
                for n in range(2)
            ]  # fmt: skip
            for process in processes:
                assert process.stdout is not None
                async with asyncio.timeout(60):
                    for _ in range(chance.randrange(1, 4)):
                        assert await process.stdout.readline(), "it has ended by itself"
                await asyncio.sleep(chance.random() * 0.05)  # a moment that nothing announces
                process.send_signal(signal.SIGKILL)
                await process.wait()
            await _check_families(storage)
            # What was left open in the middle is undone, so that nothing is locked.
            done = await storage.reap(now=NOW + 11, limit=1_000)
            assert (done.leases, done.more) == (2, False)
            assert await storage.count(query=Query(owner=f"w{turn}-0")) == {"*": 0}
            assert await storage.count(query=Query(owner=f"w{turn}-1")) == {"*": 0}


async def _check_families(storage: MongoStorage) -> None:
    rows = await _everything(storage)
    children: dict[str, list[Head]] = {}
    for row in rows:
        if row.parent_id is not None:
            children.setdefault(row.parent_id, []).append(row)
    for row in rows:
        points = await storage.checkpoints(execution_id=row.id, limit=9)
        if row.parent_id is not None:
            assert len(points.items) == row.finished
            continue
        kids = children.get(row.id, [])
        assert len(kids) in (0, FAMILY)
        assert row.pending == sum(not kid.finished for kid in kids)
        assert len(points.items) == (1 if kids else 0)
        if row.phase is Phase.WAITING_FOR_CHILDREN:
            assert (row.due == 0) == (row.pending == 0)


async def test_a_locked_row_does_not_hold_up_those_before_it() -> None:
    """All are tried together for a while, then in parts; the order of the items stays."""
    async with storage_in() as storage, connection() as client:
        ids = [f"{n}" for n in range(9)]
        await storage.insert(items=[NewExecution(id=id_, task="work") for id_ in ids], now=NOW)
        rows = client[storage._settings.database]["durable_executions"]
        async with client.start_session() as session:
            await session.start_transaction()
            await rows.update_one({"_id": "4"}, {"$inc": {"lock": 1}}, session=session)
            cancelling = asyncio.ensure_future(storage.cancel(ids=ids, request="r", now=NOW))
            async with asyncio.timeout(30):
                while await storage.count(query=_ENDED) != {"*": 4}:
                    assert not cancelling.done()
            await session.abort_transaction()
        assert [answer.outcome.value for answer in await cancelling] == ["ended"] * 9


async def test_the_only_candidate_is_locked() -> None:
    """A claim waits for it a moment, goes past it, and takes it later."""
    async with storage_in() as storage, connection() as client:

        async def claim() -> Claimed:
            return await storage.claim(
                executor="anna", tasks=["work"], queues=["default"], limit=1, now=NOW
            )

        await storage.insert(items=[NewExecution(id="a", task="work")], now=NOW)
        rows = client[storage._settings.database]["durable_executions"]
        async with client.start_session() as session:
            await session.start_transaction()
            await rows.update_one({"_id": "a"}, {"$inc": {"lock": 1}}, session=session)
            passed = await claim()
            assert not passed.records
            assert not passed.exhausted
            await session.abort_transaction()
        taken = await claim()
        assert [row.id for row in taken.records] == ["a"]
        assert taken.exhausted
        assert not (await claim()).records


_ENDED = Query(statuses=frozenset({Status.CANCELLED}))
