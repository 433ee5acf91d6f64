"""Executions of known shapes on an executor."""

from durable_core import DurableExecutor

from ..subject import WrongResultError
from .tasks import CHAINS, fan_out, loop, napping_fan_out, noop


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

    async def loop(self) -> int:
        """Run a loop that ends in its first iteration, after its delay; return its output."""
        handle = await self._executor.enqueue(loop, 0)
        result = await handle.result()
        if result.output is None or result.iterations != 1:
            raise WrongResultError(f"the loop ended as {result} instead of after one iteration")
        return result.output
