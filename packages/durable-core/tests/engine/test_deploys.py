"""Code that changes while executions are under way: nothing is failed that newer code can run."""

import asyncio
from typing import Any

import pytest

from durable_core import Again, Done, FanOut, Joined, LoopResult, ParentResult, Status, Tasks
from durable_core.options import Policy
from durable_core.storage import NewExecution
from durable_core.testing import settle

from .world import Recorder, World


def kinds() -> dict[str, tuple[Tasks, Any]]:
    """Return registries that each know another kind of task by the same name."""
    made: dict[str, tuple[Tasks, Any]] = {}
    for kind in ("plain", "parent", "sequence", "loop"):
        tasks = Tasks()

        @tasks.task(delay=600)
        async def child(number: int = 1) -> int:
            return number

        @tasks.task
        async def again(number: int = 1) -> Again | Done[int]:
            return Again() if number else Done(number)

        inner = tasks.sequence("inner", child, delay=600)
        if kind == "plain":

            @tasks.task(name="work")
            async def plain(number: int = 1) -> int:
                return number

            made[kind] = tasks, plain
        elif kind == "parent":

            @tasks.parent(name="work")
            async def parent(number: int = 1) -> FanOut[int]:
                return FanOut(number, [child.call(number)])

            made[kind] = tasks, parent
        elif kind == "sequence":
            made[kind] = tasks, tasks.sequence("work", inner)
        else:
            made[kind] = tasks, tasks.loop("work", again, max_iterations=2, delay=600)
    return made


RESULTS: dict[str, Any] = {
    "plain": 1,
    "parent": ParentResult(output=1, children=1, failed=0),
    "sequence": 1,
    "loop": LoopResult(done=False, output=None, iterations=2),
}


@pytest.mark.parametrize("new", ["plain", "parent", "sequence", "loop"])
@pytest.mark.parametrize("old", ["parent", "sequence", "loop"])
async def test_what_another_kind_of_task_began_is_handed_back(
    world: World, old: str, new: str
) -> None:
    tasks, task = kinds()[old]
    first = await world.start(tasks=tasks)
    handle = await first.enqueue(task)
    await world.idle(first)
    begun = await world.row(handle.id)
    assert not begun.finished
    await first.shutdown()
    recorder = Recorder()
    second = await world.start(tasks=kinds()[new][0], hooks=[recorder], queues=["default"])
    await world.advance(3000)
    if old == new:
        assert (await world.row(handle.id)).status is Status.COMPLETED
        return
    row = await world.row(handle.id)
    assert not row.finished
    assert (row.phase, row.state, row.attempt) == (begun.phase, begun.state, 0)
    told = [what for name, what in recorder.told if name == "handed_back"]
    assert told
    assert {reason for _, reason in told} == {
        "task 'work' is another kind of task here than where it began"
    }
    # Ever more rarely.
    assert len(told) < 30
    await second.shutdown()
    third = await world.start(tasks=tasks)
    await world.idle(third, horizon=3000)
    assert await (await third.handle(task, handle.id)).result() == RESULTS[old]


@pytest.mark.parametrize("new", ["parent", "sequence", "loop"])
async def test_what_has_not_begun_runs_as_what_it_is_now(world: World, new: str) -> None:
    old_tasks, old_task = kinds()["plain"]
    client = await world.start(tasks=old_tasks, client_only=True)
    handle = await client.enqueue(old_task)
    tasks, task = kinds()[new]
    executor = await world.start(tasks=tasks)
    await world.idle(executor, horizon=3000)
    assert await (await executor.handle(task, handle.id)).result() == RESULTS[new]


async def test_a_sequence_that_lost_the_step_it_had_reached_is_handed_back(world: World) -> None:
    long, short = Tasks(), Tasks()
    go = asyncio.Event()

    @long.task
    async def first() -> int:
        return 1

    @long.task
    async def second(number: int) -> int:
        await go.wait()
        return number + 1

    chain = long.sequence("chain", first, second)

    @short.task(name="first")
    async def only() -> int:
        return 1

    short.sequence("chain", only)
    old = await world.start(tasks=long)
    handle = await old.enqueue(chain)
    await settle()
    await old.shutdown()
    new = await world.start(tasks=short)
    await world.advance(60)
    assert await (await new.handle(chain, handle.id)).status() is Status.READY
    await new.shutdown()
    go.set()
    again = await world.start(tasks=long)
    await world.idle(again, horizon=600)
    assert await (await again.handle(chain, handle.id)).result() == 2


async def test_options_of_a_later_release_are_handed_back(world: World) -> None:
    tasks = Tasks()
    ran: list[int] = []

    @tasks.task
    async def work() -> None:
        ran.append(1)

    recorder = Recorder()
    executor = await world.start(tasks=tasks, hooks=[recorder])
    newer = Policy(retries=1).encode().replace(b'"v":1', b'"v":2')
    item = NewExecution(id="newer", task="work", options=newer, input=b"{}")
    await world.space.insert(items=[item], now=world.clock.time_us())
    await world.advance(100)
    assert ran == []
    assert (await world.row("newer")).status is Status.READY
    (told, *_) = recorder.of("handed_back")
    assert "upgrade this installation" in told[1][1]
    assert executor.running == frozenset()


async def test_a_child_whose_output_changed_its_type_ends_the_parent_clearly(
    world: World,
) -> None:

    def define(annotation: Any) -> tuple[Tasks, Any]:
        tasks = Tasks()

        async def child() -> Any:
            return "text"

        child.__annotations__["return"] = annotation
        child_task = tasks.task(delay=10)(child)

        def look(joined: Joined[None, Any]) -> list[Any]:
            return [item.output for item in joined.children]

        @tasks.parent(finalize=look, delay=0)
        async def parent() -> FanOut[None]:
            return FanOut(None, [child_task.call()])

        return tasks, parent

    old, parent = define(str)
    first = await world.start(tasks=old)
    handle = await first.enqueue(parent)
    await world.idle(first)
    new, _ = define(int)
    client = await world.start(tasks=old, client_only=True)
    (child_row,) = await world.rows(parent_id=handle.id)
    await first.shutdown()
    # The child ends under the old code, the parent is joined under the new one.
    half = Tasks()
    child_task: Any = old.find("child")
    half.register(child_task)
    middle = await world.start(tasks=half)
    await world.idle(middle, horizon=60)
    assert (await world.row(child_row.id)).status is Status.COMPLETED
    await middle.shutdown()
    last = await world.start(tasks=new)
    await world.idle(last)
    execution = await (await client.handle(parent, handle.id)).execution()
    assert execution.status is Status.FINALIZE_FAILED
    assert execution.error is not None
    assert "child" in execution.error.message
