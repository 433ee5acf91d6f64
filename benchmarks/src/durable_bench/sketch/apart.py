"""The sketch in two processes on one store: one enqueues and waits, the other one works."""

import asyncio
import json
from uuid import uuid4

from ..bodies import noop
from .runner import Sketch, decode, encode
from .store import Row, SharedStore


class Enqueuer(Sketch):
    """Enqueues, and waits for what a worker in another process has finished.

    Args:
        store: Opened and closed by the caller.
    """

    def __init__(self, store: SharedStore) -> None:
        super().__init__(store)
        self._shared = store
        self._awaited: dict[str, asyncio.Future[int]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def call(self, number: int) -> int:
        """Enqueue one execution and wait for its result."""
        id_ = str(uuid4())
        # Awaited first: the worker may be done before the answer to the write is heard.
        result: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._awaited[id_] = result
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        await self._shared.offer(Row(id_, "noop", encode(number)))
        return await result

    async def _look(self) -> None:
        try:
            while True:
                await self._shared.heard()
                if self._awaited:
                    for id_, output in await self._shared.ended(list(self._awaited)):
                        self._awaited.pop(id_).set_result(json.loads(output))
        except Exception as error:  # noqa: BLE001  # whoever awaits a result must hear of it
            for result in self._awaited.values():
                result.set_exception(error)

    async def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait((self._looking,))


class Worker:
    """Claims what is there, runs it and finishes it.

    Args:
        store: Opened and closed by the caller.
        concurrency: At most so many executions at once.
    """

    def __init__(self, store: SharedStore, concurrency: int) -> None:
        self._store = store
        self._places = asyncio.Semaphore(concurrency)
        self._concurrency = concurrency
        self._running: set[asyncio.Task[None]] = set()

    async def work(self) -> None:
        """Work until cancelled."""
        while True:
            await self._store.heard()
            while await self._round():
                pass

    async def _round(self) -> bool:
        """Claim once; return whether there may be more."""
        await self._places.acquire()
        self._places.release()
        free = self._concurrency - len(self._running)
        taken = await self._store.take(free)
        for id_, data in taken:
            await self._places.acquire()
            run = asyncio.create_task(self._run(id_, data))
            self._running.add(run)
            run.add_done_callback(self._ended)
        return len(taken) == free

    def _ended(self, run: asyncio.Task[None]) -> None:
        self._running.discard(run)
        self._places.release()

    async def _run(self, id_: str, data: bytes) -> None:
        output = await noop(decode(data))
        await self._store.finish(id_, json.dumps(output).encode())
