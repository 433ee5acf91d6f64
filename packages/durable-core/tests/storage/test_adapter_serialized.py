"""One call at a time, in order of arrival, whoever is cancelled and from whatever loop."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from durable_core.storage import MemoryStorage
from durable_core.storage.adapters import Serialized


class Narrow(MemoryStorage):
    """Fails when two calls are inside at once; waits inside until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = 0
        self.order: list[int] = []
        self.entered = asyncio.Event()
        self.go = asyncio.Event()

    async def purge(self, *, finished_before: int, now: int, limit: int) -> int:
        self.inside += 1
        assert self.inside == 1
        self.order.append(limit)
        self.entered.set()
        try:
            await self.go.wait()
        finally:
            self.inside -= 1
        if limit < 0:
            msg = "asked to fail"
            raise ValueError(msg)
        return limit

    async def clock(self) -> int:
        assert self.inside == 0
        return 1


async def _started(storage: Serialized, number: int) -> "asyncio.Task[int]":
    """Begin a call and let it run until it waits."""
    call = storage.purge(finished_before=0, now=0, limit=number)
    task = asyncio.ensure_future(call)
    await asyncio.sleep(0)
    return task


async def test_calls_are_carried_out_one_after_the_other_in_order() -> None:
    narrow = Narrow()
    storage = Serialized(narrow)
    tasks = [await _started(storage, number) for number in range(5)]
    assert narrow.order == [0]
    read = asyncio.ensure_future(storage.clock())
    narrow.go.set()
    assert await asyncio.gather(*tasks) == [0, 1, 2, 3, 4]
    assert narrow.order == [0, 1, 2, 3, 4]
    assert await read == 1


async def test_a_failure_lets_the_next_one_in() -> None:
    narrow = Narrow()
    storage = Serialized(narrow)
    failing, following = await _started(storage, -1), await _started(storage, 1)
    narrow.go.set()
    with pytest.raises(ValueError, match="asked to fail"):
        await failing
    assert await following == 1


async def test_who_is_cancelled_while_waiting_is_passed_over() -> None:
    narrow = Narrow()
    storage = Serialized(narrow)
    first, second, third = [await _started(storage, number) for number in (1, 2, 3)]
    second.cancel()
    await asyncio.sleep(0)
    narrow.go.set()
    assert await first == 1
    assert await third == 3
    assert narrow.order == [1, 3]


async def test_who_is_cancelled_inside_lets_the_next_one_in() -> None:
    narrow = Narrow()
    storage = Serialized(narrow)
    first, second = [await _started(storage, number) for number in (1, 2)]
    first.cancel()
    narrow.go.set()
    assert await second == 2
    assert first.cancelled()


async def test_who_is_cancelled_when_the_turn_comes_passes_it_on() -> None:
    narrow = Narrow()
    storage = Serialized(narrow)
    first, second, third = [await _started(storage, number) for number in (1, 2, 3)]
    first.add_done_callback(lambda _: second.cancel())
    narrow.go.set()
    assert await third == 3
    assert second.cancelled()
    assert narrow.order == [1, 3]
    assert await storage.purge(finished_before=0, now=0, limit=4) == 4


def test_calls_of_several_loops_do_not_meet() -> None:
    busy = threading.Lock()

    class Counting(MemoryStorage):
        calls = 0

        async def clock(self) -> int:
            assert busy.acquire(blocking=False), "two calls met"
            before = Counting.calls
            await asyncio.sleep(0)
            Counting.calls = before + 1
            busy.release()
            return Counting.calls

    storage = Serialized(Counting())

    async def work() -> None:
        async def one() -> None:
            for _ in range(20):
                await storage.clock()

        await asyncio.gather(*(one() for _ in range(5)))

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(asyncio.run, work()) for _ in range(4)]:
            done.result(30)
    assert Counting.calls == 400


async def test_a_loop_that_is_gone_does_not_keep_the_turn() -> None:
    narrow = Narrow()
    storage = Serialized(narrow)
    first = await _started(storage, 1)
    abandoned = storage.clock()

    async def wait_in_vain() -> None:
        abandoned.send(None)

    thread = threading.Thread(target=asyncio.run, args=[wait_in_vain()])
    thread.start()
    thread.join(5)
    second = await _started(storage, 2)
    third = await _started(storage, 3)
    second.add_done_callback(lambda _: narrow.go.clear())
    narrow.go.set()
    assert [await first, await second] == [1, 2]
    abandoned.close()
    fourth = await _started(storage, 4)
    assert narrow.order == [1, 2, 3]
    narrow.go.set()
    assert [await third, await fourth] == [3, 4]


async def test_who_is_thrown_away_while_waiting_is_passed_over() -> None:
    narrow = Narrow()
    storage = Serialized(narrow)
    first = await _started(storage, 1)
    waiting = storage.clock()
    waiting.send(None)
    waiting.close()
    narrow.go.set()
    assert await first == 1
    assert await storage.clock() == 1
