"""Two executors on a storage that fails at random: everything ends, each result once."""

import asyncio
from typing import Any

import pytest

from durable_core import FanOut, ParentResult, Status, Tasks
from durable_core.testing.faults import Randomly

from .world import World


@pytest.mark.parametrize("seed", range(40))
async def test_everything_ends_once_on_a_storage_that_fails_at_random(
    world: World, seed: int
) -> None:
    tasks = Tasks()
    ran: dict[int, int] = {}

    @tasks.task(retries=50)
    async def step(number: int) -> int:
        ran[number] = ran.get(number, 0) + 1
        await asyncio.sleep(0)
        return number

    @tasks.parent
    async def parent(first: int) -> FanOut[int]:
        return FanOut(first, [step.call(first + place) for place in range(5)])

    chain = tasks.sequence("chain", step, step)
    executors = [
        await world.start(
            Randomly(
                seed * 10 + place,
                failure=0.1,
                lost_request=0.1,
                lost_answer=0.1,
                twice=0.1,
                delayed=0.2,
                max_delay=2,
                dropped_hint=0.2,
                doubled_hint=0.2,
                methods={"insert", "claim", "apply", "reap", "get", "find", "checkpoints"},
            ),
            tasks=tasks,
            patience=600,
        )
        for place in range(2)
    ]

    async def result_of(number: int, task: Any) -> object:
        handle = await executors[number % 2].enqueue(task, number * 100)
        result: object = await handle.result()
        return result

    running = [
        asyncio.ensure_future(result_of(number, task))
        for number, task in enumerate([step, parent, chain] * 3)
    ]
    for _ in range(60):
        await world.advance(10)
        if all(future.done() for future in running):
            break
    results = [future.result() for future in running]
    for number, result in enumerate(results):
        first = number * 100
        family = ParentResult(output=first, children=5, failed=0)
        assert result == (family if number % 3 == 1 else first)
    rows = await world.rows()
    # Nine roots, and three families of five.
    assert len(rows) == 24
    assert {row.status for row in rows} == {Status.COMPLETED}
    assert all((row.owner, row.pending, row.due, row.crashes) == (None, 0, None, 0) for row in rows)
    assert set(ran) == {n * 100 for n in range(9) if n % 3 != 1} | {
        n * 100 + place for n in (1, 4, 7) for place in range(5)
    }
