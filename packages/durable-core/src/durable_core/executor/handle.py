"""A handle: one execution, typed by its task, from any process that knows its id."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

from ..durations import Duration, to_us
from ..engine.calls import FINALIZER
from ..engine.engine import Engine
from ..engine.ids import new_request
from ..engine.kinds.inputs import child_result
from ..engine.replay.continuing import continued_as
from ..engine.replay.loop import refuse_in_workflow
from ..engine.waiters import Ended, Many, One, ended_of
from ..errors import ExecutionNotFoundError, WaitTimeoutError
from ..storage import CancelOutcome, Query, Record, Status
from ..tasks.results import ChildResult
from ..tasks.task import Task
from .checks import patience
from .execution import Execution, execution_of, known_end, result_of

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Handle(Generic[R_co]):
    """One execution: ask for its status, wait for it, cancel it.

    Light: 100,000 of them may be kept. A durable function that continues as new is followed: what
    is told is told of its present run.

    Attributes:
        id: The execution's id; of a durable function, that of its latest run known here.
        task: Its task.
        created: False if the enqueue found an existing execution with the same id or key.
    """

    __slots__ = ("_its_engine", "_since", "created", "id", "task")

    def __init__(
        self,
        engine: Engine,
        task: "Task[..., R_co]",
        execution_id: str,
        *,
        created: bool,
        since: int | None = None,
    ) -> None:
        self._its_engine = engine
        self._since = since
        self.task = task
        self.id = execution_id
        self.created = created

    async def execution(self) -> Execution:
        """Return a snapshot.

        Raises:
            ExecutionNotFoundError: It does not exist, any more or at all.
        """
        return execution_of(await self._record())

    async def status(self) -> Status:
        """Return its status.

        Raises:
            ExecutionNotFoundError: It does not exist, any more or at all.
        """
        return (await self._record()).status

    async def wait(self, timeout: Duration | None = None) -> Execution:
        """Wait until it has ended, however it ended.

        Args:
            timeout: The caller's patience: seconds or a timedelta; None waits for ever.

        Raises:
            WaitTimeoutError: The patience ended; the execution goes on.
            ExecutionNotFoundError: It does not exist, any more or at all.
        """
        await self._ended(timeout)
        return await self.execution()

    async def result(self, timeout: Duration | None = None) -> R_co:
        """Wait until it has ended and return what it returned.

        Args:
            timeout: The caller's patience: seconds or a timedelta; None waits for ever.

        Raises:
            ExecutionFailedError: It failed; the error carries the original type, message and
                traceback text. Likewise `ExecutionTimedOutError`, `ExecutionCancelledError` and
                `FinalizeFailedError`.
            WaitTimeoutError: The patience ended; the execution goes on.
            ExecutionNotFoundError: It does not exist, any more or at all.
        """
        result: R_co = result_of(self.id, self.task, await self._ended(timeout))
        return result

    async def request_cancel(self) -> CancelOutcome:
        """Ask that it be cancelled, without waiting for a running one to stop.

        Returns:
            ENDED: this request has ended it. MARKED: it is told as soon as possible. FINISHED: it
            had ended before. MISSING: it does not exist.
        """
        while True:
            (answer,) = await self._engine.cancel([self.id], new_request())
            if answer.outcome is not CancelOutcome.FINISHED or not await self._followed():
                return answer.outcome

    async def cancel(self) -> bool:
        """Cancel it, and wait until a running one has stopped; its children follow.

        Running async code gets a CancelledError; a thread is told by `Context.cancelled`. A
        result that is ready before beats the request.

        Returns:
            Whether it ended as cancelled because of this request; False: it had ended before, or
            its result came first.

        Raises:
            ExecutionNotFoundError: It does not exist, any more or at all.
        """
        outcome = await self.request_cancel()
        if outcome is CancelOutcome.MISSING:
            raise ExecutionNotFoundError(_missing(self.task.name, self.id))
        if outcome is not CancelOutcome.MARKED:
            return outcome is CancelOutcome.ENDED
        # The mark goes with the function if it continues as new.
        how = await self._ended(None)
        return how.status is Status.CANCELLED

    async def children(self) -> AsyncIterator[ChildResult[Any]]:
        """Yield the children in order, read page by page; unfinished ones have no result yet.

        The finalizer, which is a child too, is left out.
        """
        query = Query(parent_id=self.id)
        cursor: str | None = None
        storage = self._engine.storage
        while True:
            page = await self._engine.writer.patiently(
                partial(storage.find, query=query, limit=500, cursor=cursor, payload=True)
            )
            for row in page.items:
                if isinstance(row, Record) and row.child_index != FINALIZER:
                    yield child_result(row, self._engine.tasks)
            cursor = page.cursor
            if cursor is None:
                return

    def __repr__(self) -> str:
        """Return task and id."""
        return f"<Handle {self.task.name} {self.id}>"

    @property
    def _engine(self) -> Engine:
        refuse_in_workflow("a handle")
        return self._its_engine

    async def _record(self) -> Record:
        while True:
            (record,) = await self._engine.writer.records([self.id])
            if record is None:
                raise ExecutionNotFoundError(_missing(self.task.name, self.id))
            if (following := continued_as(record.output)) is None:
                return record
            self._follow(following)

    def _follow(self, execution_id: str) -> None:
        """Be about another run of a durable function, which may have ended."""
        self.id = execution_id
        self._since = None

    async def _followed(self) -> bool:
        """Whether another run of a durable function goes on; from now on this is about it."""
        before = self.id
        await self._record()
        return self.id != before

    async def _ended(self, timeout: Duration | None) -> Ended:
        engine = self._engine
        until = None
        if timeout is not None:
            until = engine.clock.monotonic() + to_us(timeout, "timeout") / 1e6
        while True:
            one = One(loop=asyncio.get_running_loop())
            engine.waiters.add(self.id, one, since=self._since)
            timer = None if until is None else engine.clock.call_at(until, one.give_up)
            try:
                how = await one
            finally:
                engine.waiters.remove(self.id, one)
                if timer is not None:
                    timer.cancel()
            if how is None:
                how = await self._ended_after_all(timeout)
            known_end(self.id, self.task, how)
            if (following := continued_as(how.output)) is None:
                return how
            self._follow(following)

    async def _ended_after_all(self, timeout: Duration | None) -> Ended:
        """Look once more when the patience has ended."""
        if (record := await self._record()).finished:
            return ended_of(record)
        raise WaitTimeoutError(
            f"execution {self.id} of task {self.task.name!r} has not ended after "
            f"{to_us(timeout or 0, 'timeout') / 1e6:g} s; it goes on"
        )


def _missing(task: str, execution_id: str) -> str:
    return (
        f"there is no execution {execution_id!r} of task {task!r}: it was never enqueued, or it "
        "was purged"
    )


async def results_of(
    engine: Engine, handles: Sequence[Handle[R]], timeout: Duration | None
) -> list[R]:
    """Wait for many executions; see `DurableExecutor.results`."""
    seconds = patience(timeout)
    until = None if seconds is None else engine.clock.monotonic() + seconds
    while True:
        many = Many(handle.id for handle in handles)
        left = None if until is None else max(0.0, until - engine.clock.monotonic())
        known = [one for handle in handles if (one := handle._since) is not None]  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] # a handle's own
        since = min(known, default=None) if len(known) == len(handles) else None
        if not await many.wait(engine.waiters, engine.clock, left, since=since):
            msg = f"{many.left} of {len(many.ends)} executions have not ended; they go on"
            raise WaitTimeoutError(msg)
        ends = {id_: how or Ended(None) for id_, how in many.ends.items()}
        followed = False
        for handle in set(handles):
            if (following := continued_as(ends[handle.id].output)) is not None:
                handle._follow(following)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] # a handle's own
                followed = True
        if not followed:
            return [result_of(handle.id, handle.task, ends[handle.id]) for handle in handles]
