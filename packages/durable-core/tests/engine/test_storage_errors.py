"""A storage that fails, answers late or not at all: nothing is lost, nothing is done twice."""

import asyncio
from typing import Any

import pytest

from durable_core import (
    DurableExecutor,
    ExecutionFailedError,
    Status,
    StorageError,
)
from durable_core.storage import (
    ClosedError,
    OutcomeUnknownError,
    PermanentError,
    ReadOnlyError,
    TemporaryError,
    TooLargeError,
)
from durable_core.testing import settle
from durable_core.testing.faults import Fault, LoggedCall, On

from .world import LEASE, World, items_of


def echo(executor: DurableExecutor) -> tuple[Any, list[int]]:
    ran: list[int] = []

    @executor.task(name="echo")
    async def work(number: int) -> int:
        ran.append(number)
        return number

    return work, ran


async def test_a_result_is_kept_while_the_storage_is_away(world: World) -> None:
    executor = world.executor()
    work, ran = echo(executor)
    await executor.start()
    await world.idle(executor)
    away = On("apply", Fault.failure())
    world.faults(executor).inject(away)
    handle = await executor.enqueue(work, 1)
    await world.advance(600)
    # Ten minutes without a single write: it is neither failed, nor lost, nor run again.
    assert ran == [1]
    assert await handle.status() is Status.RUNNING
    applies = world.calls(executor, "apply")
    assert 250 < len(applies) < 700
    assert len({id(items_of(call)[0]) for call in applies}) == 1
    world.faults(executor).heal()
    await world.advance(3)
    assert await handle.result() == 1
    assert ran == [1]
    assert (await world.row(handle.id)).attempt == 0


async def test_a_result_is_kept_while_the_storage_is_away_until_the_lease_is_lost(
    world: World,
) -> None:
    executor = world.executor()
    work, ran = echo(executor)
    await executor.start()
    await world.idle(executor)
    # Nothing reaches it from here; from the others everything does.
    world.faults(executor).inject(On(None, Fault.failure()))
    enqueued = asyncio.ensure_future(executor.enqueue(work, 1))
    await world.advance(1)
    assert not enqueued.done()
    enqueued.cancel()
    world.faults(executor).heal()
    await world.advance(2)
    (row,) = await world.rows()
    assert ran == [1]

    world.faults(executor).inject(On(None, Fault.failure()))
    client = await world.start(tasks=executor.tasks, client_only=True)
    second = await client.enqueue(work.with_options(id="second"), 2)
    world.faults(executor).heal()
    world.faults(executor).inject(On("apply", Fault.failure()))
    await world.advance(1)
    assert ran == [1, 2]
    world.faults(executor).inject(On("heartbeat", Fault.failure()))
    other = await world.start(tasks=executor.tasks)
    await world.advance(LEASE * 2)
    assert ran == [1, 2, 2]
    assert await second.result() == 2
    applies = len(world.calls(executor, "apply"))
    world.faults(executor).heal()
    await world.advance(LEASE)
    # The old owner was told that its lease is gone, and gave the write up.
    assert len(world.calls(executor, "apply")) <= applies + 1
    assert executor.running == other.running == frozenset()
    assert row.ended_by != (await world.row("second")).ended_by


@pytest.mark.parametrize("fault", [Fault.lost_answer(), Fault.lost_request(), Fault.twice()])
async def test_an_apply_of_unknown_outcome_is_sent_again_unchanged(
    world: World, fault: Fault
) -> None:
    executor = world.executor()
    work, ran = echo(executor)
    await executor.start()
    await world.idle(executor)
    world.faults(executor).inject(On("apply", fault, times=3))
    handle = await executor.enqueue(work, 1)
    await world.advance(3)
    assert await handle.result() == 1
    assert ran == [1]
    assert len({id(items_of(call)[0]) for call in world.calls(executor, "apply")}) == 1


async def test_a_claim_whose_answer_is_lost_is_adopted(world: World) -> None:
    executor = world.executor()
    work, ran = echo(executor)
    client = await world.start(tasks=executor.tasks, client_only=True)
    await executor.start()
    await world.idle(executor)
    world.faults(executor).inject(On("claim", Fault.lost_answer(), nth=1))
    handles = await client.enqueue_many([work.call(number) for number in range(5)])
    await world.advance(1)
    assert await client.results(handles) == list(range(5))
    assert sorted(ran) == list(range(5))
    rows = [await world.row(handle.id) for handle in handles]
    # Claimed once, by the claim that nobody answered.
    assert {row.gen for row in rows} == {1}


async def test_enqueueing_is_patient_and_then_says_why_not(world: World) -> None:
    executor = world.executor(patience=30)
    work, ran = echo(executor)
    await executor.start()
    await world.idle(executor)
    world.faults(executor).inject(On("insert", Fault.failure()))
    patient = asyncio.ensure_future(executor.enqueue(work, 1))
    await world.advance(29)
    assert not patient.done()
    await world.advance(3)
    with pytest.raises(TemporaryError, match="nothing of this call was written"):
        await patient
    assert await world.count() == 0

    world.faults(executor).heal()
    world.faults(executor).inject(On("insert", Fault.lost_answer()))
    unknown = asyncio.ensure_future(executor.enqueue(work.with_options(id="mine"), 2))
    await world.advance(33)
    with pytest.raises(OutcomeUnknownError):
        await unknown
    # It had landed, held: it runs nevertheless, and the same id finds it.
    world.faults(executor).heal()
    await world.advance(1)
    assert ran == [2]
    again = await executor.enqueue(work.with_options(id="mine"), 2)
    assert not again.created


@pytest.mark.parametrize("method", ["get", "find", "count"])
async def test_reads_are_patient_too(world: World, method: Any) -> None:
    executor = world.executor()
    work, _ = echo(executor)
    await executor.start()
    handle = await executor.enqueue(work, 1)
    await world.idle(executor)
    world.faults(executor).inject(On(method, Fault.failure(), times=3))
    calls: dict[str, Any] = {"get": handle.status, "find": executor.find, "count": executor.count}
    reading = asyncio.ensure_future(calls[method]())
    await settle()
    assert not reading.done()
    await world.advance(2)
    assert await reading


async def test_a_result_that_the_storage_refuses_for_good_fails_the_execution(
    world: World,
) -> None:
    executor = world.executor()
    work, ran = echo(executor)

    def too_large() -> TooLargeError:
        return TooLargeError("at most 10 bytes, says the storage")

    await executor.start()
    await world.idle(executor)
    world.faults(executor).inject(On("apply", Fault.failure(too_large), nth=1))
    handle = await executor.enqueue(work, 1)
    with pytest.raises(ExecutionFailedError, match="at most 10 bytes"):
        await handle.result()
    assert ran == [1]


async def test_a_step_that_the_storage_refuses_for_good_fails_the_execution(
    world: World,
) -> None:
    executor = world.executor()
    work, ran = echo(executor)
    chain: Any = executor.sequence("chain", work, work)
    await executor.start()
    await world.idle(executor)
    world.faults(executor).inject(
        On("apply", Fault.failure(lambda: TooLargeError("at most 10 bytes")), nth=1)
    )
    handle = await executor.enqueue(chain, 1)
    with pytest.raises(ExecutionFailedError, match="at most 10 bytes"):
        await handle.result()
    assert ran == [1]


@pytest.mark.parametrize("error", [ReadOnlyError, PermanentError])
@pytest.mark.parametrize("steps", [1, 3])
async def test_a_result_is_kept_while_the_storage_takes_nothing(
    world: World, error: type[StorageError], steps: int
) -> None:
    executor = world.executor()
    work, ran = echo(executor)
    chain: Any = executor.sequence("chain", *[work] * steps)
    await executor.start()
    await world.idle(executor)
    world.faults(executor).inject(On("apply", Fault.failure(lambda: error("no writes now"))))
    handle = await executor.enqueue(chain, 1)
    await world.advance(300)
    assert await handle.status() is Status.RUNNING
    assert ran == [1]
    world.faults(executor).heal()
    await world.advance(3)
    assert await handle.result() == 1
    assert ran == [1] * steps


async def test_an_error_that_was_not_classified_counts_as_an_unknown_outcome(
    world: World,
) -> None:
    executor = world.executor()
    work, ran = echo(executor)
    await executor.start()
    await world.idle(executor)
    odd = Fault.failure(lambda: ArithmeticError("a driver's own"))
    world.faults(executor).inject(On("insert", odd, times=2), On("apply", odd, times=2))
    enqueueing = asyncio.ensure_future(executor.enqueue(work, 1))
    await world.advance(5)
    assert await (await enqueueing).result() == 1
    assert ran == [1]


async def test_an_item_that_always_upsets_the_storage_fails_alone(world: World) -> None:
    executor = world.executor()
    work, _ = echo(executor)
    await executor.start()
    await world.idle(executor)

    def upset(call: LoggedCall) -> bool:
        return any(item.id == "bad" and item.output is not None for item in items_of(call))

    odd = Fault.failure(lambda: ArithmeticError("a driver's own"))
    world.faults(executor).inject(On("apply", odd, where=upset))
    calls = [work.call(number) for number in range(20)]
    calls[7] = work.with_options(id="bad").call(7)
    handles = await executor.enqueue_many(calls)
    await world.advance(60)
    bad = handles.pop(7)
    assert await executor.results(handles) == [n for n in range(20) if n != 7]
    with pytest.raises(ExecutionFailedError, match="a driver's own"):
        await bad.result()


async def test_a_refused_insert_is_an_error_of_that_insert(world: World) -> None:
    executor = world.executor()
    work, ran = echo(executor)
    await executor.start()
    await world.idle(executor)

    def bad(call: LoggedCall) -> bool:
        return any(getattr(item, "id", "") == "bad" for item in items_of(call))

    world.faults(executor).inject(
        On("insert", Fault.failure(lambda: PermanentError("will not do")), where=bad)
    )
    calls = [work.call(number) for number in range(9)]
    calls.insert(4, work.with_options(id="bad").call(99))
    with pytest.raises(ExceptionGroup, match="1 of 10") as caught:
        await executor.enqueue_many(calls)
    assert [str(error) for error in caught.value.exceptions] == ["will not do"]
    await world.idle(executor)
    assert sorted(ran) == list(range(9))
    assert executor.running == frozenset()


@pytest.mark.parametrize("error", [ReadOnlyError, PermanentError, TemporaryError])
@pytest.mark.parametrize("method", ["reap", "heartbeat", "claim"])
async def test_the_executor_lives_on_whatever_its_duties_raise(
    world: World, method: Any, error: type[StorageError]
) -> None:
    executor = world.executor()
    work, ran = echo(executor)
    await executor.start()
    await world.idle(executor)
    world.faults(executor).inject(On(method, Fault.failure(lambda: error("for a while")), times=2))
    await world.advance(12)
    world.faults(executor).heal()
    await world.advance(LEASE * 4)
    beats = len(world.calls(executor, "heartbeat"))
    await world.advance(LEASE)
    assert len(world.calls(executor, "heartbeat")) == beats + 3
    client = await world.start(tasks=executor.tasks, client_only=True)
    handle = await client.enqueue(work, 1)
    await world.advance(1)
    assert await handle.result() == 1
    assert ran == [1]


async def test_waiting_survives_a_storage_that_cannot_be_read(world: World) -> None:
    executor = world.executor()
    work, _ = echo(executor)
    client = await world.start(tasks=executor.tasks, client_only=True)
    handle = await client.enqueue(work, 1)
    world.faults(client).inject(On("get", Fault.failure(lambda: ReadOnlyError("for a while"))))
    waiting = asyncio.ensure_future(handle.result())
    await world.advance(60)
    await executor.start()
    await world.advance(60)
    assert not waiting.done()
    world.faults(client).heal()
    await world.advance(12)
    assert await waiting == 1


async def test_a_closed_storage_is_said_at_once(world: World) -> None:
    executor = world.executor()
    work, _ = echo(executor)
    await executor.start()
    world.faults(executor).inject(On("insert", Fault.failure(lambda: ClosedError("closed"))))
    with pytest.raises(ClosedError):
        await executor.enqueue(work, 1)
