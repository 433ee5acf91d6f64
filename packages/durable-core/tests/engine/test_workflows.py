"""Durable functions: recorded once, put to sleep, run again from their record."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from durable_core import (
    Context,
    ExecutionFailedError,
    ExecutionTimedOutError,
    RetryPolicy,
    Status,
    StepFailedError,
    Tasks,
    WorkflowContext,
)

from .world import World


class Log:
    """Tasks, and what ran of their steps."""

    def __init__(self) -> None:
        self.tasks = Tasks()
        self.ran: list[str] = []

    async def note(self, what: str) -> str:
        self.ran.append(what)
        return what

    def note_in_thread(self, what: str) -> str:
        self.ran.append(f"thread {what}")
        return what


@pytest.fixture
def log() -> Log:
    return Log()


async def test_steps_are_run_once_in_one_hold(world: World, log: Log) -> None:
    @log.tasks.workflow
    async def three(ctx: WorkflowContext, name: str) -> list[str]:
        first = await ctx.step(log.note, f"{name} 1")
        second = await ctx.step(log.note_in_thread, f"{name} 2")
        return [first, second, await ctx.step(log.note, f"{name} 3")]

    executor = await world.start(tasks=log.tasks)
    handle = await executor.enqueue(three, "a")
    assert await handle.result() == ["a 1", "a 2", "a 3"]
    assert log.ran == ["a 1", "thread a 2", "a 3"]
    # One commit for each step, and one for the end.
    assert len(world.calls(executor, "apply")) == 4
    assert not world.calls(executor, "checkpoints")


async def test_a_sleep_holds_no_place_and_survives_the_process(world: World, log: Log) -> None:
    @log.tasks.workflow
    async def slow(ctx: WorkflowContext) -> str:
        await ctx.step(log.note, "before")
        await ctx.sleep(timedelta(hours=1))
        return await ctx.step(log.note, "after")

    first = await world.start(tasks=log.tasks)
    handle = await first.enqueue(slow)
    await world.idle(first)
    row = await world.row(handle.id)
    assert row.status is Status.SLEEPING
    assert row.due == world.clock.time_us() + 3_600_000_000
    assert not first.running
    await world.kill(first)
    second = await world.start(tasks=log.tasks)
    await world.idle(second, horizon=5_000)
    again = await second.handle(slow, handle.id)
    assert await again.result() == "after"
    assert log.ran == ["before", "after"]


async def test_values_of_a_rerun_are_those_of_the_first_run(world: World, log: Log) -> None:
    seen: list[Any] = []

    async def pair() -> tuple[int, datetime]:
        return 1, world.clock.now()

    @log.tasks.workflow
    async def chance(ctx: WorkflowContext) -> None:
        seen.append((ctx.now(), ctx.random.random(), ctx.uuid(), await ctx.step(pair)))
        await ctx.sleep(100)
        seen.append((ctx.now(), ctx.random.random(), ctx.uuid(), await ctx.step(pair)))

    executor = await world.start(tasks=log.tasks)
    handle = await executor.enqueue(chance)
    started = world.clock.now()
    await world.idle(executor, horizon=1000)
    await handle.result()
    first, again, second = seen
    assert first == again
    assert first[0] == started
    assert second[0] == started + timedelta(seconds=100)
    assert first[2] != second[2]
    assert first[3] == (1, started)


async def test_the_time_is_recorded_before_it_is_used(world: World, log: Log) -> None:
    used: list[datetime] = []
    stuck = asyncio.Event()

    async def use(now: datetime) -> None:
        used.append(now)
        if len(used) == 1:
            await stuck.wait()

    @log.tasks.workflow
    async def timed(ctx: WorkflowContext) -> None:
        await ctx.step(use, ctx.now())

    first = await world.start(tasks=log.tasks)
    handle = await first.enqueue(timed)
    await world.advance(1)
    await world.kill(first)
    second = await world.start(tasks=log.tasks)
    await world.advance(60)
    await (await second.handle(timed, handle.id)).result()
    assert used[0] == used[1]


async def test_parallel_steps_share_commits_and_keep_their_order(world: World, log: Log) -> None:
    gates = [asyncio.Event() for _ in range(4)]

    async def wait(number: int) -> int:
        await gates[number].wait()
        return number

    @log.tasks.workflow
    async def parallel(ctx: WorkflowContext) -> list[int]:
        steps = [ctx.step(wait, number) for number in range(4)]
        order = [await next_ for next_ in asyncio.as_completed(steps)]
        await ctx.sleep(10)
        return order

    executor = await world.start(tasks=log.tasks)
    handle = await executor.enqueue(parallel)
    await world.advance(1)
    for number in (2, 0):
        gates[number].set()
        await world.advance(0)
    gates[3].set()
    gates[1].set()
    await world.idle(executor, horizon=60)
    assert (await handle.result())[:2] == [2, 0]
    row = await world.row(handle.id)
    assert row.status is Status.COMPLETED
    # A re-run sees them end in the order of the first.
    assert len(world.calls(executor, "checkpoints")) == 1


async def test_branches_are_matched_whatever_their_order(world: World, log: Log) -> None:
    gates = {name: asyncio.Event() for name in "ab"}

    async def slow(name: str) -> str:
        await gates[name].wait()
        log.ran.append(name)
        return name

    @log.tasks.workflow
    async def branches(ctx: WorkflowContext) -> list[str]:
        async def branch(name: str) -> str:
            got = await ctx.step(slow, name)
            return got + await ctx.step(log.note, f"then {name}")

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(branch(name)) for name in "ab"]
        await ctx.sleep(10)
        return [task.result() for task in tasks]

    executor = await world.start(tasks=log.tasks)
    handle = await executor.enqueue(branches)
    await world.advance(0)
    gates["b"].set()
    await world.advance(0)
    gates["a"].set()
    await world.idle(executor, horizon=60)
    assert await handle.result() == ["athen a", "bthen b"]
    assert log.ran == ["b", "then b", "a", "then a"]


async def test_a_step_is_retried_by_its_own_policy(world: World, log: Log) -> None:
    attempts: list[tuple[int, str | None]] = []

    @log.tasks.task(retries=RetryPolicy(3, delay=60, multiplier=1, jitter=0))
    async def flaky(ctx: Context, good: int) -> int:
        previous = ctx.previous_error
        attempts.append((ctx.attempt, None if previous is None else previous.message))
        if ctx.attempt < good:
            msg = f"not at {ctx.attempt}"
            raise OSError(msg)
        return ctx.attempt

    @log.tasks.workflow
    async def patient(ctx: WorkflowContext, good: int) -> str:
        try:
            return f"attempt {await ctx.step(flaky, good)}"
        except StepFailedError as error:
            kinds = (error.is_a(OSError), error.is_a(ValueError))
            return f"{str(error).splitlines()[0]} {kinds}"

    executor = await world.start(tasks=log.tasks)
    handle = await executor.enqueue(patient, 3)
    await world.idle(executor)
    row = await world.row(handle.id)
    assert row.status is Status.SLEEPING
    assert row.due == world.clock.time_us() + 60_000_000
    await world.idle(executor, horizon=600)
    assert await handle.result() == "attempt 3"
    assert attempts == [(1, None), (2, "not at 1"), (3, "not at 2")]
    handle = await executor.enqueue(patient, 100)
    await world.idle(executor, horizon=600)
    assert await handle.result() == "step 'flaky' failed: OSError: not at 4 (True, False)"
    assert len(attempts) == 7


async def test_retries_are_counted_across_crashes(world: World, log: Log) -> None:
    attempts: list[int] = []

    async def fail() -> None:
        attempts.append(1)
        raise OSError

    @log.tasks.workflow
    async def fails(ctx: WorkflowContext) -> None:
        policy = RetryPolicy(2, delay=60, multiplier=1, jitter=0)
        await ctx.with_options(name="failing", retries=policy).step(fail)

    first = await world.start(tasks=log.tasks)
    handle = await first.enqueue(fails)
    await world.idle(first, horizon=61)
    assert len(attempts) == 2
    await world.kill(first)
    second = await world.start(tasks=log.tasks)
    await world.idle(second, horizon=600)
    again = await second.handle(fails, handle.id)
    with pytest.raises(ExecutionFailedError, match="step 'failing' failed: OSError"):
        await again.result()
    assert len(attempts) == 3


async def test_a_step_has_a_timeout(world: World, log: Log) -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    @log.tasks.workflow
    async def impatient(ctx: WorkflowContext) -> bool:
        try:
            await ctx.with_options(timeout=5).step(hang)
        except StepFailedError as error:
            return error.timed_out
        return False

    executor = await world.start(tasks=log.tasks)
    handle = await executor.enqueue(impatient)
    await world.advance(6)
    assert await handle.result() is True


async def test_asyncio_timeouts_are_durable(world: World, log: Log) -> None:
    stopped: list[str] = []

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append("stopped")

    @log.tasks.workflow
    async def impatient(ctx: WorkflowContext) -> str:
        try:
            async with asyncio.timeout(30):
                await ctx.step(hang)
        except TimeoutError:
            await asyncio.sleep(3600)
            return await ctx.step(log.note, "gave up")
        return "never"

    executor = await world.start(tasks=log.tasks)
    handle = await executor.enqueue(impatient)
    await world.advance(31)
    await world.idle(executor, horizon=4000)
    assert await handle.result() == "gave up"
    assert stopped == ["stopped"]


async def test_a_deadline_ends_it_wherever_it_is(world: World, log: Log) -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    @log.tasks.workflow(deadline=60)
    async def sleeps(ctx: WorkflowContext) -> None:
        await ctx.sleep(1000)

    @log.tasks.workflow(deadline=60)
    async def hangs(ctx: WorkflowContext) -> None:
        await ctx.step(hang)

    executor = await world.start(tasks=log.tasks)
    handles = [await executor.enqueue(sleeps), await executor.enqueue(hangs)]
    await world.advance(61)
    for handle in handles:
        with pytest.raises(ExecutionTimedOutError, match="its deadline has passed"):
            await handle.result()


async def test_the_context_need_not_be_annotated(world: World) -> None:
    tasks = Tasks()
    scope: dict[str, Any] = {}
    source = "async def plain(ctx, name):\n    await ctx.sleep(0)\n    return [name, ctx.recorded]"
    exec(source, scope)  # noqa: S102 - what strict type checkers do not let us write
    plain = tasks.workflow(scope["plain"])
    executor = await world.start(tasks=tasks)
    handle = await executor.enqueue(plain, "a")
    assert await handle.result() == ["a", 1]


async def test_sleep_until_takes_a_time(world: World, log: Log) -> None:
    @log.tasks.workflow
    async def until(ctx: WorkflowContext) -> datetime:
        await ctx.sleep_until(datetime(2030, 1, 1, 2, tzinfo=UTC))
        await ctx.sleep_until(datetime(2000, 1, 2, tzinfo=UTC))
        return ctx.now()

    executor = await world.start(tasks=log.tasks)
    handle = await executor.enqueue(until)
    await world.idle(executor, horizon=8_000)
    assert await handle.result() == datetime(2030, 1, 1, 2, tzinfo=UTC)
