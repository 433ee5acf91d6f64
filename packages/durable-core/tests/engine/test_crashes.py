"""Crashes: poison is ended, suspects are kept apart, the innocent go on."""

import asyncio

import pytest

from durable_core import ExecutionFailedError, FanOut, FinalizeFailedError, Joined, Status, Tasks

from .waiting import Work
from .world import LEASE, PROMISE, World


async def test_poison_is_ended_after_so_many_deaths(world: World) -> None:
    tasks = Tasks()
    ran: list[int] = []

    @tasks.task(retries=100)
    async def killer() -> None:
        ran.append(1)
        await asyncio.Event().wait()

    client = await world.start(tasks=tasks, client_only=True)
    handle = await client.enqueue(killer)
    for death in range(1, 4):
        victim = await world.start(tasks=tasks, crash_limit=3)
        await world.advance(LEASE * 3)
        assert len(ran) == death
        await world.kill(victim)
    last = await world.start(tasks=tasks, crash_limit=3)
    await world.advance(LEASE * 3)
    await world.idle(last)
    with pytest.raises(ExecutionFailedError, match="3 executors when they died"):
        await handle.result()
    assert len(ran) == 3
    assert (await world.row(handle.id)).crashes == 3


async def test_a_finalizer_that_kills_is_a_failed_finalizer(world: World) -> None:
    tasks = Tasks()

    async def killer(joined: Joined[str, int]) -> None:
        assert joined.output == "own"
        await asyncio.Event().wait()

    @tasks.parent(finalize=killer)
    async def parent() -> FanOut[str]:
        return FanOut("own")

    @tasks.task
    async def child() -> int:
        return 1

    @tasks.parent(name="with children", finalize=killer)
    async def second() -> FanOut[str]:
        return FanOut("own", [child.call()])

    client = await world.start(tasks=tasks, client_only=True)
    handles = [await client.enqueue(parent), await client.enqueue(second)]
    for _ in range(2):
        victim = await world.start(tasks=tasks, crash_limit=2)
        await world.advance(LEASE * 8)
        await world.kill(victim)
    last = await world.start(tasks=tasks, crash_limit=2)
    await world.advance(LEASE * 8)
    await world.idle(last)
    with pytest.raises(FinalizeFailedError, match="executors when they died"):
        await handles[1].result()
    # Without children nothing was recorded before the finalizer began.
    with pytest.raises(ExecutionFailedError, match="executors when they died"):
        await handles[0].result()


async def test_a_graceful_hand_back_is_no_crash(world: World) -> None:
    work = Work()
    handle_id = ""
    for round_ in range(5):
        executor = await world.start(tasks=work.tasks, crash_limit=2)
        if not round_:
            handle_id = (await executor.enqueue(work.work, "a")).id
        await world.advance(1)
        assert executor.running == {handle_id}
        await executor.shutdown()
    row = await world.row(handle_id)
    assert (row.status, row.crashes, row.attempt) == (Status.READY, 0, 0)


async def test_suspects_run_alone_and_one_at_a_time(world: World) -> None:
    work = Work()
    client = await world.start(tasks=work.tasks, client_only=True)
    suspects = [await client.enqueue(work.work, f"suspect {number}") for number in range(2)]
    for _ in range(2):
        victim = await world.start(tasks=work.tasks, crash_limit=3)
        await world.advance(LEASE * 2)
        await world.kill(victim)
    work.log.clear()
    innocent = await client.enqueue(work.work, "innocent")
    executor = await world.start(tasks=work.tasks, crash_limit=3)
    await world.advance(LEASE / 2)
    # The victims' rows are reaped, and run one after the other; the innocent may have been first.
    await world.advance(LEASE * 2)
    starts = [entry for entry in work.log if entry.startswith("start suspect")]
    assert len(starts) <= 1
    work.go.set()
    await world.advance(LEASE * 20)
    await world.idle(executor)
    for handle in (*suspects, innocent):
        assert (await handle.execution()).status is Status.COMPLETED
    running: set[str] = set()
    for entry in work.log:
        what, _, name = entry.partition(" ")
        if what == "start" and name.startswith("suspect"):
            assert not any(other.startswith("suspect") for other in running)
        if what == "start":
            running.add(name)
        else:
            running.discard(name)


async def test_a_suspect_keeps_others_out_during_its_probation_only(world: World) -> None:
    work = Work()
    client = await world.start(tasks=work.tasks, client_only=True)
    suspect = await client.enqueue(work.work, "suspect")
    for _ in range(2):
        victim = await world.start(tasks=work.tasks, crash_limit=3)
        await world.advance(LEASE * 2)
        await world.kill(victim)
    work.log.clear()
    executor = await world.start(tasks=work.tasks, crash_limit=3)
    await world.advance(LEASE * 1.5)
    assert work.log == ["start suspect"]
    delayed = work.work.with_options(delay=1)
    innocents = [await client.enqueue(work.work, "now"), await client.enqueue(delayed, "soon")]
    # A due time that passes while nothing may be claimed must not spin.
    await world.advance(2)
    assert work.log == ["start suspect"]
    await world.advance(PROMISE)
    assert sorted(work.log[1:]) == ["start now", "start soon"]
    work.go.set()
    assert await suspect.result() == "suspect"
    assert [await handle.result() for handle in innocents] == ["now", "soon"]
    assert executor.running == frozenset()


async def test_a_due_time_that_passes_while_nothing_may_be_claimed_costs_nothing(
    world: World,
) -> None:
    work = Work()
    client = await world.start(tasks=work.tasks, client_only=True)
    await client.enqueue(work.work, "suspect")
    for _ in range(2):
        victim = await world.start(tasks=work.tasks, crash_limit=3)
        await world.advance(LEASE * 2)
        await world.kill(victim)
    work.log.clear()
    # Its first claim learns of the delayed one, its first reap frees the suspect.
    delayed = await client.enqueue(work.work.with_options(delay=25), "delayed")
    executor = await world.start(tasks=work.tasks, crash_limit=3)
    await world.advance(24)
    assert work.log == ["start suspect"]
    claims = len(world.calls(executor, "claim"))
    looks: list[float] = []
    look = executor.engine.claimer._look

    async def counted() -> None:
        looks.append(world.clock.monotonic())
        await look()

    executor.engine.claimer._look = counted  # type: ignore[method-assign]
    await world.advance(4)
    assert work.log == ["start suspect"]
    assert len(world.calls(executor, "claim")) == claims
    assert len(looks) < 100
    await world.advance(PROMISE)
    assert work.log[1:] == ["start delayed"]
    work.go.set()
    assert await delayed.result() == "delayed"


async def test_progress_clears_the_crashes(world: World) -> None:
    tasks = Tasks()
    ran: list[int] = []
    stuck = asyncio.Event()

    @tasks.task
    async def step(number: int) -> int:
        ran.append(number)
        if len(ran) in (1, 2, 4, 5):
            await stuck.wait()
        return number + 1

    chain = tasks.sequence("chain", step, step, step)
    client = await world.start(tasks=tasks, client_only=True)
    handle = await client.enqueue(chain, 0)
    # Two deaths in the first step, two in the second: none is a third in a row.
    for _ in range(4):
        victim = await world.start(tasks=tasks, crash_limit=3)
        await world.advance(LEASE * 4)
        await world.kill(victim)
    last = await world.start(tasks=tasks, crash_limit=3)
    await world.advance(LEASE * 4)
    await world.idle(last)
    assert await handle.result() == 3
    assert ran == [0, 0, 0, 1, 1, 1, 2]
