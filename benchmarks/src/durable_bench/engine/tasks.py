"""The workloads' tasks, as a user writes them."""

from datetime import timedelta
from typing import Final

from durable_core import Done, FanOut, Joined, Tasks, WorkflowContext

from .. import bodies
from ..bodies import LOOP_DELAY
from ..cases import STEPS

TASKS: Final = Tasks()
"""Everything that an executor of the benchmarks can run."""

noop = TASKS.task(bodies.noop)
nap = TASKS.task(bodies.nap)

chain = TASKS.sequence("chain", noop, *[noop] * (STEPS - 1))
short_chain = TASKS.sequence("short_chain", noop, *[noop] * 3)
napping_chain = TASKS.sequence("napping_chain", nap, *[nap] * 3)

CHAINS: Final = {(STEPS, False): chain, (4, False): short_chain, (4, True): napping_chain}
"""How many steps, and whether they nap → the chain; all begin with 0."""


@TASKS.workflow
async def function(ctx: WorkflowContext, steps: int) -> int:
    """Do what a chain does, as a durable function."""
    number = 0
    for _ in range(steps):
        number = await ctx.step(bodies.noop, number)
    return number


@TASKS.workflow
async def sleeper(ctx: WorkflowContext) -> None:
    """Sleep for a week."""
    await ctx.sleep(timedelta(days=7))


def total(joined: Joined[int, int]) -> int:
    """Return the sum of the children's outputs; all of them must be there."""
    return sum(child.output for child in joined.children if child.output is not None)


@TASKS.parent(finalize=total)
async def fan_out(width: int) -> FanOut[int]:
    """Spread so many no-ops; the parent itself adds them up."""
    return FanOut(width, [noop.call(number) for number in range(width)])


@TASKS.task
async def total_as_task(joined: Joined[int, int]) -> int:
    """Return the same sum, as an execution of its own."""
    return total(joined)


@TASKS.parent(finalize=total_as_task)
async def napping_fan_out(width: int) -> FanOut[int]:
    """Spread so many naps; another task adds them up."""
    return FanOut(width, [nap.call(number) for number in range(width)])


@TASKS.task
async def one_iteration(number: int) -> Done[int]:
    """End a loop at once."""
    return Done(await bodies.noop(number))


loop = TASKS.loop(
    "loop", one_iteration, max_iterations=1_000, delay=LOOP_DELAY, first_delay=LOOP_DELAY
)
