"""Leases: what becomes of an executor's work when it dies, stalls or is declared dead."""

import asyncio
import threading

from durable_core import DurableExecutor, Status, Tasks
from durable_core.storage import Finish, Phase
from durable_core.testing import settle
from durable_core.testing.faults import Fault, Gate, LoggedCall, On

from .waiting import Work
from .world import LEASE, Recorder, World, items_of


async def test_another_executor_takes_over_within_the_lease(world: World) -> None:
    work = Work()
    first = await world.start(tasks=work.tasks)
    second = await world.start(tasks=work.tasks)
    await world.idle(first, second)
    handle = await first.enqueue(work.work, "a")
    await settle()
    assert first.running == {handle.id}
    id_ = handle.id
    await world.kill(first)
    work.log.clear()
    await world.advance(LEASE)
    assert work.log == []
    await world.advance(LEASE / 3)
    assert work.log == ["start a"]
    row = await world.row(id_)
    assert (row.owner, row.crashes, row.gen, row.attempt) == (second.id, 1, 3, 0)
    work.go.set()
    assert await (await second.handle(work.work, id_)).result() == "a"


async def test_a_lease_that_is_renewed_is_never_lost(world: World) -> None:
    work = Work()
    executors = [await world.start(tasks=work.tasks) for _ in range(3)]
    handles = [await executor.enqueue(work.work, "x") for executor in executors]
    await world.advance(3600)
    rows = [await world.row(handle.id) for handle in handles]
    assert {(row.status, row.crashes) for row in rows} == {(Status.RUNNING, 0)}
    assert work.log == ["start x"] * 3
    work.go.set()
    await world.idle(*executors)


async def test_an_executor_declared_dead_stops_its_work_and_lives_again(world: World) -> None:
    work = Work()
    recorder = Recorder()
    first = await world.start(tasks=work.tasks, hooks=[recorder])
    await world.idle(first)
    handle = await first.enqueue(work.work, "a")
    await settle()
    dead_id = first.id
    # Its heartbeats do not arrive for longer than its lease.
    world.faults(first).inject(On("heartbeat", Fault.failure()), On("reap", Fault.failure()))
    second = await world.start(tasks=work.tasks)
    await world.advance(LEASE * 1.5)
    assert work.log == ["start a", "start a"]
    assert second.running == {handle.id}

    world.faults(first).heal()
    await world.advance(LEASE)
    assert work.log[2] == "stop a"
    assert recorder.of("lease_lost") == [("lease_lost", dead_id)]
    assert recorder.of("lost") == [("lost", handle.id)]
    assert first.running == frozenset()
    assert first.id is not None
    assert first.id != dead_id
    leases = await world.space.leases(limit=10)
    assert {lease.executor for lease in leases.items} == {first.id, second.id}

    # As another incarnation it works on.
    other = await first.enqueue(work.work, "b")
    work.go.set()
    assert await other.result() == "b"
    assert await handle.result() == "a"
    assert (await world.row(other.id)).ended_by == f"{first.id}/1"


async def test_a_stale_owner_cannot_write(world: World) -> None:
    gate = Gate()
    work = Work()
    recorder = Recorder()
    first = await world.start(tasks=work.tasks, hooks=[recorder])
    handle = await first.enqueue(work.work, "a")
    await settle()
    # A pause: nothing of the first one moves, except that its work ends and waits to be written.
    world.faults(first).inject(
        On("apply", Fault.gate(before=gate)),
        On("heartbeat", Fault.failure()),
        On("reap", Fault.failure()),
    )
    second = await world.start(tasks=work.tasks)
    await world.advance(1)
    work.go.set()
    await gate.reached.wait()
    work.go.clear()
    await world.advance(LEASE * 2)
    assert second.running == {handle.id}
    before = await world.row(handle.id)
    gate.open()
    world.faults(first).heal()
    await world.idle(first)
    after = await world.row(handle.id)
    assert after == before
    assert recorder.of("finished") == []
    assert ("lost", handle.id) in recorder.told
    work.go.set()
    assert await handle.result() == "a"
    assert (await world.row(handle.id)).ended_by == f"{second.id}/{before.gen}"


async def test_an_owner_whose_lease_ran_out_writes_as_long_as_nobody_took_over(
    world: World,
) -> None:
    work = Work()
    executor = await world.start(tasks=work.tasks)
    handle = await executor.enqueue(work.work, "a")
    await settle()
    world.faults(executor).inject(On("heartbeat", Fault.failure(), times=10))
    await world.advance(LEASE * 2)
    work.go.set()
    assert await handle.result() == "a"


async def test_work_does_not_begin_without_a_valid_lease(world: World) -> None:
    work = Work()
    executor = await world.start(tasks=work.tasks)
    client = await world.start(tasks=work.tasks, client_only=True)
    await world.idle(executor)
    world.faults(executor).inject(On("heartbeat", Fault.failure(), times=5))
    await world.advance(LEASE * 1.2)
    claims = len(world.calls(executor, "claim"))
    handle = await client.enqueue(work.work, "a")
    held = await executor.enqueue(work.work, "b")
    await settle()
    assert len(world.calls(executor, "claim")) == claims
    assert work.log == []
    assert (await world.row(held.id)).owner is None
    # With the next heartbeat that arrives it goes on.
    await world.advance(LEASE)
    assert sorted(work.log) == ["start a", "start b"]
    work.go.set()
    assert await handle.result() == "a"


async def test_a_disowned_thread_does_not_run_beside_its_successor_here(world: World) -> None:
    tasks = Tasks()
    begun, go_on = threading.Event(), threading.Event()
    at_once: list[int] = []
    most: list[int] = []

    @tasks.task
    def in_a_thread() -> int:
        at_once.append(1)
        most.append(len(at_once))
        if len(most) == 1:
            begun.set()
            go_on.wait(10)
        at_once.pop()
        return len(most)

    executor = await world.start(tasks=tasks)
    handle = await executor.enqueue(in_a_thread)
    assert await asyncio.to_thread(begun.wait, 10)
    world.faults(executor).inject(On("heartbeat", Fault.failure(), times=6))
    # Somebody declares it dead, and it comes back.
    await world.advance(LEASE * 1.2)
    await world.space.reap(now=world.clock.time_us(), limit=10)
    await world.advance(LEASE * 3)
    assert most == [1]
    go_on.set()
    await world.idle(executor, horizon=60)
    assert await handle.result() == 2
    assert most == [1, 1]


async def test_the_dead_are_reaped_whatever_they_had_claimed_late(world: World) -> None:
    work = Work()
    executor: DurableExecutor = await world.start(tasks=work.tasks)
    client = await world.start(tasks=work.tasks, client_only=True)
    handle = await client.enqueue(work.work.with_options(delay=0), "a")
    await settle()
    assert executor.running == {handle.id}
    # A claim of an executor that never had a lease: its commit came after its end.
    other = await client.enqueue(work.work.with_options(delay=60), "b")
    await world.space.claim(
        executor="dead.0123",
        tasks=["work"],
        queues=["default"],
        limit=1,
        now=world.clock.time_us(),
        ids=[other.id],
    )
    await world.advance(LEASE)
    row = await world.row(other.id)
    assert (row.owner, row.crashes) == (executor.id, 1)


async def test_a_reaped_result_is_not_taken_twice(world: World) -> None:
    """Both the old and the new owner finish: one result is recorded, once."""
    tasks = Tasks()
    results: list[int] = []

    @tasks.task
    async def work() -> int:
        results.append(len(results))
        return results[-1]

    gate = Gate()
    slow = On("apply", Fault.gate(before=gate))
    first = await world.start(slow, On("heartbeat", Fault.failure(), where=_renews), tasks=tasks)
    handle = await first.enqueue(work)
    await gate.reached.wait()
    second = await world.start(tasks=tasks)
    await world.advance(LEASE * 2)
    assert (await world.row(handle.id)).phase is Phase.COMPLETED
    stored = await world.row(handle.id)
    gate.open()
    await settle()
    assert await world.row(handle.id) == stored
    assert stored.output == b"1"
    finishes = [
        item
        for call in (*world.calls(first, "apply"), *world.calls(second, "apply"))
        for item in items_of(call)
        if isinstance(item, Finish)
    ]
    assert len(finishes) == 2


def _renews(call: LoggedCall) -> bool:
    return not call.arguments.get("register")
