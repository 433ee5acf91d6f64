"""What happens rarely: takeovers in odd moments, refusals half-way, lost connections."""

import asyncio
import logging
from collections.abc import AsyncIterator, Collection
from typing import Any

import pytest

from durable_core import (
    ExecutionFailedError,
    FanOut,
    LoggingHooks,
    ParentResult,
    RetryPolicy,
    Status,
    Tasks,
    current,
)
from durable_core.storage import Hint, Phase, TemporaryError
from durable_core.storage.adapters import Forwarding
from durable_core.testing import settle
from durable_core.testing.faults import Fault, Gate, LoggedCall, On

from .rules_running import crash
from .waiting import Work
from .world import LEASE, PROMISE, Recorder, World
from .wrappers import Small


async def test_a_parent_taken_over_while_its_children_run_waits_on(world: World) -> None:
    executor = world.executor()
    go = asyncio.Event()

    @executor.task
    async def child() -> int:
        await go.wait()
        return 1

    @executor.parent
    async def parent() -> FanOut[None]:
        return FanOut(None, [child.call()])

    await executor.start()
    handle = await executor.enqueue(parent)
    await settle()
    # Somebody takes hold of it by its id, and dies.
    await crash(world, handle.id, 1)
    await world.advance(1)
    row = await world.row(handle.id)
    assert (row.phase, row.due, row.owner, row.join_at) == (
        Phase.WAITING_FOR_CHILDREN,
        None,
        None,
        0,
    )
    go.set()
    assert await handle.result() == ParentResult(output=None, children=1, failed=0)


async def test_a_row_claimed_again_before_its_release_was_answered_is_not_forgotten(
    world: World,
) -> None:
    executor = world.executor()
    ran: list[int] = []

    @executor.task(retries=RetryPolicy(1, delay=0))
    async def flaky() -> None:
        ran.append(current().attempt)
        if current().attempt == 1:
            raise OSError

    await executor.start()
    await world.idle(executor)
    gate = Gate()
    world.faults(executor).inject(On("apply", Fault.gate(after=gate), nth=1))
    handle = await executor.enqueue(flaky)
    await gate.reached.wait()
    await settle()
    # The release has landed, and the hint of it has led to the next claim.
    assert (await world.row(handle.id)).gen == 2
    assert ran == [1]
    gate.open()
    await world.idle(executor)
    assert world.clock.monotonic() == 0
    assert ran == [1, 2]
    assert await handle.status() is Status.COMPLETED


async def test_a_refusal_on_a_later_page_fails_the_parent_and_stops_its_children(
    world: World,
) -> None:
    tasks = Tasks()
    asleep = tasks.sleeping("asleep", int)

    @tasks.task(delay=600)
    async def child(number: int) -> int:
        return number

    @tasks.parent
    async def parent() -> FanOut[None]:
        calls: list[Any] = [child.call(number) for number in range(30)]
        calls[25] = asleep.call("taken")
        return FanOut(None, calls)

    executor = await world.start(tasks=tasks, wrap=Small)
    await executor.enqueue(asleep, "taken")
    handle = await executor.enqueue(parent)
    await world.idle(executor)
    with pytest.raises(ExecutionFailedError, match=r"child 25 .*'taken'"):
        await handle.result()
    rows = await world.rows(parent_id=handle.id)
    assert rows
    assert {row.status for row in rows} == {Status.CANCELLED}
    row = await world.row(handle.id)
    assert (row.pending, row.due) == (0, None)


async def test_a_suspect_that_finds_no_quiet_moment_runs_all_the_same(world: World) -> None:
    work = Work()
    executor = await world.start(tasks=work.tasks)
    await world.idle(executor)
    busy = await executor.enqueue(work.work, "busy")
    await settle()
    client = await world.start(tasks=work.tasks, client_only=True)
    suspect = await client.enqueue(work.work.with_options(delay=1), "suspect")
    await crash(world, suspect.id, 2)
    await world.advance(PROMISE / 2)
    assert work.log == ["start busy"]
    # What takes hours must not keep it waiting for hours.
    await world.advance(PROMISE * 2)
    assert work.log == ["start busy", "start suspect"]
    work.go.set()
    await world.idle(executor, horizon=600)
    assert await suspect.result() == "suspect"
    assert await busy.result() == "busy"


async def test_a_cancelled_suspect_does_not_run(world: World) -> None:
    work = Work()
    executor = await world.start(tasks=work.tasks)
    await world.idle(executor)
    await executor.enqueue(work.work, "busy")
    await settle()
    suspect = await executor.enqueue(work.work.with_options(delay=1), "suspect")
    await crash(world, suspect.id, 2)
    await world.advance(2)
    waiting = asyncio.ensure_future(suspect.cancel())
    await settle()
    work.go.set()
    await world.idle(executor, horizon=600)
    assert await waiting
    assert "start suspect" not in work.log


async def test_registering_again_is_tried_until_it_works(world: World) -> None:
    work = Work()
    executor = await world.start(tasks=work.tasks)
    await world.idle(executor)
    dead = executor.id
    world.faults(executor).inject(On("heartbeat", Fault.failure(), times=4, where=_registers))
    await world.space.heartbeat(executor=dead or "", ttl=0, now=world.clock.time_us())
    await world.advance(LEASE / 3 + 2)
    handle = await executor.enqueue(work.work, "a")
    await world.advance(1)
    assert work.log == []
    work.go.set()
    await world.advance(5)
    assert await handle.result() == "a"
    assert executor.id != dead


def _registers(call: LoggedCall) -> bool:
    return bool(call.arguments.get("register"))


async def test_an_executor_can_be_shut_down_while_it_has_no_identity(world: World) -> None:
    executor = await world.start()
    world.faults(executor).inject(On("heartbeat", Fault.failure(), where=_registers))
    await world.space.heartbeat(executor=executor.id or "", ttl=0, now=world.clock.time_us())
    await world.advance(LEASE)
    await executor.shutdown()
    assert (await world.space.leases(limit=10)).items == []


class Deaf(Forwarding):
    """A storage whose hints break off."""

    async def listen(self, *, queues: Collection[str]) -> AsyncIterator[Hint]:
        async for hint in super().listen(queues=queues):
            yield hint
            msg = "the connection of the hints was cut"
            raise TemporaryError(msg)


async def test_without_hints_it_polls(world: World, caplog: pytest.LogCaptureFixture) -> None:
    work = Work()
    work.go.set()
    executor = await world.start(tasks=work.tasks, wrap=Deaf)
    client = await world.start(tasks=work.tasks, client_only=True, wrap=Deaf)
    await world.advance(1)
    assert "hints have stopped" in caplog.text
    handle = await client.enqueue(work.work, "a")
    waiting = asyncio.ensure_future(handle.result())
    await world.advance(2)
    assert work.log == ["start a", "end a"]
    await world.advance(2)
    assert await waiting == "a"
    assert executor.running == frozenset()


async def test_events_are_logged_with_their_ids(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "durable.events")
    executor = world.executor(hooks=[LoggingHooks()])

    @executor.task(retries=RetryPolicy(1, delay=1))
    async def flaky() -> None:
        if current().attempt == 1:
            msg = "at first"
            raise OSError(msg)

    await executor.start()
    handle = await executor.enqueue(flaky)
    await world.idle(executor, horizon=10)
    records = [record for record in caplog.records if record.name == "durable.events"]
    events = [(record.__dict__["event"], record.levelname) for record in records]
    assert events == [
        ("enqueued", "INFO"),
        ("started", "INFO"),
        ("retried", "WARNING"),
        ("started", "INFO"),
        ("completed", "INFO"),
    ]
    assert {record.__dict__["execution_id"] for record in records} == {handle.id}
    assert [record.__dict__.get("attempt") for record in records] == [None, 1, 1, 2, 2]

    dead = executor.id
    await world.space.heartbeat(executor=dead or "", ttl=0, now=world.clock.time_us())
    await world.advance(LEASE)
    (lost,) = [record for record in caplog.records if record.__dict__.get("event") == "lease lost"]
    assert lost.__dict__["executor"] == dead


async def test_what_a_dead_executor_held_is_told(world: World) -> None:
    recorder = Recorder()
    work = Work()
    first = await world.start(tasks=work.tasks)
    await first.enqueue_many([work.work.call(str(number)) for number in range(3)])
    await settle()
    await world.kill(first)
    await world.start(hooks=[recorder])
    await world.advance(LEASE * 2)
    assert recorder.of("reaped") == [("reaped", (1, 3))]


async def test_a_signal_that_is_up_already_is_not_waited_for(world: World) -> None:
    executor = world.executor()

    @executor.task
    async def work() -> bool:
        context = current()
        context.shutdown.set()
        await context.shutdown.wait()
        return context.shutdown.wait_blocking(0)

    await executor.start()
    assert await (await executor.enqueue(work)).result()
