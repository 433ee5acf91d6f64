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
        self.hints: asyncio.Queue[Hint] = asyncio.Queue()

    def listen(self, *, queues: Collection[str]) -> AsyncIterator[Hint]:
        """Yield what the test says."""
        return self._said()

    async def _said(self) -> AsyncIterator[Hint]:
        yield Reconnected()
        while True:
            yield await self.hints.get()


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
