"""The sketch itself: an asyncio task per execution, and writes around it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias
from uuid import uuid4

from ..bodies import LOOP_DELAY, body, noop
from .store import Row, Store

Work: TypeAlias = Callable[[str, int], Awaitable[int]]
"""Takes an execution's id and argument, and returns its output."""


class Sketch:
    """Runs the workloads' executions with nothing but a store.

    Args:
        store: Where executions are kept; opened and closed by the caller.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._results: dict[str, asyncio.Future[int]] = {}

    async def call(self, number: int) -> int:
        """Store, run and finish one execution; return its result."""
        return await self._enqueue(number, self._call)

    async def fan_out(self, width: int, *, napping: bool = False) -> int:
        """Run a parent with so many children and join them; return the sum of their outputs."""
        return await self._enqueue(width, partial(self._fan_out, napping))

    async def chain(self, steps: int, *, napping: bool = False) -> int:
        """Run a chain of so many steps, stored after each; return the last step's output."""
        return await self._enqueue(steps, partial(self._chain, napping))

    async def loop(self) -> int:
        """Run a loop of one iteration after its delay; return its output."""
        return await self._enqueue(0, self._loop)

    async def _enqueue(self, number: int, work: Work) -> int:
        id_, data = str(uuid4()), encode(number)
        result: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._results[id_] = result
        await self._store.insert(Row(id_, "noop", data))
        _run = asyncio.create_task(self._run(id_, data, work))  # noqa: RUF006  # kept by this frame
        return await result

    async def _run(self, id_: str, data: bytes, work: Work, parent_id: str | None = None) -> None:
        try:
            output = await work(id_, decode(data))
            await self._store.finish(id_, json.dumps(output).encode(), parent_id)
        except Exception as error:  # noqa: BLE001  # whoever awaits the result must hear of it
            self._results.pop(id_).set_exception(error)
        else:
            self._results.pop(id_).set_result(output)

    async def _call(self, _id: str, number: int) -> int:
        return await noop(number)

    async def _loop(self, _id: str, number: int) -> int:
        await asyncio.sleep(LOOP_DELAY)
        return await noop(number)

    async def _chain(self, napping: bool, id_: str, steps: int) -> int:  # noqa: FBT001  # partial's
        step, number = body(napping=napping), 0
        for _ in range(steps - 1):
            number = await step(number)
            await self._store.progress(id_, json.dumps(number).encode())
        return await step(number)

    async def _fan_out(self, napping: bool, id_: str, width: int) -> int:  # noqa: FBT001  # partial's
        step = body(napping=napping)

        async def work(_id: str, number: int) -> int:
            return await step(number)

        loop = asyncio.get_running_loop()
        children = [
            Row(f"{id_}-{index}", "child", encode(index), id_, index) for index in range(width)
        ]
        results = [loop.create_future() for _ in children]
        self._results.update(zip((child.id for child in children), results, strict=True))
        await self._store.spread(id_, children)
        runs = [
            asyncio.create_task(self._run(child.id, child.input, work, id_)) for child in children
        ]
        for run in runs:
            await run
        return sum(result.result() for result in results)


def encode(number: int) -> bytes:
    """Return the stored form of an argument."""
    return json.dumps({"number": number}).encode()


def decode(data: bytes) -> int:
    """Return what `encode` was given."""
    number: int = json.loads(data)["number"]
    return number
