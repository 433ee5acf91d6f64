"""Hints: of others' calls one looks at once, of one's own a moment later."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any

import pytest

from durable_core import Tasks
from durable_core.storage import Finished, Hint, MemoryStorage, NewExecution, Ready, Reconnected
from durable_core.testing import settle

from .world import World

OWN_DELAY = 0.02
"""Seconds after which hints of an executor's own calls are followed."""


class Scripted(MemoryStorage):
    """A storage whose hints a test decides about."""

    def __init__(self, sharing: MemoryStorage) -> None:
        super().__init__(sharing=sharing)
        self.hints: asyncio.Queue[Hint | None] = asyncio.Queue()

    def listen(self, *, queues: Collection[str]) -> AsyncIterator[Hint]:
        """Yield what the test says; None ends it."""
        return self._said()

    async def _said(self) -> AsyncIterator[Hint]:
        yield Reconnected()
        while (hint := await self.hints.get()) is not None:
            yield hint


@pytest.fixture
def scripted(world: World) -> Scripted:
    return Scripted(world.space)


def _as_it_is(storage: Scripted) -> Callable[[MemoryStorage], Scripted]:
    def wrap(_: MemoryStorage) -> Scripted:
        return storage

    return wrap


async def _executor(world: World, scripted: Scripted, tasks: Tasks) -> Any:
    executor = await world.start(tasks=tasks, wrap=_as_it_is(scripted))
    await world.idle(executor)
    return executor


@pytest.mark.parametrize("delay", [0.0, OWN_DELAY])
async def test_work_that_a_hint_tells_of_is_claimed(
    world: World, scripted: Scripted, delay: float
) -> None:
    tasks = Tasks()
    ran: list[int] = []

    @tasks.task
    async def work() -> None:
        ran.append(1)

    await _executor(world, scripted, tasks)
    item = NewExecution(id="a", task=work.name, due=0, input=work.call().input)
    await world.space.insert(items=[item], now=world.clock.time_us())
    scripted.hints.put_nowait(Ready(queue="default", own=delay > 0))
    await settle()
    assert bool(ran) is (delay == 0)
    await world.advance(delay)
    assert ran == [1]


@pytest.mark.parametrize("delay", [0.0, OWN_DELAY])
async def test_results_that_a_hint_tells_of_are_looked_up(
    world: World, scripted: Scripted, delay: float
) -> None:
    tasks = Tasks()

    @tasks.task
    async def work() -> str:
        return "done"

    client = await world.start(tasks=tasks, wrap=_as_it_is(scripted), client_only=True)
    handle = await client.enqueue(work)
    waiting = asyncio.create_task(handle.result())
    # The first looks have found nothing; the next one is seconds away.
    await world.advance(5)
    worker = await world.start(tasks=tasks)
    await world.idle(worker)
    assert not waiting.done()
    scripted.hints.put_nowait(Finished(own=delay > 0))
    await settle()
    assert waiting.done() is (delay == 0)
    await world.advance(delay)
    assert await waiting == "done"


async def _client(world: World, scripted: Scripted) -> tuple[Any, Any]:
    """Return an executor that runs nothing, and a task; time stands still meanwhile."""
    tasks = Tasks()

    @tasks.task
    async def work() -> str:
        return "done"

    client = await world.start(tasks=tasks, wrap=_as_it_is(scripted), client_only=True)
    await settle()
    return client, work


async def _work_elsewhere(world: World, client: Any) -> None:
    """Let another process run what there is; the client hears nothing of it."""
    worker = await world.start(tasks=client.tasks)
    await world.idle(worker)


async def test_a_result_that_cannot_be_there_yet_is_not_looked_up(
    world: World, scripted: Scripted
) -> None:
    """What was just created ends later, and a hint says so: the only look finds it."""
    client, work = await _client(world, scripted)
    handle = await client.enqueue(work)
    many = await client.enqueue_many([work.call(), work.call()])
    one = asyncio.ensure_future(handle.result())
    two = asyncio.ensure_future(client.results(many))
    await settle()
    assert not world.calls(client, "get")
    await _work_elsewhere(world, client)
    scripted.hints.put_nowait(Finished())
    assert await one == "done"
    assert await two == ["done", "done"]
    assert len(world.calls(client, "get")) == 1


@pytest.mark.parametrize("delay", [0.0, OWN_DELAY])
async def test_a_result_that_a_hint_came_before(
    world: World, scripted: Scripted, delay: float
) -> None:
    """It is looked up at once: the hint may have been about it."""
    client, work = await _client(world, scripted)
    handle = await client.enqueue(work)
    await _work_elsewhere(world, client)
    scripted.hints.put_nowait(Finished(own=delay > 0))
    await settle()
    assert await handle.result() == "done"


async def test_a_result_whose_hint_was_lost(world: World, scripted: Scripted) -> None:
    """It is found by a look that is made all the same, seconds later."""
    client, work = await _client(world, scripted)
    waiting = asyncio.ensure_future((await client.enqueue(work)).result())
    await _work_elsewhere(world, client)
    await world.advance(9)
    assert not waiting.done()
    await world.advance(2)
    assert await waiting == "done"


async def test_a_result_of_somebody_elses_enqueue(world: World, scripted: Scripted) -> None:
    """An execution that was there already may have ended: it is looked up at once."""
    client, work = await _client(world, scripted)
    await client.enqueue(work.with_options(key="k"))
    await _work_elsewhere(world, client)
    handle = await client.enqueue(work.with_options(key="k"))
    assert not handle.created
    assert await handle.result() == "done"


async def test_results_when_hints_stop(world: World, scripted: Scripted) -> None:
    """Whoever waits is looked up at once, and often from then on."""
    client, work = await _client(world, scripted)
    first = asyncio.ensure_future((await client.enqueue(work)).result())
    await _work_elsewhere(world, client)
    scripted.hints.put_nowait(None)
    await settle()
    assert await first == "done"
    second = asyncio.ensure_future((await client.enqueue(work)).result())
    await world.advance(3)
    assert await second == "done"
