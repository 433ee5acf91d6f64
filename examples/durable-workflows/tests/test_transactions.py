"""Steps that record themselves in the caller's transaction: exactly once, killed wherever."""

import asyncio
import signal

import pytest
import transaction_worker
from transaction_worker import POINTS, Bank, effects_of, result_of, work_of
from workflow_processes import Child
from workflow_targets import Place

from durable_core import OptionError, Tasks, WorkflowContext

TRANSACTIONS = 3
AT_ONCE = 10


async def can_bind(place: Place) -> bool:
    async with place.open() as storage:
        return storage.capabilities.bind_checkpoint


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_killed_transaction_has_its_effect_once(place: Place) -> None:
    """Kill a worker at each point of its life; another one finishes, each effect is there once."""
    if not await can_bind(place):
        await refuses(place)
        return
    lives = [(name, before) for before in range(TRANSACTIONS) for name in POINTS]
    killed: set[str] = set()
    for first in range(0, len(lives), AT_ONCE):
        some = lives[first : first + AT_ONCE]
        died = await asyncio.gather(*(killed_at(place.target, *life) for life in some))
        killed |= {name for (name, _), dead in zip(some, died, strict=True) if dead}
    assert killed == set(POINTS)


async def killed_at(target: str, name: str, before: int) -> bool:
    """Kill a worker at a point, and finish here; return whether it came to that point."""
    here = Place(target)
    try:
        worker = Child(transaction_worker.run, target, here.namespace, name, before)
        told = await asyncio.to_thread(worker.told)
        dead = worker.process.exitcode == -signal.SIGKILL
        assert dead or told == ["ended"], (name, before)
        async with here.open() as storage, here.open() as own:
            tasks, three = work_of(Bank(here.author, own, lambda _: None))
            assert await result_of(storage, tasks, three) == [1, 2, 3], (name, before)
            effects = await effects_of(own)
        assert effects == {"effect 1": 1, "effect 2": 1, "effect 3": 1}, (name, before)
        return dead
    finally:
        await here.drop()


async def refuses(place: Place) -> None:
    """A storage that cannot bind says so."""
    tasks = Tasks()

    @tasks.workflow
    async def tries(ctx: WorkflowContext) -> str:
        try:
            await ctx.transaction(None, None)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType, reportCallIssue]
        except OptionError as error:
            return str(error)
        return "no error"

    async with place.executor(tasks=tasks) as executor:
        refused = await (await executor.enqueue(tries)).result(timeout=30)
    assert "cannot record a step in a caller's transaction" in refused


async def test_an_effect_is_rolled_back_with_its_step(place: Place) -> None:
    if not await can_bind(place):
        return
    async with place.open() as storage:
        bank = Bank(place.author, storage, lambda _: None)
        tasks = Tasks()

        @tasks.workflow
        async def fails(ctx: WorkflowContext) -> str:
            try:
                await ctx.transaction(bank.begin, bank.fail, 1)
            except Exception as error:  # noqa: BLE001 - told
                return type(error).__name__
            return "no error"

        async with place.executor(tasks=tasks) as executor:
            assert await (await executor.enqueue(fails)).result(timeout=30) == "StepFailedError"
        async with place.open() as fresh:
            assert await effects_of(fresh) == {}
