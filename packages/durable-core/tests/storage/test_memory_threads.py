"""The memory storage serves several threads and event loops at once, and loses nothing."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from durable_core.storage import (
    ApplyOutcome,
    ClosedError,
    Finish,
    InsertOutcome,
    MemoryStorage,
    NewExecution,
    Phase,
    Release,
)

from .instant import run
from .invariants import broken, crooked_indexes, tables_of

THREADS = 4
CHILDREN = 200


def _in_threads(work: Callable[[int], Awaitable[None]]) -> None:
    """Run the work in several threads, each with an event loop of its own."""

    async def one(number: int) -> None:
        await work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        for done in [pool.submit(asyncio.run, one(number)) for number in range(THREADS)]:
            done.result(30)


def test_a_family_is_counted_exactly_by_all_threads() -> None:
    storage = MemoryStorage()
    run(storage.insert(items=[NewExecution(id="p", task="t", owner="e")], now=1))
    (parent,) = run(storage.get(ids=["p"]))
    assert parent is not None
    children = [NewExecution(id=f"c{n}", task="t", parent_id="p") for n in range(CHILDREN)]
    waits = Release(
        id="p",
        token=parent.token,
        phase=Phase.WAITING_FOR_CHILDREN,
        due=None,
        children=children,
    )
    run(storage.apply(items=[waits], now=1))
    claims = Counter[str]()
    woken: list[str] = []

    async def work(number: int) -> None:
        handle = MemoryStorage(sharing=storage)
        while True:
            claimed = await handle.claim(
                executor=f"e{number}", tasks=["t"], queues=["default"], limit=3, now=2
            )
            rows = [row for row in claimed.records if row.id != "p"]
            if not rows:
                return
            ends = [
                Finish(id=row.id, token=row.token, parent_id="p", phase=Phase.COMPLETED)
                for row in rows
            ]
            answers = [
                *await handle.apply(items=ends, now=3),
                *await handle.apply(items=ends, now=3),
            ]
            for row, first, again in zip(rows, answers, answers[len(rows) :], strict=False):
                claims[row.id] += first.outcome is ApplyOutcome.APPLIED
                assert again.outcome is ApplyOutcome.ALREADY
                woken.extend(first.woken)

    _in_threads(work)
    assert claims == {f"c{n}": 1 for n in range(CHILDREN)}
    assert woken == ["p"]
    (parent,) = run(storage.get(ids=["p"]))
    assert parent is not None
    assert parent.pending == 0
    assert not [*broken(tables_of(storage)), *crooked_indexes(tables_of(storage))]


def test_of_many_inserts_of_one_key_one_is_created() -> None:
    storage = MemoryStorage()
    created: list[str] = []
    seen: set[str] = set()
    numbers = count()

    async def work(number: int) -> None:
        for round_ in range(100):
            item = NewExecution(id=f"x{number}-{next(numbers)}", task="t", key=f"k{round_}")
            (answer,) = await storage.insert(items=[item], now=1)
            seen.add(answer.record.id)
            if answer.outcome is InsertOutcome.CREATED:
                created.append(answer.record.id)

    _in_threads(work)
    assert len(created) == 100
    assert seen == set(created)


def test_a_blocking_heartbeat_renews_what_the_loop_registered() -> None:
    storage = MemoryStorage()
    run(storage.heartbeat(executor="e", ttl=10, now=100, register=True))
    pulse = storage.pulse()
    assert pulse.beat(executor="e", ttl=10, now=105).alive
    assert not pulse.beat(executor="stranger", ttl=10, now=105).alive
    pulse.close()
    (lease,) = run(storage.leases(limit=5)).items
    assert (lease.executor, lease.started_at, lease.expires_at) == ("e", 100, 115)


def test_a_closed_handle_says_so_and_its_data_stays() -> None:
    storage = MemoryStorage()
    other = MemoryStorage(sharing=storage)
    run(storage.insert(items=[NewExecution(id="a", task="t")], now=1))
    run(storage.close())
    run(storage.close())
    with pytest.raises(ClosedError, match="closed"):
        run(storage.get(ids=["a"]))
    (row,) = run(other.get(ids=["a"]))
    assert row is not None
    run(storage.setup())
    assert run(storage.get(ids=["a"])) == [row]
