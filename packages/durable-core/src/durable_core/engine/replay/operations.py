"""What a durable function has asked for and not been answered yet."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import Context
from dataclasses import dataclass, field, replace
from typing import Any

from ...codec.output import OutputCodec
from ...errors import (
    EventConflictError,
    EventTimeoutError,
    ExecutionCancelledError,
    ExecutionError,
    ExecutionFailedError,
    ExecutionTimedOutError,
    StepFailedError,
    WorkflowError,
)
from ...failure import ErrorInfo
from ...storage import NewExecution, Status
from ...tasks.plan_view import NO_PLAN, InPlan, PlanView
from ...tasks.task import FunctionTask
from .record import Entry, How, Kind, Open


class Pending(asyncio.Future[Any]):
    """What the function awaits.

    Attributes:
        operation: What it is the future of.
    """

    operation: "Operation"


@dataclass(slots=True, kw_only=True, eq=False)
class Operation:
    """One operation that the function waits for, or could.

    Attributes:
        position: 0 is the first that the function asked for.
        kind: What kind.
        name: What the record is matched by, with kind and position.
        future: What the function awaits.
    """

    position: int
    kind: Kind
    name: str
    future: Pending

    def resume(self, known: Open) -> None:
        """Take over what was remembered of it."""

    def remembered(self) -> Open:
        """Return what has to be remembered of it."""
        return Open(position=self.position, kind=self.kind, name=self.name)

    @property
    def worth_remembering(self) -> bool:
        """Whether that is more than that it is pending."""
        return False

    def value(self, how: How, payload: bytes) -> Any:
        """Return what the function gets.

        Raises:
            Exception: What the function gets instead.
        """
        return None


@dataclass(slots=True, kw_only=True, eq=False)
class StepOperation(Operation):
    """A function to be run.

    Attributes:
        task: The function, as a task.
        args: Its arguments.
        kwargs: Its arguments.
        context: The context variables of where it was asked for.
        begin: Opens its transaction, for one that records itself.
        in_plan: The plan that it is a step of.
        view: What it sees of that plan.
        tries: Failed attempts.
        error: The last one's error.
        due: When it is tried again, µs; None at once.
    """

    task: FunctionTask[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    context: Context
    begin: Callable[[], AbstractAsyncContextManager[Any]] | None = None
    in_plan: InPlan | None = None
    view: PlanView = NO_PLAN
    tries: int = 0
    error: ErrorInfo | None = None
    due: int | None = None

    def resume(self, known: Open) -> None:
        """See `Operation`."""
        self.tries = known.tries
        self.due = known.due
        if known.error:
            kind, _, message = known.error.partition(": ")
            self.error = ErrorInfo(kind, message, retryable=True)

    def remembered(self) -> Open:
        """See `Operation`."""
        error = self.error
        return Open(
            position=self.position,
            kind=self.kind,
            name=self.name,
            due=self.due,
            tries=self.tries,
            error="" if error is None else f"{error.type}: {error.message[:500]}",
        )

    @property
    def worth_remembering(self) -> bool:
        """See `Operation`."""
        return self.tries > 0

    def value(self, how: How, payload: bytes) -> Any:
        """See `Operation`."""
        if how is How.OK:
            return self.task.output_codec.decode(payload)
        info = ErrorInfo.decode(payload)
        raise StepFailedError(self.name, info, timed_out=how is How.TIMED_OUT)


@dataclass(slots=True, kw_only=True, eq=False)
class TimerOperation(Operation):
    """A time to wait for.

    Attributes:
        due: When, µs: follows from the record, so it need not be remembered.
    """

    due: int


_ERRORS: dict[How, tuple[type[ExecutionError], Status]] = {
    How.FAILED: (ExecutionFailedError, Status.FAILED),
    How.TIMED_OUT: (ExecutionTimedOutError, Status.TIMED_OUT),
    How.CANCELLED: (ExecutionCancelledError, Status.CANCELLED),
}


@dataclass(slots=True, kw_only=True, eq=False)
class ChildOperation(Operation):
    """A child execution, or a sleeper that stands for a wait.

    Attributes:
        row: What to insert.
        codec: Decodes its result.
        inserted: Whether it is there.
        together: How many children the function waits for at once, as far as it said so.
    """

    row: NewExecution
    codec: OutputCodec
    inserted: bool = False
    together: frozenset[int] = field(default_factory=frozenset[int])

    def resume(self, known: Open) -> None:
        """See `Operation`."""
        self.inserted = known.child

    def remembered(self) -> Open:
        """See `Operation`."""
        return Open(position=self.position, kind=self.kind, name=self.name, child=self.inserted)

    @property
    def worth_remembering(self) -> bool:
        """See `Operation`."""
        return self.inserted

    def value(self, how: How, payload: bytes) -> Any:
        """See `Operation`."""
        row = self.row
        if how is How.OK:
            return self.codec.decode(payload or b"null")
        if how is How.CONFLICT:
            if self.kind is Kind.EVENT:
                msg = (
                    f"another execution waits for event {self.name!r} with key {row.wake_key!r}: "
                    "give each waiter a key of its own"
                )
                raise EventConflictError(msg)
            msg = f"child {row.id} ({row.task}) cannot be created: its id or key is taken"
            raise WorkflowError(msg)
        if how is How.TIMED_OUT and self.kind is Kind.EVENT:
            msg = f"nobody sent event {self.name!r} with key {row.wake_key!r} in time"
            raise EventTimeoutError(msg)
        error, status = _ERRORS[how]
        raise error(row.id, row.task, status.value, ErrorInfo.decode(payload) if payload else None)


def entry_of(operation: Operation, how: How, at: int, payload: bytes = b"") -> Entry:
    """Return the entry that says how an operation ended."""
    return Entry(
        position=operation.position,
        kind=operation.kind,
        name=operation.name,
        how=how,
        at=at,
        payload=payload,
    )


def remembered(
    operations: Iterable[Operation], new: Sequence[ChildOperation], *, all_: bool
) -> list[Open]:
    """Return what has to be remembered of operations that have not ended.

    Args:
        operations: What the function waits for.
        new: Children that are inserted in the same commit.
        all_: Also that operations are pending of which nothing else is known.
    """
    left = [one.remembered() for one in operations if all_ or one.worth_remembering]
    created = {child.position for child in new}
    for one in left:
        one.child = one.child or one.position in created
    created -= {one.position for one in left}
    left += [replace(one.remembered(), child=True) for one in new if one.position in created]
    return left
