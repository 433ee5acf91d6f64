"""Loops: one row that iterates, however often and for however long."""

from datetime import timedelta
from typing import Any

import pytest

from durable_core import (
    Again,
    Done,
    ExecutionFailedError,
    LoopResult,
    RetryPolicy,
    Status,
    TaskDefinitionError,
    Tasks,
    current,
)
from durable_core.storage import Phase, Release
from durable_core.testing.faults import Fault, LoggedCall, On

from .world import World, items_of


async def test_a_loop_iterates_until_it_is_done(world: World) -> None:
    executor = world.executor()
    times: list[tuple[int, float]] = []

    @executor.task
    async def check(name: str) -> Again | Done[str]:
        iteration = current().iteration
        times.append((iteration, world.clock.monotonic()))
        return Done(f"{name} after {iteration}") if iteration == 3 else Again()

    poll = executor.loop("poll", check, max_iterations=100, delay=timedelta(seconds=5))
    await executor.start()
    handle = await executor.enqueue(poll, "ready")
    await world.idle(executor)
    waiting = await handle.execution()
    assert waiting.status is Status.READY
    assert waiting.owner is None
    await world.idle(executor, horizon=1000)
    result = await handle.result()
    assert result == LoopResult(done=True, output="ready after 3", iterations=4)
    assert times == [(0, 0), (1, 5), (2, 10), (3, 15)]
    assert await world.count() == 1


async def test_a_loop_whose_iterations_are_used_up_completes_not_done(world: World) -> None:
    executor = world.executor()
    ran: list[int] = []

    @executor.task
    def check() -> Again | Done[int]:
        ran.append(current().iteration)
        return Again()

    poll = executor.loop("poll", check, max_iterations=3, delay=lambda n: 10 * n)
    await executor.start()
    handle = await executor.enqueue(poll)
    await world.idle(executor, horizon=1000)
    assert await handle.result() == LoopResult(done=False, output=None, iterations=3)
    assert ran == [0, 1, 2]
    assert world.clock.monotonic() == 30


async def test_a_thousand_iterations_are_one_row(world: World) -> None:
    executor = world.executor()

    @executor.task
    async def count() -> Again | Done[int]:
        iteration = current().iteration
        return Done(iteration) if iteration == 999 else Again()

    loop = executor.loop("loop", count, max_iterations=10_000)
    await executor.start()
    handle = await executor.enqueue(loop)
    assert (await handle.result()).output == 999
    assert await world.count() == 1


async def test_an_iteration_is_retried_under_the_bodys_policy(world: World) -> None:
    executor = world.executor()
    ran: list[tuple[int, int]] = []

    @executor.task(retries=RetryPolicy(1, delay=1, jitter=0))
    async def flaky() -> Again | Done[int]:
        context = current()
        ran.append((context.iteration, context.attempt))
        if context.attempt == 1:
            raise OSError
        return Done(7) if context.iteration == 2 else Again()

    @executor.task(retries=RetryPolicy(1, delay=1))
    async def broken() -> Again | Done[int]:
        msg = "for ever"
        raise OSError(msg)

    loop = executor.loop("loop", flaky, max_iterations=10)
    failing = executor.loop("failing", broken, max_iterations=10)
    await executor.start()
    handle = await executor.enqueue(loop)
    failed = await executor.enqueue(failing)
    await world.idle(executor, horizon=100)
    assert (await handle.result()).output == 7
    assert ran == [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (2, 2)]
    with pytest.raises(ExecutionFailedError) as caught:
        await failed.result()
    info = caught.value.info
    assert info is not None
    assert info.notes == ("in iteration 0 of loop failing",)


async def test_an_iteration_that_returns_something_else_fails(world: World) -> None:
    executor = world.executor()

    @executor.task
    async def wrong() -> int:
        return 1

    body: Any = wrong
    loop: Any = executor.loop("loop", body, max_iterations=10)
    await executor.start()
    with pytest.raises(ExecutionFailedError, match="Again"):
        await (await executor.enqueue(loop)).result()


async def test_a_composed_body_runs_as_a_child_per_iteration(world: World) -> None:
    executor = world.executor()

    @executor.task
    async def measure(target: int) -> int:
        return target

    seen: list[int] = []

    @executor.task
    async def judge(value: int) -> Again | Done[int]:
        seen.append(value)
        return Done(value) if len(seen) == 3 else Again()

    body = executor.sequence("body", measure, judge)
    loop = executor.loop("loop", body, max_iterations=10, delay=5)
    await executor.start()
    handle = await executor.enqueue(loop, 4)
    await world.idle(executor, horizon=100)
    assert await handle.result() == LoopResult(done=True, output=4, iterations=3)
    assert [row.child_index for row in await world.rows(parent_id=handle.id)] == [0, 1, 2]


async def test_a_failed_child_fails_the_loop(world: World) -> None:
    executor = world.executor()

    @executor.task
    async def broken() -> Again | Done[int]:
        msg = "inside"
        raise ValueError(msg)

    body = executor.sequence("body", broken)
    loop = executor.loop("loop", body, max_iterations=10)
    await executor.start()
    with pytest.raises(ExecutionFailedError, match="inside"):
        await (await executor.enqueue(loop)).result()


async def test_the_deadline_of_a_loop_ends_it(world: World) -> None:
    executor = world.executor()
    ran: list[float] = []

    @executor.task
    async def check() -> Again | Done[int]:
        ran.append(world.clock.monotonic())
        return Again()

    loop = executor.loop("loop", check, max_iterations=10_000, delay=10, deadline=35)
    await executor.start()
    handle = await executor.enqueue(loop)
    await world.idle(executor, horizon=1000)
    assert await handle.status() is Status.TIMED_OUT
    assert ran == [0, 10, 20, 30]
    assert world.clock.monotonic() == 35


async def test_the_first_iteration_can_be_delayed(world: World) -> None:
    executor = world.executor()
    ran: list[float] = []

    @executor.task
    async def check() -> Again | Done[int]:
        ran.append(world.clock.monotonic())
        return Done(1) if len(ran) == 2 else Again()

    loop = executor.loop("loop", check, max_iterations=5, delay=10, first_delay=100)
    await executor.start()
    await executor.enqueue(loop)
    await world.idle(executor, horizon=1000)
    assert ran == [100, 110]


async def test_a_successor_goes_on_at_the_iteration_that_was_under_way(world: World) -> None:
    tasks = Tasks()
    ran: list[tuple[int, int]] = []

    @tasks.task
    async def check() -> Again | Done[int]:
        ran.append((current().iteration, current().attempt))
        return Done(9) if current().iteration == 5 else Again()

    loop = tasks.loop("loop", check, max_iterations=10)

    def releases(call: LoggedCall) -> bool:
        return any(isinstance(item, Release) for item in items_of(call))

    first = await world.start(On("apply", Fault.stop(), nth=4, where=releases), tasks=tasks)
    handle = await first.enqueue(loop)
    await world.advance(0)
    assert world.faults(first).stopped
    await world.kill(first)
    second = await world.start(tasks=tasks)
    await world.advance(30)
    await world.idle(second)
    result = await (await second.handle(loop, handle.id)).result()
    assert result == LoopResult(done=True, output=9, iterations=6)
    assert ran == [(0, 1), (1, 1), (2, 1), (3, 1), (3, 2), (4, 1), (5, 1)]
    assert (await world.row(handle.id)).phase is Phase.COMPLETED


async def test_definitions_are_checked() -> None:
    tasks = Tasks()

    @tasks.task
    async def check() -> Again | Done[int]:
        return Again()

    with pytest.raises(TaskDefinitionError, match="max_iterations"):
        tasks.loop("none", check, max_iterations=0)
