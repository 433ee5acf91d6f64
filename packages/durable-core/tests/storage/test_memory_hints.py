"""Hints of the memory storage: after the change, for the queues asked for, to whatever loop."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import cast

from durable_core.storage import (
    Finish,
    Finished,
    Hint,
    MemoryStorage,
    NewExecution,
    Phase,
    Ready,
    Reconnected,
    Release,
)


async def _next(hints: AsyncIterator[Hint]) -> Hint:
    async with asyncio.timeout(5):
        return await anext(hints)


def _hints(storage: MemoryStorage, *queues: str) -> AsyncGenerator[Hint]:
    return cast("AsyncGenerator[Hint]", storage.listen(queues=queues))


@asynccontextmanager
async def _listen(storage: MemoryStorage, *queues: str) -> AsyncGenerator[AsyncIterator[Hint]]:
    async with aclosing(_hints(storage, *queues)) as hints:
        yield hints


async def _held(storage: MemoryStorage, id_: str, queue: str = "default") -> NewExecution:
    item = NewExecution(id=id_, task="t", queue=queue, owner="e")
    await storage.insert(items=[item], now=1)
    return item


async def test_the_first_hint_says_that_hints_may_have_been_lost() -> None:
    async with _listen(MemoryStorage(), "default") as hints:
        assert await _next(hints) == Reconnected()


async def test_something_ready_is_told_to_those_who_asked_for_its_queue() -> None:
    storage = MemoryStorage()
    async with _listen(storage, "a", "b") as hints:
        await _next(hints)
        await storage.insert(
            items=[NewExecution(id=queue, task="t", queue=queue) for queue in "cb"], now=1
        )
        assert await _next(hints) == Ready(queue="b")
        await storage.insert(items=[NewExecution(id="d", task="t", queue="a")], now=1)
        assert await _next(hints) == Ready(queue="a")


async def test_what_is_born_held_is_no_hint_and_what_ends_is_one() -> None:
    storage = MemoryStorage()
    async with _listen(storage, "default") as hints:
        await _next(hints)
        await _held(storage, "a")
        (row,) = await storage.get(ids=["a"])
        assert row is not None
        end = Finish(id="a", token=row.token, phase=Phase.COMPLETED)
        await storage.apply(items=[end], now=2)
        assert await _next(hints) == Finished()


async def test_a_parent_that_may_be_joined_is_told_to_its_own_queue() -> None:
    storage = MemoryStorage()
    await _held(storage, "p", "parents")
    (row,) = await storage.get(ids=["p"])
    assert row is not None
    child = NewExecution(id="c", task="t", queue="children", parent_id="p", owner="e")
    waits = Release(
        id="p", token=row.token, phase=Phase.WAITING_FOR_CHILDREN, due=None, children=[child]
    )
    await storage.apply(items=[waits], now=2)
    async with _listen(storage, "parents") as hints:
        await _next(hints)
        (row,) = await storage.get(ids=["c"])
        assert row is not None
        end = Finish(id="c", token=row.token, parent_id="p", phase=Phase.COMPLETED)
        await storage.apply(items=[end], now=3)
        assert {await _next(hints), await _next(hints)} == {Ready(queue="parents"), Finished()}


async def test_hints_that_nobody_took_yet_are_told_once() -> None:
    storage = MemoryStorage()
    async with _listen(storage, "default") as hints:
        await _next(hints)
        for number in range(50):
            await storage.insert(items=[NewExecution(id=f"x{number}", task="t")], now=1)
        assert await _next(hints) == Ready(queue="default")
        await storage.insert(items=[NewExecution(id="sleeper", task="t", queue="other")], now=1)
        await storage.cancel(ids=["sleeper"], request="r", now=2)
        assert await _next(hints) == Finished()


async def test_a_listener_that_was_closed_is_forgotten() -> None:
    storage = MemoryStorage()
    async with _listen(storage, "default") as hints:
        await _next(hints)
        assert len(storage._space.listeners._open) == 1
    assert not storage._space.listeners._open


def test_a_hint_reaches_a_loop_in_another_thread() -> None:
    storage = MemoryStorage()
    listening = threading.Event()
    heard: list[Hint] = []

    async def listen() -> None:
        async with _listen(storage, "default") as hints:
            heard.append(await _next(hints))
            listening.set()
            heard.append(await _next(hints))

    thread = threading.Thread(target=asyncio.run, args=[listen()])
    thread.start()
    assert listening.wait(5)
    asyncio.run(_insert_one(storage))
    thread.join(5)
    assert heard == [Reconnected(), Ready(queue="default")]


def test_a_write_does_not_fail_for_a_listener_whose_loop_is_gone() -> None:
    storage = MemoryStorage()
    loop = asyncio.new_event_loop()
    hints = _hints(storage, "default")
    assert loop.run_until_complete(_next(hints)) == Reconnected()
    loop.close()
    asyncio.run(_insert_one(storage))
    assert storage.dump() == "a t ready queue=default"
    asyncio.run(_close(hints))


async def _insert_one(storage: MemoryStorage) -> None:
    await storage.insert(items=[NewExecution(id="a", task="t")], now=1)


async def _close(hints: AsyncGenerator[Hint]) -> None:
    await hints.aclose()
