"""Enqueueing, waking and cancelling inside a caller's transaction; and its built-in executions."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from durable_core import DurableExecutor, IdConflictError, Status, UnknownTaskError
from durable_core.storage import (
    BoundStorage,
    Capabilities,
    Inserted,
    InsertOutcome,
    MemoryStorage,
    NewExecution,
    Token,
)
from durable_core.storage.adapters import Forwarding
from durable_core.storage.kit import born
from durable_core.testing.faults import Fault, On

from .world import World


class Transaction:
    """A caller's transaction: what is inserted in it becomes visible with its commit."""

    def __init__(self, space: MemoryStorage) -> None:
        self._space = space
        self.items: list[NewExecution] = []

    async def commit(self, now: int) -> None:
        """Make everything visible."""
        await self._space.insert(items=self.items, now=now)


class Joined:
    """The storage as seen inside a transaction."""

    def __init__(self, storage: MemoryStorage, transaction: Transaction) -> None:
        self._storage = storage
        self._transaction = transaction

    async def insert(self, *, items: Sequence[NewExecution], now: int) -> Sequence[Inserted]:
        answers: list[Inserted] = []
        for item in items:
            (there,) = await self._storage.get(ids=[item.id])
            if there is not None:
                record: Any = there
                answers.append(Inserted(outcome=InsertOutcome.EXISTING_ID, record=record))
            else:
                self._transaction.items.append(item)
                answers.append(Inserted(outcome=InsertOutcome.CREATED, record=born(item, now)))
        return answers

    async def checkpoint(
        self, *, execution_id: str, token: Token, name: str, value: bytes, now: int
    ) -> bool:
        raise NotImplementedError


class Bindable(Forwarding):
    """A memory storage that joins transactions of the kind above."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, bind=True)

    def bind(self, tx: object) -> BoundStorage:
        assert isinstance(tx, Transaction)
        assert isinstance(self.inner, MemoryStorage)
        return Joined(self.inner, tx)


async def _started(world: World, *plans: On) -> tuple[DurableExecutor, Any, Any, Transaction]:
    executor = world.executor(*plans, wrap=Bindable)

    @executor.task
    async def echo(number: int) -> int:
        return number

    approval = executor.sleeping("approval", int)
    await executor.start()
    await world.idle(executor)
    return executor, echo, approval, Transaction(world.space)


async def test_what_is_enqueued_runs_after_the_commit(world: World) -> None:
    executor, echo, _, transaction = await _started(world)
    bound = executor.bind(transaction)
    handle = await bound.enqueue(echo, 1)
    many = await bound.enqueue_many([echo.call(number) for number in range(2, 5)])
    assert handle.created
    await world.idle(executor)
    assert await world.count() == 0
    await transaction.commit(world.clock.time_us())
    assert await executor.results([handle, *many]) == [1, 2, 3, 4]
    taken = echo.with_options(id=handle.id)
    with pytest.raises(IdConflictError, match="another input"):
        await bound.enqueue(taken, 99)
    again = await bound.enqueue(taken, 1)
    assert not again.created


async def test_what_is_rolled_back_was_never_there(world: World) -> None:
    executor, echo, approval, transaction = await _started(world)
    bound = executor.bind(transaction)
    sleeper = await executor.enqueue(approval, "k")
    await bound.enqueue(echo, 1)
    await bound.wake(approval, "k", 1)
    await bound.cancel(sleeper.id)
    await world.advance(60)
    assert await world.count() == 1
    assert await sleeper.status() is Status.SLEEPING


@pytest.mark.parametrize("fault", [None, Fault.lost_answer(), Fault.twice()])
async def test_a_wake_up_happens_after_the_commit(world: World, fault: Fault | None) -> None:
    executor, _, approval, transaction = await _started(
        world, *([] if fault is None else [On("wake", fault, times=2)])
    )
    bound = executor.bind(transaction)
    sleeper = await executor.enqueue(approval, "there")
    await bound.wake(approval, "there", 7)
    await bound.wake(approval, "not yet", 8, keep=3600)
    await bound.wake(approval, "never kept", 9)
    await transaction.commit(world.clock.time_us())
    await world.advance(5)
    await world.idle(executor)
    assert await sleeper.result() == 7
    assert await (await executor.enqueue(approval, "not yet")).result() == 8
    for key in ("never kept", "there", "not yet"):
        assert await (await executor.enqueue(approval, key)).status() is Status.SLEEPING
    outcomes = sorted(row.output or b"" for row in await world.rows() if row.task == "$wake")
    assert outcomes == [b'"kept"', b'"nobody"', b'"woken"']


async def test_a_cancellation_happens_after_the_commit(world: World) -> None:
    executor, echo, _, transaction = await _started(world)
    bound = executor.bind(transaction)
    later = await executor.enqueue(echo.with_options(delay=600), 1)
    await bound.cancel(later.id)
    await bound.cancel("nobody")
    await transaction.commit(world.clock.time_us())
    await world.idle(executor)
    assert await later.status() is Status.CANCELLED
    outcomes = sorted(row.output or b"" for row in await world.rows() if row.task == "$cancel")
    assert outcomes == [b'"ended"', b'"missing"']


async def test_built_in_executions_run_anywhere(world: World) -> None:
    executor, _, approval, transaction = await _started(world)
    sleeper = await executor.enqueue(approval, "k")
    await executor.bind(transaction).wake(approval, "k", 7)
    await executor.shutdown()
    await transaction.commit(world.clock.time_us())
    # It serves another queue, and knows no task at all.
    stranger = await world.start(queues=["elsewhere"])
    await world.idle(stranger)
    assert (await world.row(sleeper.id)).output == b"7"


async def test_an_unknown_task_is_refused(world: World) -> None:
    executor, echo, _, transaction = await _started(world)
    other = world.executor(wrap=Bindable)
    await other.start()
    with pytest.raises(UnknownTaskError):
        await other.bind(transaction).enqueue(echo, 1)
    assert executor.running == frozenset()
