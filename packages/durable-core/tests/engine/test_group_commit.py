"""Group commit: concurrent writes share calls, a lonely one waits for nobody."""

import asyncio
from typing import Any

from durable_core import DurableExecutor, FanOut, Status, Tasks
from durable_core.storage import PermanentError
from durable_core.testing import settle
from durable_core.testing.faults import Fault, Gate, LoggedCall, On

from .world import World, items_of
from .wrappers import LikesPieces, Small


def sizes(calls: list[LoggedCall]) -> list[int]:
    """Return how many items each call carried."""
    return [len(items_of(call)) for call in calls]


async def started(world: World, *plans: On, **options: Any) -> tuple[DurableExecutor, Any]:
    executor = world.executor(*plans, **options)

    @executor.task
    async def echo(number: int) -> int:
        return number

    await executor.start()
    await world.idle(executor)
    return executor, echo


async def test_a_lonely_write_waits_for_nobody(world: World) -> None:
    executor, echo = await started(world)
    for number in range(5):
        handle = await executor.enqueue(echo, number)
        assert await handle.result() == number
    assert world.clock.monotonic() == 0
    assert sizes(world.calls(executor, "insert")) == [1] * 5
    assert sizes(world.calls(executor, "apply")) == [1] * 5


async def test_what_arrives_during_a_call_goes_with_the_next_one(world: World) -> None:
    gate = Gate()
    executor, echo = await started(world, On("insert", Fault.gate(before=gate), nth=1))
    first = asyncio.ensure_future(executor.enqueue(echo, 0))
    await gate.reached.wait()
    others = [asyncio.ensure_future(executor.enqueue(echo, number)) for number in range(1, 80)]
    await settle()
    assert sizes(world.calls(executor, "insert")) == [1]
    gate.open()
    handles = await asyncio.gather(first, *others)
    assert sizes(world.calls(executor, "insert")) == [1, 79]
    assert await executor.results(handles) == list(range(80))


async def test_results_share_calls_too(world: World) -> None:
    gate = Gate()
    executor, echo = await started(world, On("apply", Fault.gate(before=gate), nth=1))
    handles = await executor.enqueue_many([echo.call(number) for number in range(50)])
    await gate.reached.wait()
    await settle()
    gate.open()
    assert await executor.results(handles) == list(range(50))
    calls = world.calls(executor, "apply")
    assert sum(sizes(calls)) == 50
    assert len(calls) <= 2


async def test_calls_keep_within_what_the_storage_takes(world: World) -> None:
    executor, echo = await started(world, wrap=Small)
    handles = await executor.enqueue_many([echo.call(number) for number in range(95)])
    assert await executor.results(handles) == list(range(95))
    assert max(sizes(world.calls(executor, "insert", "apply"))) == 10
    assert len(world.calls(executor, "insert")) == 10


async def test_one_bad_item_does_not_harm_its_neighbours(world: World) -> None:
    def bad(call: LoggedCall) -> bool:
        return any(item.id == "bad" for item in items_of(call))

    executor, echo = await started(
        world, On("insert", Fault.failure(lambda: PermanentError("not this one")), where=bad)
    )
    calls = [echo.call(number) for number in range(64)]
    calls[33] = echo.with_options(id="bad").call(33)
    outcomes = await asyncio.gather(
        *(executor.enqueue_many([call]) for call in calls), return_exceptions=True
    )
    refused = [place for place, outcome in enumerate(outcomes) if isinstance(outcome, Exception)]
    assert refused == [33]
    await world.idle(executor)
    assert await executor.count(statuses=[Status.COMPLETED]) == {"*": 63}
    # Found by halving, not by trying each alone.
    assert len(world.calls(executor, "insert")) < 20


async def test_an_item_that_is_refused_as_an_answer_does_not_hinder_others(world: World) -> None:
    executor, echo = await started(world)
    await executor.enqueue(echo.with_options(id="there"), 0)
    await world.idle(executor)
    before = len(world.calls(executor, "insert"))
    outcomes = await asyncio.gather(
        *(
            executor.enqueue(echo.with_options(id="there") if n == 5 else echo, n)
            for n in range(10)
        ),
        return_exceptions=True,
    )
    assert [type(outcome).__name__ for outcome in outcomes].count("IdConflictError") == 1
    assert len(world.calls(executor, "insert")) == before + 1


async def test_a_caller_that_goes_away_takes_no_write_with_it(world: World) -> None:
    gate = Gate()
    executor, echo = await started(world, On("insert", Fault.gate(before=gate), nth=1))
    first = asyncio.ensure_future(executor.enqueue(echo, 1))
    await gate.reached.wait()
    second = asyncio.ensure_future(executor.enqueue(echo, 2))
    third = asyncio.ensure_future(executor.enqueue(echo, 3))
    await settle()
    first.cancel()
    second.cancel()
    await settle()
    gate.open()
    await third
    await world.idle(executor)
    rows = await world.rows()
    assert len(rows) == 3
    assert {row.status for row in rows} == {Status.COMPLETED}


async def test_a_crowd_of_families_is_split_where_rows_would_meet_their_parent(
    world: World,
) -> None:
    executor = world.executor(concurrency=1000)

    @executor.task
    async def child(number: int) -> int:
        return number

    @executor.parent
    async def inner(first: int) -> FanOut[int]:
        return FanOut(first, [child.call(first + place) for place in range(3)])

    @executor.parent
    async def outer(first: int) -> FanOut[int]:
        return FanOut(first, [inner.call(first), child.call(first), inner.call(first + 10)])

    await executor.start()
    await world.idle(executor)
    handles = await executor.enqueue_many([outer.call(100 * number) for number in range(30)])
    results = await executor.results(handles)
    assert [result.failed for result in results] == [0] * 30
    for call in world.calls(executor, "apply"):
        items = items_of(call)
        ids = [item.id for item in items]
        assert len(set(ids)) == len(ids)
        assert not set(ids) & {item.parent_id for item in items}
    # Three hundred rows and more, in few calls.
    assert await world.count() == 30 * 10
    assert len(world.calls(executor, "apply")) < 60


async def test_a_crowd_is_sent_in_the_pieces_that_the_storage_likes(world: World) -> None:
    tasks = Tasks()

    @tasks.task
    async def child(number: int) -> int:
        return number

    @tasks.parent
    async def parent() -> FanOut[None]:
        return FanOut(None, [child.call(number) for number in range(17)])

    executor = await world.start(tasks=tasks, wrap=LikesPieces)
    await world.idle(executor)
    handles = [await executor.enqueue(parent)]
    results = await executor.results(handles)
    assert results[0].children == 17
    handles_of_children = await executor.enqueue_many([child.call(n) for n in range(17)])
    assert await executor.results(handles_of_children) == list(range(17))
    inserts = [len(items_of(call)) for call in world.calls(executor, "insert")]
    assert inserts[-4:] == [5, 5, 5, 2]
    # A transition with more children than that goes alone, and whole.
    applies = [items_of(call) for call in world.calls(executor, "apply")]
    assert max(len(items) for items in applies) == 5
    assert [len(items[0].children) for items in applies if hasattr(items[0], "children")] == [17]
