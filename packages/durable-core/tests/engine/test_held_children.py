"""Children that are held as they are inserted: no claim, and nothing lost or run twice for it."""

from durable_core import DurableExecutor, FanOut, ParentResult, Status, Tasks
from durable_core.storage import Release
from durable_core.testing import settle
from durable_core.testing.faults import Fault, Gate, LoggedCall, On

from .world import PROMISE, World, items_of


class Family:
    """A parent with children, and which of them ran."""

    def __init__(self, size: int) -> None:
        self.tasks = Tasks()
        self.ran: list[int] = []

        @self.tasks.task
        async def child(number: int) -> int:
            self.ran.append(number)
            return number

        @self.tasks.parent
        async def parent() -> FanOut[None]:
            return FanOut(None, [child.call(number) for number in range(size)])

        self.parent = parent


def _releases_children(call: LoggedCall) -> bool:
    return any(isinstance(item, Release) and item.children for item in items_of(call))


async def _run(family: Family, executor: DurableExecutor, world: World, size: int) -> str:
    handle = await executor.enqueue(family.parent)
    await world.advance(30)
    await world.idle(executor)
    assert await handle.result() == ParentResult(output=None, children=size, failed=0)
    assert sorted(family.ran) == list(range(size))
    return handle.id


async def test_children_that_find_a_place_need_no_claim(world: World) -> None:
    family = Family(20)
    executor = await world.start(tasks=family.tasks)
    await world.idle(executor)
    handle = await executor.enqueue(family.parent)
    await handle.result()
    rows = await world.rows(parent_id=handle.id)
    assert {(row.gen, row.status) for row in rows} == {(1, Status.COMPLETED)}
    # One claim finds the joined parent; none was needed for its children.
    assert (await world.row(handle.id)).gen == 2


async def test_no_more_children_are_held_than_there_are_places(world: World) -> None:
    gate = Gate()
    tasks = Tasks()
    running = 0

    @tasks.task
    async def child(number: int) -> int:
        nonlocal running
        running += 1
        await gate.passed()
        return number

    @tasks.parent
    async def parent() -> FanOut[None]:
        return FanOut(None, [child.call(number) for number in range(10)])

    executor = await world.start(tasks=tasks, concurrency=4)
    await world.idle(executor)
    handle = await executor.enqueue(parent)
    await settle()
    assert len(executor.running) == running == 4
    gate.open()
    result = await handle.result()
    assert (result.children, result.failed) == (10, 0)


async def test_children_are_found_when_the_answer_to_their_insertion_was_lost(world: World) -> None:
    family = Family(12)
    executor = await world.start(tasks=family.tasks)
    await world.idle(executor)
    world.faults(executor).inject(
        On("apply", Fault.lost_answer(), times=1, where=_releases_children)
    )
    parent_id = await _run(family, executor, world, 12)
    rows = await world.rows(parent_id=parent_id)
    assert {row.gen for row in rows} == {1}


async def test_children_of_a_release_that_did_not_land_are_inserted_by_its_repetition(
    world: World,
) -> None:
    family = Family(12)
    executor = await world.start(tasks=family.tasks)
    await world.idle(executor)
    world.faults(executor).inject(On("apply", Fault.failure(), times=3, where=_releases_children))
    await _run(family, executor, world, 12)


async def test_held_children_of_an_executor_that_died_are_run_by_another(world: World) -> None:
    gate = Gate()
    tasks = Tasks()
    ran: list[int] = []

    @tasks.task
    async def child(number: int) -> int:
        ran.append(number)
        await gate.passed()
        return number

    @tasks.parent
    async def parent() -> FanOut[None]:
        return FanOut(None, [child.call(number) for number in range(5)])

    first = await world.start(tasks=tasks)
    await world.idle(first)
    handle = await first.enqueue(parent)
    await settle()
    assert ran == list(range(5))
    await world.kill(first)
    gate.open()
    second = await world.start(tasks=tasks)
    await world.advance(PROMISE)
    await world.idle(second)
    assert sorted(ran) == sorted([*range(5), *range(5)])
    rows = await world.rows(parent_id=handle.id)
    assert {(row.crashes, row.status) for row in rows} == {(1, Status.COMPLETED)}
    row = await world.row(handle.id)
    assert (row.pending, row.status) == (0, Status.COMPLETED)


async def test_children_wait_their_turn_behind_work_that_waits_already(world: World) -> None:
    gate = Gate()
    tasks = Tasks()
    order: list[str] = []

    @tasks.task
    async def child() -> None:
        order.append("child")

    @tasks.task
    async def other(number: int) -> None:
        order.append(f"other {number}")

    @tasks.parent
    async def parent() -> FanOut[None]:
        await gate.passed()
        return FanOut(None, [child.call()])

    executor = await world.start(tasks=tasks, concurrency=1)
    await world.idle(executor)
    await executor.enqueue(parent)
    await gate.reached.wait()
    await executor.enqueue_many([other.call(number) for number in range(3)])
    gate.open()
    await world.idle(executor)
    assert order == ["other 0", "other 1", "other 2", "child"]
