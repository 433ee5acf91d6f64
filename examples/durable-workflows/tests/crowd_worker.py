"""Workers that are killed in the middle of durable functions, and what they write down."""

import asyncio
import json
import os
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from workflow_targets import author_of

from durable_core import Context, DurableExecutor, PlanStep, RetryPolicy, Tasks, WorkflowContext

LEASE = 1.0
NEVER_POISON = 10_000


class Crowd:
    """Functions with steps, sleeps, events and children, and plans.

    Args:
        journal: A file to which every run of a step adds a line.
    """

    def __init__(self, journal: Path) -> None:
        self.tasks = Tasks()
        self._journal = journal

        @self.tasks.task
        async def child(number: int) -> int:
            await asyncio.sleep(0.01)
            return number + 1

        @self.tasks.task(retries=RetryPolicy(1000, delay=0.01, jitter=0))
        async def step(ctx: Context, number: int) -> int:
            self.write(ctx)
            await asyncio.sleep(0.02)
            return number

        @self.tasks.workflow
        async def errand(ctx: WorkflowContext, number: int) -> int:
            async def branch(start: int) -> int:
                return await ctx.call(child, await ctx.step(step, start))

            first = await ctx.step(step, number)
            both = await asyncio.gather(branch(number), branch(2 * number))
            await ctx.sleep(0.05)
            event: int = await ctx.wait_for("event", key=f"{number}")
            await ctx.sleep(1.1)
            many = await ctx.gather(
                *(ctx.call(child, index) for index in range(3)), return_exceptions=True
            )
            last = await ctx.step(step, event)
            return first + sum(both) + last + sum(one for one in many if isinstance(one, int))

        self.errand = errand
        self.plan = self.tasks.plan("plan", step, child)
        self.steps = [PlanStep("a", step.call(1)), PlanStep("b", child.call(2))]
        self.steps += [PlanStep(f"c {index}", step.call(index)) for index in range(3)]

    def write(self, ctx: Context) -> None:
        """Take down that a step is run, in one write."""
        line = {"step": [ctx.execution_id, ctx.step], "pid": os.getpid(), "at": time.monotonic()}
        file = os.open(self._journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(file, json.dumps(line).encode() + b"\n")
        finally:
            os.close(file)

    def expected(self, number: int) -> int:
        """Return what an errand must end with."""
        return number + (number + 1) + (2 * number + 1) + (1000 + number) + 6

    def runs(self) -> list[dict[str, Any]]:
        """Return what was written down, in order."""
        lines = self._journal.read_text("utf-8").splitlines() if self._journal.exists() else []
        found: list[dict[str, Any]] = [json.loads(line) for line in lines]
        return found


OPTIONS: dict[str, Any] = {
    "concurrency": 20,
    "lease": LEASE,
    "poll_interval": 0.2,
    "crash_limit": NEVER_POISON,
}


def work(pipe: Connection, target: str, namespace: str, journal: Path) -> None:
    """Run an executor until this process is killed; tell once it is at work."""
    asyncio.run(_work(pipe, target, namespace, journal))


async def _work(pipe: Connection, target: str, namespace: str, journal: Path) -> None:
    crowd = Crowd(journal)
    async with (
        author_of(target).open(namespace) as storage,
        DurableExecutor(storage, tasks=crowd.tasks, **OPTIONS),
    ):
        pipe.send("at work")
        await asyncio.Event().wait()
