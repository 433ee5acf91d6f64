"""Records that do not fit the code, versions, and limits."""

import asyncio
from typing import Any

import pytest

from durable_core import (
    ExecutionFailedError,
    Tasks,
    WorkflowContext,
)
from durable_core.engine.replay import journal, stage

from .world import World


async def rerun(world: World, before: Any, after: Any) -> Any:
    """Run a function until it sleeps, then let another one of the same name go on."""
    old, new = Tasks(), Tasks()
    first = await world.start(tasks=old)
    handle = await first.enqueue(old.workflow(name="changing")(before))
    await world.idle(first)
    await first.shutdown()
    second = await world.start(tasks=new)
    made = new.workflow(name="changing")(after)
    await world.idle(second, horizon=100)
    try:
        return await (await second.handle(made, handle.id)).result(timeout=0)
    finally:
        await second.shutdown()


async def one() -> int:
    return 1


async def two() -> int:
    return 2


async def test_another_step_at_a_recorded_place_is_an_error_that_names_both(world: World) -> None:
    async def before(ctx: WorkflowContext) -> int:
        await ctx.step(one)
        await ctx.sleep(10)
        return 0

    async def after(ctx: WorkflowContext) -> int:
        try:
            return await ctx.step(two)
        except BaseException:  # noqa: BLE001 - nothing helps
            return 0

    wrong = "at operation 0 the record has step 'one', but task 'changing' asks for step 'two'"
    with pytest.raises(ExecutionFailedError, match=wrong):
        await rerun(world, before, after)


async def test_another_operation_in_the_place_of_a_sleep_is_an_error(world: World) -> None:
    async def before(ctx: WorkflowContext) -> int:
        await ctx.step(one)
        await ctx.sleep(10)
        return 0

    async def after(ctx: WorkflowContext) -> int:
        return await ctx.step(one) + await ctx.step(two)

    wrong = "at operation 1 the record has a sleep, but task 'changing' asks for step 'two'"
    with pytest.raises(ExecutionFailedError, match=wrong):
        await rerun(world, before, after)


async def test_fewer_operations_than_recorded_are_an_error(world: World) -> None:
    async def before(ctx: WorkflowContext) -> int:
        await asyncio.gather(ctx.step(one), ctx.step(two))
        await ctx.sleep(10)
        return 0

    async def after(ctx: WorkflowContext) -> int:
        await ctx.step(one)
        await ctx.sleep(10)
        return 0

    with pytest.raises(ExecutionFailedError, match=r"step 'two', but .* asks for a sleep"):
        await rerun(world, before, after)

    async def shorter(ctx: WorkflowContext) -> int:
        return await ctx.step(one)

    with pytest.raises(ExecutionFailedError, match="the record has step 'two'"):
        await rerun(world, before, shorter)


async def test_old_and_new_code_live_side_by_side_by_version(world: World) -> None:
    async def before(ctx: WorkflowContext) -> list[object]:
        await ctx.sleep(10)
        return [await ctx.step(one)]

    async def after(ctx: WorkflowContext) -> list[object]:
        early = ctx.version("early")
        await ctx.sleep(10)
        late = ctx.version("late")
        await ctx.sleep(10)
        assert ctx.version("late") is late
        return [early, late, await ctx.step(two if late else one)]

    assert await rerun(world, before, after) == [False, True, 2]
    assert await rerun(world, after, after) == [True, True, 2]


async def test_old_code_hands_back_what_new_code_has_begun(world: World) -> None:
    async def newer(ctx: WorkflowContext) -> int:
        if ctx.version("change"):
            await ctx.step(two)
        await ctx.sleep(10)
        return 2

    async def older(ctx: WorkflowContext) -> int:
        await ctx.step(one)
        await ctx.sleep(10)
        return 1

    with pytest.raises(TimeoutError):
        await rerun(world, newer, older)
    third = Tasks()
    made = third.workflow(name="changing")(newer)
    executor = await world.start(tasks=third)
    (row,) = await world.rows(tasks=frozenset({"changing"}))
    await world.advance(1000)
    assert await (await executor.handle(made, row.id)).result(timeout=0) == 2


async def test_a_record_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MAX_ENTRIES", 10)
    tasks = Tasks()

    @tasks.workflow
    async def endless(ctx: WorkflowContext) -> None:
        while True:
            await ctx.step(one)

    executor = await world.start(tasks=tasks)
    handle = await executor.enqueue(endless)
    with pytest.raises(ExecutionFailedError, match=r"at most 10 and .* with ctx\.continue_as_new"):
        await handle.result()


async def test_what_is_pending_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "MAX_OPEN", 10)
    tasks = Tasks()

    @tasks.workflow
    async def wide(ctx: WorkflowContext) -> None:
        await ctx.gather(*(ctx.step(one) for _ in range(11)))

    executor = await world.start(tasks=tasks)
    handle = await executor.enqueue(wide)
    with pytest.raises(ExecutionFailedError, match=r"10 operations .* await some of them first"):
        await handle.result()
