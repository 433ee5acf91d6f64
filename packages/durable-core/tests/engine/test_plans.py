"""Parents with more children than one call takes: the plan survives whoever carries it out."""

import asyncio

import pytest

from durable_core import FanOut, ParentResult, Status, Tasks
from durable_core.storage import Keep, Release
from durable_core.testing.faults import Fault, Gate, LoggedCall, On

from .world import World, items_of
from .wrappers import Small

CHILDREN = 47


class Family:
    """A parent with more children than fit, and what ran of it."""

    def __init__(self) -> None:
        self.tasks = Tasks()
        self.bodies = 0
        self.ran: list[int] = []

        @self.tasks.task
        async def child(number: int) -> int:
            self.ran.append(number)
            return number

        @self.tasks.parent
        async def parent(first: int) -> FanOut[str]:
            self.bodies += 1
            # What a second run of the body would return differs from the first.
            start = first + 1000 * self.bodies
            return FanOut("own", [child.call(start + place) for place in range(CHILDREN)])

        self.parent = parent


def _inserts_children(call: LoggedCall) -> bool:
    return any(isinstance(item, Keep | Release) and item.children for item in items_of(call))


def _records_plan(call: LoggedCall) -> bool:
    return any(isinstance(item, Keep) and item.checkpoints for item in items_of(call))


async def test_children_are_inserted_page_by_page(world: World) -> None:
    family = Family()
    executor = await world.start(tasks=family.tasks, wrap=Small)
    handle = await executor.enqueue(family.parent, 0)
    assert await handle.result() == ParentResult(output="own", children=CHILDREN, failed=0)
    applies = world.calls(executor, "apply")
    for call in applies:
        rows = sum(
            1 + (len(item.children) if isinstance(item, Keep | Release) else 0)
            for item in items_of(call)
        )
        assert rows <= 10
    assert sorted(family.ran) == [1000 + place for place in range(CHILDREN)]
    assert family.bodies == 1


@pytest.mark.parametrize("landed", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("page", [1, 3, 6])
async def test_a_successor_goes_on_where_the_first_one_died(
    world: World,
    page: int,
    landed: bool,  # noqa: FBT001
) -> None:
    family = Family()
    death = On("apply", Fault.stop(landed=landed), nth=page, where=_inserts_children)
    first = await world.start(death, tasks=family.tasks, wrap=Small)
    handle = await first.enqueue(family.parent, 0)
    await asyncio.sleep(0)
    await world.advance(0)
    assert world.faults(first).stopped
    id_ = handle.id
    await world.kill(first)

    second = await world.start(tasks=family.tasks, wrap=Small)
    await world.advance(30)
    await world.idle(second)
    again = await second.handle(family.parent, id_)
    assert await again.result() == ParentResult(output="own", children=CHILDREN, failed=0)
    rows = await world.rows(parent_id=id_)
    assert [row.child_index for row in rows] == list(range(CHILDREN))
    assert family.bodies == 1
    assert set(family.ran) == {1000 + place for place in range(CHILDREN)}


@pytest.mark.parametrize("landed", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("page", [1, 3, 5])
async def test_a_plan_that_was_not_recorded_whole_is_made_anew(
    world: World,
    page: int,
    landed: bool,  # noqa: FBT001
) -> None:
    family = Family()
    death = On("apply", Fault.stop(landed=landed), nth=page, where=_records_plan)
    first = await world.start(death, tasks=family.tasks, wrap=Small)
    handle = await first.enqueue(family.parent, 0)
    await world.advance(0)
    assert world.faults(first).stopped
    id_ = handle.id
    await world.kill(first)

    second = await world.start(tasks=family.tasks, wrap=Small)
    await world.advance(30)
    await world.idle(second)
    again = await second.handle(family.parent, id_)
    assert await again.result() == ParentResult(output="own", children=CHILDREN, failed=0)
    assert family.bodies == 2
    # No page of the first plan is mixed with those of the second.
    assert sorted(family.ran) == [2000 + place for place in range(CHILDREN)]


async def test_lost_answers_while_pages_are_inserted_double_nothing(world: World) -> None:
    family = Family()
    lost = On("apply", Fault.lost_answer(), times=4, where=_inserts_children)
    executor = await world.start(lost, tasks=family.tasks, wrap=Small)
    handle = await executor.enqueue(family.parent, 0)
    await world.advance(20)
    await world.idle(executor)
    assert await handle.result() == ParentResult(output="own", children=CHILDREN, failed=0)
    assert sorted(family.ran) == [1000 + place for place in range(CHILDREN)]


async def test_a_parent_cancelled_between_two_pages_leaves_no_child_running(world: World) -> None:
    family = Family()
    executor = await world.start(tasks=family.tasks, wrap=Small, concurrency=1)
    client = await world.start(tasks=family.tasks, client_only=True)
    gate = Gate()
    held_up = On("apply", Fault.gate(before=gate), nth=3, where=_inserts_children)
    world.faults(executor).inject(held_up)
    handle = await executor.enqueue(family.parent, 0)
    await gate.reached.wait()
    assert await client.cancel(handle.id)
    gate.open()
    await world.idle(executor)
    assert await handle.status() is Status.CANCELLED
    rows = await world.rows(parent_id=handle.id)
    assert len(rows) == 18
    assert {row.status for row in rows} <= {Status.CANCELLED, Status.COMPLETED}
    row = await world.row(handle.id)
    assert (row.pending, row.due, row.owner) == (0, None, None)
