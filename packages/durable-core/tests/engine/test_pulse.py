"""Heartbeats from a thread, on the real clock: a blocked event loop does not cost the lease."""

import asyncio
import threading
import time

import pytest

from durable_core import DurableExecutor, Hooks, MemoryStorage, Status
from durable_core.storage import Beat, ClosedError, TemporaryError
from durable_core.storage.protocol import PulseConnection

LEASE = 0.3


class Neighbour(threading.Thread):
    """Another process: an executor in a thread and an event loop of its own."""

    def __init__(self, space: MemoryStorage) -> None:
        super().__init__(daemon=True)
        self._space = space
        self._ended = threading.Event()
        self.started = threading.Event()

    def run(self) -> None:
        asyncio.run(self._live())

    async def _live(self) -> None:
        executor = DurableExecutor(MemoryStorage(sharing=self._space), lease=LEASE)
        async with executor:
            self.started.set()
            await asyncio.to_thread(self._ended.wait)

    def end(self) -> None:
        """Shut it down and wait."""
        self._ended.set()
        self.join(10)


async def test_a_blocked_loop_keeps_its_lease() -> None:
    space = MemoryStorage()
    executor = DurableExecutor(MemoryStorage(sharing=space), lease=LEASE)

    @executor.task
    async def blocks() -> str:
        # What one should not do, but people do: the event loop stands still.
        time.sleep(LEASE * 2.5)  # noqa: ASYNC251 - the block is what is tested
        return "done"

    neighbour = Neighbour(space)
    neighbour.start()
    assert await asyncio.to_thread(neighbour.started.wait, 10)
    async with executor:
        handle = await executor.enqueue(blocks)
        assert await handle.result() == "done"
        (row,) = (await executor.find()).items
        assert (row.crashes, row.status) == (0, Status.COMPLETED)
    neighbour.end()


class Moody(MemoryStorage):
    """A storage whose thread connection fails at times."""

    def __init__(self, errors: list[type[Exception]]) -> None:
        super().__init__()
        self.errors = errors
        self.beats = 0
        self.closed = threading.Event()
        self.calm = threading.Event()

    def pulse(self) -> PulseConnection:
        inner = super().pulse()
        outer = self

        class Connection:
            """Fails as often as it is told to."""

            def beat(self, *, executor: str, ttl: int, now: int) -> Beat:
                if outer.errors:
                    raise outer.errors.pop()
                outer.beats += 1
                outer.calm.set()
                return inner.beat(executor=executor, ttl=ttl, now=now)

            def close(self) -> None:
                outer.closed.set()
                inner.close()

        return Connection()


@pytest.mark.parametrize("error", [TemporaryError, ClosedError])
async def test_a_beat_that_failed_is_tried_again_soon(error: type[Exception]) -> None:
    storage = Moody([error] * 3)
    executor = DurableExecutor(storage, lease=LEASE)

    @executor.task
    async def work() -> int:
        return 1

    async with executor:
        assert await asyncio.to_thread(storage.calm.wait, 10)
        assert await (await executor.enqueue(work)).result() == 1
        before = executor.id
    assert before is not None
    assert storage.errors == []
    assert storage.closed.is_set()


async def test_a_thread_that_learns_of_its_death_gives_the_executor_a_new_life() -> None:
    space = MemoryStorage()
    reborn = asyncio.Event()

    class Told(Hooks):
        """Hears of the end of the lease."""

        def lease_lost(self, executor: str) -> None:
            assert executor == dead
            reborn.set()

    executor = DurableExecutor(MemoryStorage(sharing=space), lease=LEASE, hooks=[Told()])

    @executor.task
    async def work() -> int:
        return 1

    async with executor:
        dead = executor.id or ""
        await space.heartbeat(executor=dead, ttl=0, now=await space.clock())
        async with asyncio.timeout(10):
            await reborn.wait()
        assert await (await executor.enqueue(work)).result() == 1
        assert executor.id != dead
        leases = await space.leases(limit=10)
        assert [lease.executor for lease in leases.items] == [executor.id]
