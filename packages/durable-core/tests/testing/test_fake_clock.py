"""The fake clock: it moves when it is told to, and calls back in order."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from durable_core import MemoryStorage, OptionError
from durable_core.engine.clock import sleep, wait_until
from durable_core.testing import FakeClock, settle


async def test_it_stands_still_until_it_is_advanced() -> None:
    clock = FakeClock(datetime(2031, 5, 6, 7, tzinfo=UTC))
    assert clock.monotonic() == 0
    assert clock.now() == datetime(2031, 5, 6, 7, tzinfo=UTC)
    await clock.advance(1.5)
    await clock.advance(timedelta(minutes=1))
    assert clock.monotonic() == 61.5
    assert clock.now() == datetime(2031, 5, 6, 7, 1, 1, 500_000, tzinfo=UTC)
    assert clock.time_us() == round(clock.now().timestamp() * 1e6)


async def test_calls_are_made_in_order_of_time_then_of_making() -> None:
    clock = FakeClock()
    made: list[tuple[str, float]] = []

    def note(name: str) -> None:
        made.append((name, clock.monotonic()))

    clock.call_at(3, lambda: note("third"))
    clock.call_at(1, lambda: note("first"))
    clock.call_at(3, lambda: note("fourth"))
    clock.call_at(2, lambda: note("second"))
    clock.call_at(3.5, lambda: note("not yet"))
    clock.call_at(2.5, lambda: note("cancelled")).cancel()
    await clock.advance(3.4)
    assert made == [("first", 1), ("second", 2), ("third", 3), ("fourth", 3)]
    assert clock.monotonic() == 3.4


async def test_what_a_call_sets_off_runs_before_the_next_one() -> None:
    clock = FakeClock()
    seen: list[str] = []

    async def slow(name: str) -> None:
        for number in range(20):
            await asyncio.sleep(0)
            seen.append(f"{name}{number}")
        await sleep(clock, 0.5)
        seen.append(f"{name} slept")

    tasks: list[asyncio.Task[None]] = []

    def begin(name: str) -> None:
        tasks.append(asyncio.create_task(slow(name)))

    for at, name in ((2.0, "b"), (1.0, "a")):
        clock.call_at(at, partial(begin, name))
    await clock.advance(3)
    letters = [f"a{number}" for number in range(20)]
    assert seen == [*letters, "a slept", *[f"b{number}" for number in range(20)], "b slept"]
    assert all(task.done() for task in tasks)


async def test_a_call_in_the_past_is_made_soon() -> None:
    clock = FakeClock()
    await clock.advance(10)
    made: list[float] = []
    clock.call_at(10, lambda: made.append(clock.monotonic()))
    clock.call_at(3, lambda: made.append(clock.monotonic()))
    clock.call_at(3, lambda: made.append(-1)).cancel()
    assert made == []
    await settle()
    assert made == [10, 10]


async def test_microseconds_add_up_exactly() -> None:
    clock = FakeClock()
    start = clock.time_us()
    for _ in range(1000):
        await clock.advance(0.1)
    assert clock.time_us() - start == 100_000_000
    assert clock.monotonic() == 100


async def test_waiting_helpers_go_by_it() -> None:
    clock = FakeClock()
    event = asyncio.Event()
    waiting = asyncio.ensure_future(wait_until(clock, event, 5))
    await clock.advance(4.999)
    assert not waiting.done()
    await clock.advance(0.001)
    assert await waiting is False
    waiting = asyncio.ensure_future(wait_until(clock, event, 50))
    await settle()
    event.set()
    await settle()
    assert await waiting is True


async def test_a_duration_that_is_none_is_refused() -> None:
    with pytest.raises(OptionError, match="duration"):
        await FakeClock().advance(-1)


async def test_settling_gives_a_task_that_never_rests_a_bounded_number_of_turns() -> None:
    turns = 0

    async def restless() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.ensure_future(restless())
    await settle()
    assert 1000 < turns < 100_000
    task.cancel()


def test_settling_works_in_a_loop_that_does_not_tell_what_is_ready() -> None:
    class Opaque(asyncio.SelectorEventLoop):
        """As loops that are not written in Python."""

        def __getattribute__(self, name: str) -> object:
            if name == "_ready" and _from_kit():
                raise AttributeError(name)
            return super().__getattribute__(name)

    def _from_kit() -> bool:
        return str(sys._getframe(2).f_globals["__name__"]).startswith("durable_core")

    async def chain() -> int:
        depth = 0

        async def deeper() -> None:
            nonlocal depth
            await asyncio.sleep(0)
            depth += 1
            if depth < 50:
                task = asyncio.ensure_future(deeper())
                await task

        task = asyncio.ensure_future(deeper())
        await settle()
        assert task.done()
        return depth

    with asyncio.Runner(loop_factory=Opaque) as runner:
        assert runner.run(chain()) == 50


async def test_a_memory_storage_goes_by_it() -> None:
    clock = FakeClock()
    storage = MemoryStorage(clock=clock.time_us)
    sharing = MemoryStorage(sharing=storage)
    own = MemoryStorage(sharing=storage, clock=lambda: 7)
    await clock.advance(5)
    assert await storage.clock() == await sharing.clock() == clock.time_us()
    assert await own.clock() == 7
    beat = await sharing.heartbeat(executor="e", ttl=1, now=0, register=True)
    assert beat.clock == clock.time_us()
    assert storage.pulse().beat(executor="e", ttl=1, now=0).clock == clock.time_us()
