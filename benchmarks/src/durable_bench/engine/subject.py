"""Executions of known shapes on an executor."""

import asyncio

from durable_core import DurableExecutor, Status

from ..subject import WrongResultError
from .tasks import CHAINS, fan_out, function, loop, napping_fan_out, noop, sleeper


class Engine:
    """Runs the workloads' executions.

    Args:
        executor: Started; it knows `TASKS`, or another one on the same storage does.
    """

    def __init__(self, executor: DurableExecutor) -> None:
        self._executor = executor

    async def call(self, number: int) -> int:
        """Enqueue one task and return its result."""
        handle = await self._executor.enqueue(noop, number)
        return await handle.result()

    async def fan_out(self, width: int, *, napping: bool = False) -> int:
        """Run a parent with so many children and join them; return the sum of their outputs."""
        handle = await self._executor.enqueue(napping_fan_out if napping else fan_out, width)
        return await handle.result()

    async def chain(self, steps: int, *, napping: bool = False) -> int:
        """Run a chain of so many steps from 0; return the last step's output."""
        handle = await self._executor.enqueue(CHAINS[steps, napping], 0)
        output: int = await handle.result()
        return output

    async def function(self, steps: int) -> int:
        """Run a durable function of so many steps from 0; return the last one's output."""
        return await (await self._executor.enqueue(function, steps)).result()

    async def sleep(self, count: int) -> None:
        """Put so many durable functions to sleep for a week."""
        await self._executor.enqueue_many([sleeper.call() for _ in range(count)])
        while self._executor.running or await self._awake():  # noqa: ASYNC110 - told by nobody
            await asyncio.sleep(0.05)

    async def _awake(self) -> int:
        left = await self._executor.count(task=sleeper, statuses=[Status.READY, Status.RUNNING])
        return left.get("*", 0)

    async def loop(self) -> int:
        """Run a loop that ends in its first iteration, after its delay; return its output."""
        handle = await self._executor.enqueue(loop, 0)
        result = await handle.result()
        if result.output is None or result.iterations != 1:
            raise WrongResultError(f"the loop ended as {result} instead of after one iteration")
        return result.output
