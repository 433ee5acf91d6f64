"""Enqueueing, waking and cancelling inside the caller's own transaction."""

from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar

from ..codec.serializer import Serializer
from ..durations import Duration, to_us
from ..engine.engine import Engine
from ..engine.ids import new_id
from ..engine.kinds.builtin import CANCEL, WAKE, cancel_input, wake_input
from ..errors import IdConflictError
from ..storage import BoundStorage, Inserted, InsertOutcome, NewExecution, Wake
from ..tasks.events import Event, check_event_key, event_of
from ..tasks.kinds import SleepingTask
from ..tasks.task import Call, Task, must_be_call, must_be_task
from .events import KEEP, event_wake
from .handle import Handle
from .sleepers import check_wake_key, wake_payload

P = ParamSpec("P")
R = TypeVar("R")


class BoundExecutor:
    """What an executor can do inside a transaction; it takes effect when the caller commits.

    Waking and cancelling are stored as executions of their own, which any executor runs right
    after the commit: so no row of others is locked by the caller's transaction.
    """

    def __init__(
        self,
        engine: Engine,
        storage: BoundStorage,
        known: Callable[[Task[..., Any]], None],
        serializer: Serializer,
    ) -> None:
        self._engine = engine
        self._serializer = serializer
        self._storage = storage
        self._known = known

    async def enqueue(self, task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Store an execution; see `DurableExecutor.enqueue`.

        A conflict leaves the transaction usable.

        Raises:
            InputError: The arguments do not fit.
            IdConflictError: The id or key exists for another task or input.
        """
        must_be_task(task)
        (handle,) = await self.enqueue_many([task.call(*args, **kwargs)])
        return handle

    async def enqueue_many(self, calls: Iterable[Call[R]]) -> list[Handle[R]]:
        """Store many executions; see `DurableExecutor.enqueue_many`.

        Raises:
            IdConflictError: An id or key exists for another task or input.
        """
        calls = list(calls)
        for call in calls:
            must_be_call(call, "what enqueue_many is given")
            self._known(call.task)
        await self._engine.fresh_time()
        now = self._engine.time.now()
        items = [self._engine.rows.new(call, now=now) for call in calls]
        answers = await self._storage.insert(items=items, now=now)
        return [
            handle_of(self._engine, call, item, answer)
            for call, item, answer in zip(calls, items, answers, strict=True)
        ]

    async def wake(
        self, task: SleepingTask[R], key: str, value: R, *, keep: Duration | None = None
    ) -> None:
        """Complete the sleeper of this key after the commit.

        Args:
            task: Whose sleeper.
            key: Its wake key.
            value: Becomes its result.
            keep: How long to keep the value if nobody sleeps there yet; None does not keep it.

        Raises:
            OutputError: The value does not fit the task's output type.
        """
        self._known(task)
        check_wake_key(key)
        item = Wake(
            task=task.name,
            wake_key=key,
            payload=wake_payload(task, value),
            request="later",
        )
        keep_for = None if keep is None else to_us(keep, "keep")
        await self._builtin(WAKE, wake_input(item, keep_for))

    async def send_event(
        self,
        event: Event[R] | str,
        /,
        *,
        key: str,
        payload: R | Any = None,
        keep: Duration | None = KEEP,
    ) -> None:
        """Give an event to the durable function that waits for it, after the commit.

        Args:
            event: An event, or its name.
            key: Which one; see `WorkflowContext.wait_for`.
            payload: What the waiter gets.
            keep: How long to keep it if nobody waits yet, counted from the commit on.

        Raises:
            InputError: The key cannot be stored.
            OutputError: The payload does not fit the event's type.
        """
        check_event_key(key)
        item = event_wake(event_of(event), key, payload, self._serializer, request="later")
        keep_for = None if keep is None else to_us(keep, "keep")
        await self._builtin(WAKE, wake_input(item, keep_for))

    async def cancel(self, id: str) -> None:  # noqa: A002
        """Cancel an execution after the commit."""
        await self._builtin(CANCEL, cancel_input(id))

    async def _builtin(self, task: str, input_: bytes) -> None:
        await self._engine.fresh_time()
        now = self._engine.time.now()
        item = NewExecution(id=new_id(now), task=task, input=input_)
        await self._storage.insert(items=[item], now=now)


def handle_of(
    engine: Engine,
    call: Call[R],
    item: NewExecution,
    answer: Inserted,
    *,
    since: int | None = None,
) -> Handle[R]:
    """Return a handle on what an insert made or found.

    Args:
        engine: Of the executor.
        call: What was enqueued.
        item: What was sent.
        answer: What came back.
        since: What `Waiters.news` was before.

    Raises:
        IdConflictError: It found an execution of another task or with another input.
    """
    record = answer.record
    # An id of the engine's own making exists only if an earlier delivery of this insert landed.
    own_id = call.task.enqueue_options.id is None and answer.outcome is InsertOutcome.EXISTING_ID
    if answer.outcome is InsertOutcome.CREATED or own_id:
        return Handle(engine, call.task, record.id, created=True, since=since)
    same_input = call.task.input_codec.same(record.input, item.input)
    if record.task != item.task or record.wake_key != item.wake_key or not same_input:
        what = "task" if record.task != item.task else "input"
        by_id = answer.outcome is InsertOutcome.EXISTING_ID
        which = f"id {item.id!r}" if by_id else f"key {item.key or item.wake_key!r}"
        raise IdConflictError(
            f"the {which} belongs to execution {record.id!r} of task {record.task!r} with another "
            f"{what}: nothing was stored"
        )
    return Handle(engine, call.task, record.id, created=False)
