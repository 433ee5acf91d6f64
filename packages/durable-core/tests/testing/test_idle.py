"""Run until idle: what runs is waited for, what is scheduled is moved to."""

import asyncio
import threading
import time
from datetime import timedelta

import pytest

from durable_core import (
    DurableExecutor,
    MemoryStorage,
    NotRunningError,
    OptionError,
    RetryPolicy,
    Status,
    Tasks,
    current,
)
from durable_core.testing import ExecutorFactory, FakeClock, NotIdleError, advance, run_until_idle
from durable_core.testing.faults import FaultyStorage, Randomly


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def make(clock: FakeClock) -> ExecutorFactory:
    return ExecutorFactory(MemoryStorage(clock=clock.time_us), clock)


async def test_everything_claimable_now_is_run(make: ExecutorFactory, clock: FakeClock) -> None:
    executor = make()
    ran: list[int] = []

    @executor.task
    async def work(number: int) -> None:
        ran.append(number)
        if number:
            await executor.enqueue(work, number - 1)

    @executor.task(delay=1)
    async def later() -> None:
        ran.append(-1)

    async with executor:
        await executor.enqueue(later)
        await executor.enqueue(work, 5)
        await run_until_idle(executor)
        assert ran == [5, 4, 3, 2, 1, 0]
        assert clock.monotonic() == 0
        assert await executor.count(by="status") == {"completed": 6, "ready": 1}


async def test_threads_are_waited_for(make: ExecutorFactory) -> None:
    executor = make()
    let_go = threading.Event()
    threading.Timer(0.05, let_go.set).start()

    @executor.task
    def in_a_thread() -> bool:
        return let_go.wait(10)

    async with executor:
        handle = await executor.enqueue(in_a_thread)
        await run_until_idle(executor)
        assert await handle.status() is Status.COMPLETED


async def test_a_horizon_moves_from_one_due_time_to_the_next(
    make: ExecutorFactory, clock: FakeClock
) -> None:
    executor = make()
    ran: list[tuple[str, float]] = []

    @executor.task(retries=RetryPolicy(3, delay=60, multiplier=10))
    def flaky() -> None:
        ran.append((f"flaky {current().attempt}", clock.monotonic()))
        if current().attempt < 4:
            raise OSError

    @executor.task
    async def daily(number: int) -> None:
        ran.append((f"day {number}", clock.monotonic()))
        if number < 3:
            await executor.enqueue(daily.with_options(delay=timedelta(days=1)), number + 1)

    approval = executor.sleeping("approval", bool, timeout=timedelta(days=30))
    async with executor:
        await executor.enqueue(flaky)
        await executor.enqueue(daily, 1)
        sleeper = await executor.enqueue(approval, "k")
        await run_until_idle(executor, horizon=timedelta(days=3))
        day = 86_400
        assert sorted(ran) == [
            ("day 1", 0),
            ("day 2", day),
            ("day 3", 2 * day),
            ("flaky 1", 0),
            ("flaky 2", 60),
            ("flaky 3", 360),
            ("flaky 4", 660),
        ]
        # The clock stops at the last thing that was scheduled before the horizon.
        assert clock.monotonic() == 2 * day
        assert await sleeper.status() is Status.SLEEPING
        await run_until_idle(executor, horizon=timedelta(days=28))
        assert await sleeper.status() is Status.TIMED_OUT


async def test_time_passes_and_everything_runs_at_its_time(
    make: ExecutorFactory, clock: FakeClock
) -> None:
    executor = make()
    ran: list[float] = []

    @executor.task(delay=100, timeout=5)
    def in_a_thread() -> None:
        ran.append(clock.monotonic())
        # Slow in real time, while the fake one stands still.
        threading.Event().wait(0.02)

    async with executor:
        handle = await executor.enqueue(in_a_thread)
        await advance(executor, by=60)
        assert clock.monotonic() == 60
        assert ran == []
        await advance(executor, by=timedelta(minutes=2))
        assert clock.monotonic() == 180
        assert ran == [100]
        assert await handle.status() is Status.COMPLETED
    real = DurableExecutor(MemoryStorage())
    async with real:
        with pytest.raises(OptionError, match="FakeClock"):
            await advance(real, by=1)


async def test_days_pass_in_milliseconds(make: ExecutorFactory, clock: FakeClock) -> None:
    executor = make()

    @executor.task(delay=timedelta(days=365))
    async def next_year() -> None: ...

    async with executor:
        handle = await executor.enqueue(next_year)
        began = time.perf_counter()
        await run_until_idle(executor, horizon=timedelta(days=400))
        assert time.perf_counter() - began < 5
        assert await handle.status() is Status.COMPLETED
        assert clock.monotonic() == 365 * 86_400


async def test_what_nobody_serves_is_not_waited_for(
    make: ExecutorFactory, clock: FakeClock
) -> None:
    other = Tasks()

    @other.task(delay=10)
    async def unknown() -> None: ...

    client = make(tasks=other, client_only=True)
    executor = make(queues=["default"])

    @executor.task(delay=20, queue="elsewhere")
    async def elsewhere() -> None: ...

    async with client, executor:
        await client.enqueue(unknown)
        await executor.enqueue(elsewhere)
        await run_until_idle(client, executor, horizon=100)
        assert clock.monotonic() == 0
        assert await executor.count(by="status") == {"ready": 2}


async def test_several_executors_come_to_rest_together(make: ExecutorFactory) -> None:
    first, second = make(queues=["a"]), make(queues=["b"])
    ran: list[str] = []

    async def ping(number: int) -> None:
        ran.append(f"ping {number}")
        if number:
            await first.enqueue(pong_task, number - 1)

    async def pong(number: int) -> None:
        ran.append(f"pong {number}")
        if number:
            await second.enqueue(ping_task, number - 1)

    ping_task = first.task(queue="a")(ping)
    pong_task = second.task(queue="b")(pong)
    first.register(pong_task)
    second.register(ping_task)
    async with first, second:
        await first.enqueue(ping_task, 4)
        await run_until_idle(first, second)
    assert ran == ["ping 4", "pong 3", "ping 2", "pong 1", "ping 0"]


async def test_a_lost_hint_does_not_look_like_no_work(clock: FakeClock) -> None:
    space = MemoryStorage(clock=clock.time_us)
    deaf = FaultyStorage(MemoryStorage(sharing=space), Randomly(1, dropped_hint=1, methods=()))
    executor = DurableExecutor(deaf, clock=clock)
    ran: list[int] = []

    @executor.task
    async def work() -> None:
        ran.append(1)

    client = DurableExecutor(
        MemoryStorage(sharing=space), clock=clock, tasks=executor.tasks, client_only=True
    )
    async with executor, client:
        await run_until_idle(executor, client)
        await client.enqueue(work)
        await run_until_idle(executor, client)
        assert ran == [1]


async def test_what_goes_on_for_too_long_is_named(make: ExecutorFactory) -> None:
    executor = make(name="worker")

    @executor.task
    async def endless() -> None:
        await asyncio.Event().wait()

    async with executor:
        handle = await executor.enqueue(endless)
        with pytest.raises(NotIdleError) as caught:
            await run_until_idle(executor, timeout=0.05)
        assert str(caught.value) == (f"still busy after 0.05 s:\n  worker runs endless {handle.id}")


async def test_a_thread_that_was_interrupted_is_waited_for(
    make: ExecutorFactory, clock: FakeClock
) -> None:
    executor = make(name="worker")
    begun, go_on = threading.Event(), threading.Event()

    @executor.task(timeout=5)
    def in_a_thread() -> None:
        begun.set()
        go_on.wait(10)

    async with executor:
        handle = await executor.enqueue(in_a_thread)
        assert await asyncio.to_thread(begun.wait, 10)
        await clock.advance(5)
        assert await handle.status() is Status.TIMED_OUT
        with pytest.raises(NotIdleError, match="worker interrupted 1 that have not stopped yet"):
            await run_until_idle(executor, timeout=0.05)
        go_on.set()
        await run_until_idle(executor)


async def test_it_is_said_what_is_missing(make: ExecutorFactory) -> None:
    executor = make()
    with pytest.raises(NotRunningError):
        await run_until_idle(executor)
    async with executor:
        await run_until_idle(executor, horizon=1)
    async with DurableExecutor(MemoryStorage()) as real:
        await run_until_idle(real)
        with pytest.raises(OptionError, match="FakeClock"):
            await run_until_idle(real, horizon=1)
    one, two = make(), make(clock=FakeClock())
    async with one, two:
        with pytest.raises(OptionError, match="share"):
            await run_until_idle(one, two, horizon=1)
