"""Sleeping tasks: woken from outside, early, late, twice or never."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from durable_core import (
    DurableExecutor,
    ExecutionCancelledError,
    ExecutionFailedError,
    ExecutionTimedOutError,
    FanOut,
    IdConflictError,
    OutputError,
    Status,
    WakeOutcome,
)
from durable_core.testing.faults import Fault, Gate, On

from .world import World


async def test_a_sleeper_is_completed_from_outside(world: World) -> None:
    executor = world.executor()
    approval = executor.sleeping("approval", bool)
    client = await world.start(tasks=executor.tasks, client_only=True)
    await executor.start()
    handle = await executor.enqueue(approval, "order-1")
    await world.advance(3600)
    execution = await handle.execution()
    assert (execution.status, execution.wake_key) == (Status.SLEEPING, "order-1")
    assert await client.wake(approval, "order-1", value=True) is WakeOutcome.WOKEN
    assert await handle.result() is True


async def test_a_sleeper_is_failed_from_outside(world: World) -> None:
    executor = world.executor()
    approval = executor.sleeping("approval", bool)
    await executor.start()
    handle = await executor.enqueue(approval, "a")
    error = PermissionError("refused by the board")
    assert await executor.wake_failed(approval, "a", error) is WakeOutcome.WOKEN
    with pytest.raises(ExecutionFailedError) as caught:
        await handle.result()
    info = caught.value.info
    assert info is not None
    assert (info.type_name, info.message) == ("PermissionError", "refused by the board")
    other = await executor.enqueue(approval, "b")
    await executor.wake_failed(approval, "b", "just words")
    with pytest.raises(ExecutionFailedError, match="just words"):
        await other.result()


async def test_an_early_wake_up_is_kept_for_the_next_sleeper_once(world: World) -> None:
    executor = world.executor()
    approval = executor.sleeping("approval", int)
    await executor.start()
    assert await executor.wake(approval, "k", 1) is WakeOutcome.KEPT
    assert await executor.wake(approval, "k", 2) is WakeOutcome.ALREADY_KEPT
    assert await (await executor.enqueue(approval, "k")).result() == 1
    # The message is used up: the next sleeper sleeps.
    again = await executor.enqueue(approval, "k")
    assert again.created
    await world.idle(executor)
    assert await again.status() is Status.SLEEPING


async def test_an_early_wake_up_is_kept_for_as_long_as_said(world: World) -> None:
    executor = world.executor()
    approval = executor.sleeping("approval", int)
    await executor.start()
    assert await executor.wake(approval, "hour", 1, keep=timedelta(hours=1)) is WakeOutcome.KEPT
    assert await executor.wake(approval, "never", 1, keep=None) is WakeOutcome.NOBODY
    assert await executor.wake(approval, "default", 1) is WakeOutcome.KEPT
    await world.advance(3600)
    hour = await executor.enqueue(approval, "hour")
    never = await executor.enqueue(approval, "never")
    default = await executor.enqueue(approval, "default")
    await world.idle(executor)
    assert await hour.status() is Status.SLEEPING
    assert await never.status() is Status.SLEEPING
    assert await default.result() == 1


async def test_an_early_error_is_kept_too(world: World) -> None:
    executor = world.executor()
    approval = executor.sleeping("approval", int)
    await executor.start()
    assert await executor.wake_failed(approval, "k", "no") is WakeOutcome.KEPT
    with pytest.raises(ExecutionFailedError, match="no"):
        await (await executor.enqueue(approval, "k")).result()


async def test_a_sleeper_times_out_once_its_time_is_over(world: World) -> None:
    executor = world.executor()
    approval = executor.sleeping("approval", int, timeout=timedelta(days=1))
    await executor.start()
    handle = await executor.enqueue(approval, "k")
    waiting = asyncio.ensure_future(handle.result())
    await world.advance(86_399)
    assert not waiting.done()
    await world.advance(1)
    with pytest.raises(ExecutionTimedOutError, match="nobody woke it"):
        await waiting
    # The key is free again.
    assert await executor.wake(approval, "k", 5, keep=None) is WakeOutcome.NOBODY
    again = await executor.enqueue(approval, "k")
    assert await executor.wake(approval, "k", 6) is WakeOutcome.WOKEN
    assert await again.result() == 6


async def test_a_wake_up_during_the_time_out_is_late(world: World) -> None:
    gate = Gate()
    executor = world.executor(On("apply", Fault.gate(before=gate)))
    approval = executor.sleeping("approval", int, timeout=60)
    client = await world.start(tasks=executor.tasks, client_only=True)
    await executor.start()
    handle = await executor.enqueue(approval, "k")
    await world.advance(60)
    assert gate.reached.is_set()
    assert await client.wake(approval, "k", 5) is WakeOutcome.LATE
    gate.open()
    await world.idle(executor)
    assert await handle.status() is Status.TIMED_OUT
    # Nothing was kept for the next one.
    again = await executor.enqueue(approval, "k")
    assert await again.status() is Status.SLEEPING


async def test_keys_belong_to_their_task_and_are_free_after_the_end(world: World) -> None:
    executor = world.executor()
    first = executor.sleeping("first", int)
    second = executor.sleeping("second", int)
    await executor.start()
    one = await executor.enqueue(first, "k")
    two = await executor.enqueue(second, "k")
    same = await executor.enqueue(first, "k")
    assert (one.created, two.created, same.created) == (True, True, False)
    assert same.id == one.id
    await executor.wake(second, "k", 2)
    assert await two.result() == 2
    assert await one.status() is Status.SLEEPING
    await executor.wake(first, "k", 1)
    for end in (executor.wake(first, "k", 10), executor.wake_failed(first, "k", "no")):
        again = await executor.enqueue(first, "k")
        assert again.created
        assert await end is WakeOutcome.WOKEN
    third = await executor.enqueue(first, "k")
    assert await third.cancel()
    with pytest.raises(ExecutionCancelledError):
        await third.result()
    fourth = await executor.enqueue(first, "k")
    assert fourth.created


async def test_a_value_of_another_type_is_refused(world: World) -> None:
    executor = world.executor()
    approval = executor.sleeping("approval", int)
    await executor.start()
    untyped: Any = approval
    handle = await executor.enqueue(approval, "k")
    with pytest.raises(OutputError):
        await executor.wake(untyped, "k", "text")
    assert await handle.status() is Status.SLEEPING


async def test_of_many_wake_ups_one_wins(world: World) -> None:
    executor = world.executor()
    approval = executor.sleeping("approval", int)
    others = [await world.start(tasks=executor.tasks, client_only=True) for _ in range(3)]
    await executor.start()
    handle = await executor.enqueue(approval, "k")
    outcomes = await asyncio.gather(
        *(
            one.wake(approval, "k", number, keep=None)
            for number, one in enumerate([executor, *others])
        )
    )
    assert sorted(outcomes) == [*[WakeOutcome.NOBODY] * 3, WakeOutcome.WOKEN]
    assert await handle.result() == outcomes.index(WakeOutcome.WOKEN)


async def test_a_wake_up_whose_answer_is_lost_is_not_kept_for_the_next_one(world: World) -> None:
    executor = world.executor(On("wake", Fault.lost_answer(), nth=1))
    approval = executor.sleeping("approval", int)
    await executor.start()
    handle = await executor.enqueue(approval, "k")
    waking = asyncio.ensure_future(executor.wake(approval, "k", 1))
    await world.advance(1)
    assert await waking is WakeOutcome.WOKEN
    assert await handle.result() == 1
    again = await executor.enqueue(approval, "k")
    assert await again.status() is Status.SLEEPING
    assert len(world.calls(executor, "wake")) == 2


async def test_a_sleeping_child_wakes_its_parent(world: World) -> None:
    executor = world.executor()
    approval = executor.sleeping("approval", str)

    @executor.parent
    async def ask() -> FanOut[str]:
        return FanOut("own", [approval.call("a"), approval.call("b")])

    await executor.start()
    # One message is there before the sleeper.
    await executor.wake(approval, "a", "early")
    handle = await executor.enqueue(ask)
    await world.idle(executor)
    assert (await handle.execution()).pending_children == 1
    await executor.wake(approval, "b", "late")
    await handle.result()
    assert [child.output async for child in handle.children()] == ["early", "late"]


async def test_a_sleeper_survives_the_death_of_every_executor(world: World) -> None:
    first = world.executor()
    approval = first.sleeping("approval", int, timeout=1000)
    await first.start()
    handle = await first.enqueue(approval, "k")
    await world.kill(first)
    await world.advance(100)
    second = await world.start(tasks=first.tasks)
    await world.advance(100)
    row = await world.row(handle.id)
    assert (row.status, row.crashes, row.gen) == (Status.SLEEPING, 0, 0)
    assert await second.wake(approval, "k", 3) is WakeOutcome.WOKEN


async def test_a_sleeper_with_an_id_meets_another_one_of_its_key(world: World) -> None:
    executor: DurableExecutor = world.executor()
    approval = executor.sleeping("approval", int)
    await executor.start()
    one = await executor.enqueue(approval.with_options(id="one"), "k")
    with pytest.raises(IdConflictError, match="'one'"):
        await executor.enqueue(approval.with_options(id="one"), "other")
    assert (await executor.enqueue(approval.with_options(id="two"), "k")).id == one.id
