"""Events: kept, taken once, timed out, refused to a second waiter."""

import asyncio
from dataclasses import dataclass
from typing import Any, cast

import pytest

from durable_core import (
    DurableExecutor,
    Event,
    EventConflictError,
    EventTimeoutError,
    InputError,
    OutputError,
    Status,
    TaskDefinitionError,
    Tasks,
    WakeOutcome,
    WorkflowContext,
    WorkflowTask,
)

from .world import World


@dataclass
class Packed:
    parcels: list[str]


packed = Event("packed", Packed)


def waiting() -> Tasks:
    tasks = Tasks()

    @tasks.workflow(name="order")
    async def order(ctx: WorkflowContext, key: str) -> str:
        try:
            event = await ctx.wait_for(packed, key=key, timeout=100)
        except EventTimeoutError:
            return "timed out"
        except EventConflictError as error:
            return str(error)
        return "+".join(event.parcels)

    return tasks


async def start(world: World) -> DurableExecutor:
    return await world.start(tasks=waiting())


def order_of(executor: DurableExecutor) -> WorkflowTask[[str], str]:
    return cast("WorkflowTask[[str], str]", executor.tasks.find("order"))


async def test_an_event_wakes_its_waiter(world: World) -> None:
    executor = await start(world)
    handle = await executor.enqueue(order_of(executor), "a")
    await world.idle(executor)
    assert await handle.status() is Status.WAITING_FOR_CHILDREN
    assert not executor.running
    woken = await executor.send_event(packed, key="a", payload=Packed(["x", "y"]))
    assert woken is WakeOutcome.WOKEN
    assert await handle.result() == "x+y"


async def test_an_early_event_is_kept_and_the_first_one_wins(world: World) -> None:
    executor = await start(world)
    client = await world.start(client_only=True)
    sent = [await client.send_event(packed, key="a", payload=Packed([name])) for name in ("1", "2")]
    assert sent == [WakeOutcome.KEPT, WakeOutcome.ALREADY_KEPT]
    handle = await executor.enqueue(order_of(executor), "a")
    assert await handle.result() == "1"


async def test_an_event_that_is_not_kept_meets_nobody(world: World) -> None:
    executor = await start(world)
    outcome = await executor.send_event(packed, key="a", payload=Packed([]), keep=None)
    assert outcome is WakeOutcome.NOBODY


async def test_a_wait_times_out(world: World) -> None:
    executor = await start(world)
    handle = await executor.enqueue(order_of(executor), "a")
    await world.idle(executor, horizon=200)
    assert await handle.result() == "timed out"
    # Its key is free again.
    handle = await executor.enqueue(order_of(executor), "a")
    await world.idle(executor)
    await executor.send_event(packed, key="a", payload=Packed(["late"]))
    assert await handle.result() == "late"


async def test_a_second_waiter_is_told_so(world: World) -> None:
    executor = await start(world)
    first = await executor.enqueue(order_of(executor), "a")
    await world.idle(executor)
    second = await executor.enqueue(order_of(executor), "a")
    assert "another execution waits for event 'packed' with key 'a'" in await second.result()
    await executor.send_event(packed, key="a", payload=Packed(["x"]))
    assert await first.result() == "x"


async def test_a_conflict_hinders_nothing_else(world: World) -> None:
    tasks = waiting()

    @tasks.task
    async def child(number: int) -> int:
        return number

    @tasks.workflow
    async def many(ctx: WorkflowContext) -> list[object]:
        settled = await ctx.gather(
            ctx.call(child, 1),
            ctx.wait_for(packed, key="taken"),
            ctx.wait_for(packed, key="free"),
            ctx.call(child, 2),
            return_exceptions=True,
        )
        return [type(one).__name__ if isinstance(one, Exception) else one for one in settled]

    executor = await world.start(tasks=tasks)
    await executor.enqueue(order_of(executor), "taken")
    await world.idle(executor)
    handle = await executor.enqueue(many)
    await world.idle(executor)
    await executor.send_event(packed, key="free", payload=Packed(["x"]))
    result = await handle.result()
    assert [result[0], result[1], result[3]] == [1, "EventConflictError", 2]


async def test_an_event_by_name_carries_json(world: World) -> None:
    tasks = Tasks()

    @tasks.workflow
    async def named(ctx: WorkflowContext) -> object:
        async with asyncio.timeout(1000):
            return await ctx.wait_for("anything", key="k")

    executor = await world.start(tasks=tasks)
    handle = await executor.enqueue(named)
    await executor.send_event("anything", key="k", payload={"a": [1, None]})
    assert await handle.result() == {"a": [1, None]}


async def test_a_wait_that_is_given_up_frees_its_key(world: World) -> None:
    tasks = Tasks()

    @tasks.workflow
    async def gives_up(ctx: WorkflowContext) -> str:
        try:
            async with asyncio.timeout(10):
                await ctx.wait_for("anything", key="k")
        except TimeoutError:
            pass
        await ctx.sleep(10)
        return str(await ctx.wait_for("anything", key="k"))

    executor = await world.start(tasks=tasks)
    handle = await executor.enqueue(gives_up)
    await world.idle(executor, horizon=100)
    assert await executor.send_event("anything", key="k", payload="x") is WakeOutcome.WOKEN
    assert await handle.result() == "x"


async def test_a_broadcast_reaches_all_who_wait(world: World) -> None:
    executor = await start(world)
    handles = [await executor.enqueue(order_of(executor), f"key {number}") for number in range(5)]
    await world.idle(executor)
    assert await executor.broadcast_event(packed, payload=Packed(["all"])) == 5
    assert await executor.results(handles) == ["all"] * 5
    assert await executor.broadcast_event(packed, payload=Packed(["all"])) == 0


async def test_bad_events_are_refused_before_anything_is_written(world: World) -> None:
    executor = await start(world)
    with pytest.raises(InputError, match="1 to 191 characters"):
        await executor.send_event(packed, key="", payload=Packed([]))
    with pytest.raises(OutputError, match="does not fit"):
        await executor.send_event(cast("Any", packed), key="a", payload="text")
    with pytest.raises(TaskDefinitionError, match="an event's name"):
        Event("")
    assert not world.calls(executor, "wake")
