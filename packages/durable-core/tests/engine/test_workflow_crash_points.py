"""A durable function whose process dies before or after each of its calls to the storage."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from durable_core import (
    Context,
    DurableExecutor,
    Handle,
    PlanStep,
    RetryPolicy,
    Status,
    Tasks,
    WorkflowContext,
)
from durable_core.engine.replay.record import History, Kind
from durable_core.testing.faults import Fault, On, Randomly

from .world import PROMISE, World

MOST_CALLS = 80


class Work:
    """A function with everything in it, and a plan, and what ran of them."""

    def __init__(self) -> None:
        self.tasks = Tasks()
        self.ran: Counter[int] = Counter()

        @self.tasks.task
        async def child(number: int) -> int:
            return number + 1

        @self.tasks.task(retries=RetryPolicy(3, delay=5, jitter=0))
        async def step(ctx: Context, number: int) -> int:
            self.ran[ctx.step] += 1
            if number == 13 and ctx.attempt == 1:
                msg = "the first attempt"
                raise OSError(msg)
            return number

        @self.tasks.workflow
        async def everything(ctx: WorkflowContext) -> list[int]:
            async def branch(number: int) -> int:
                return await ctx.call(child, await ctx.step(step, number))

            first = await ctx.step(step, 1)
            both = await asyncio.gather(branch(10), branch(20))
            await ctx.sleep(10)
            new = 100 if ctx.version("change") else 0
            retried = await ctx.step(step, 13)
            event = await ctx.wait_for("event", key=ctx.execution_id, timeout=1000)
            try:
                async with asyncio.timeout(5):
                    await ctx.wait_for("never", key=ctx.execution_id)
            except TimeoutError:
                await ctx.step(step, 7)
            return [first, *both, new, retried, event]

        @self.tasks.workflow
        async def chained(ctx: WorkflowContext, left: int, total: int = 0) -> int:
            total += await ctx.step(step, left)
            if left:
                ctx.continue_as_new(left - 1, total)
            return total

        self.everything, self.chained = everything, chained
        self.plan = self.tasks.plan("plan", step, child)
        self.steps = [
            PlanStep("a", step.call(1)),
            PlanStep("b", child.call(2)),
            PlanStep("c", step.call(13)),
        ]

    async def start(self, executor: DurableExecutor) -> list[Handle[Any]]:
        """Begin everything under ids of our own; again: find it."""
        await executor.send_event("event", key="all", payload=5)
        return [
            await executor.enqueue(self.everything.with_options(id="all")),
            await executor.enqueue(self.chained.with_options(id="chained"), 3),
            await executor.add_plan(self.plan, "plan", self.steps),
        ]

    async def check(self, handles: list[Handle[Any]]) -> None:
        """Compare the results with what they must be."""
        everything, chained, plan = [await handle.result(timeout=0) for handle in handles]
        assert everything == [1, 11, 21, 100, 13, 5]
        assert chained == 6
        assert plan.completed == ["a", "b", "c"]


@pytest.mark.parametrize("landed", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("concurrency", [1, 100])
async def test_it_ends_well_wherever_its_process_dies(landed: bool, concurrency: int) -> None:  # noqa: FBT001
    died = 0
    for nth in range(1, MOST_CALLS):
        world, work = World(), Work()
        try:
            if not await survives(world, work, Fault.stop(landed=landed), nth, concurrency):
                break
            died += 1
        finally:
            await world.close()
    else:
        pytest.fail("it never came to its end")
    assert died >= 20


async def survives(world: World, work: Work, fault: Fault, nth: int, concurrency: int) -> bool:
    """Let a process die at a call, and another one finish; return whether it died."""
    methods = {"claim", "apply", "insert", "get", "find", "checkpoints", "cancel"}
    victim = await world.start(tasks=work.tasks, concurrency=concurrency, patience=1000)
    client = await world.start(tasks=work.tasks, client_only=True)
    handles = await work.start(client)
    death = On(None, fault, nth=nth, where=lambda call: call.method in methods)
    world.faults(victim).inject(death)
    await until(world, lambda: all_ended(handles, stopped=lambda: world.faults(victim).stopped))
    if not world.faults(victim).stopped:
        await work.check(handles)
        return False
    await world.kill(victim)
    recorded = await recorded_steps(world)
    before = Counter(work.ran)
    heir = await world.start(tasks=work.tasks, concurrency=concurrency)
    handles = await work.start(client)
    await until(world, lambda: all_ended(handles, stopped=lambda: False))
    await work.check(handles)
    # Positions of different executions are looked at together: what was recorded in all of them
    # that have such a position was run by nobody again.
    for position, times in recorded.items():
        if times == expected_times(position):
            assert work.ran[position] == before[position]
    rows = await world.rows()
    assert {row.status for row in rows} <= {Status.COMPLETED, Status.CANCELLED, Status.TIMED_OUT}
    assert all((row.owner, row.pending) == (None, 0) for row in rows)
    assert not heir.running
    return True


def expected_times(position: int) -> int:
    """Return how many executions have a step at a position."""
    in_everything = position in {0, 1, 2, 6, 10}
    in_chain = 4 if position == 0 else 0
    in_plan = position in {0, 2}
    return in_everything + in_chain + in_plan


async def recorded_steps(world: World) -> Counter[int]:
    """Return how often each position is recorded as a step."""
    found: Counter[int] = Counter()
    for row in await world.rows():
        page = await world.space.checkpoints(execution_id=row.id, limit=1000)
        history = History.of({point.name: point.value for point in page.items}, row.task)
        found.update(entry.position for entry in history.entries if entry.kind is Kind.STEP)
    return found


async def all_ended(handles: list[Handle[Any]], *, stopped: Callable[[], bool]) -> bool:
    if stopped():
        return True
    return all([(await handle.status()).finished for handle in handles])


async def until(world: World, ended: Callable[[], Awaitable[bool]]) -> None:
    """Let time go by until something is so."""
    for _ in range(200):
        await world.advance(PROMISE / 8)
        if await ended():
            return
    pytest.fail("it never ended")


@pytest.mark.parametrize("seed", range(30))
async def test_it_ends_well_on_a_storage_that_fails_at_random(seed: int) -> None:
    world, work = World(), Work()
    try:
        for place in range(2):
            plan = Randomly(
                seed * 10 + place,
                failure=0.1,
                lost_request=0.1,
                lost_answer=0.1,
                twice=0.1,
                delayed=0.2,
                max_delay=2,
                dropped_hint=0.2,
                doubled_hint=0.2,
                methods={"insert", "claim", "apply", "cancel", "get", "find", "checkpoints"},
            )
            await world.start(plan, tasks=work.tasks, patience=600)
        client = await world.start(tasks=work.tasks, client_only=True)
        handles = await work.start(client)
        await until(world, lambda: all_ended(handles, stopped=lambda: False))
        await work.check(handles)
        # Nobody has lost its lease: so nothing that was recorded was run again.
        assert all(row.crashes == 0 for row in await world.rows())
    finally:
        await world.close()
