"""An execution as people see it: a snapshot with times as datetimes and errors as texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ..engine.waiters import Ended
from ..errors import (
    ExecutionCancelledError,
    ExecutionError,
    ExecutionFailedError,
    ExecutionNotFoundError,
    ExecutionTimedOutError,
    FinalizeFailedError,
    NotRunningError,
)
from ..failure import ErrorInfo
from ..storage import Head, Status
from ..tasks.task import Task

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What is known of an execution at one moment.

    Attributes:
        id: Its id.
        task: Name of its task.
        status: What it is doing, or how it ended.
        queue: Where it is served.
        priority: Larger first.
        key: Its idempotency key.
        wake_key: The key by which a sleeper is woken.
        parent_id: Its parent.
        root_id: Its outermost ancestor; its own id if it has no parent.
        child_index: Place among its siblings; -1 is the finalizer.
        tags: Words to find it by.
        failed_attempts: How many attempts have failed since its last progress.
        crashes: How many executors died holding it since its last progress.
        pending_children: How many children have not ended.
        owner: The executor that holds it.
        cancel_requested: Whether its cancellation was requested.
        error: The last or final error.
        due_at: When it may run (again), or times out; None: at once, or not by time.
        created_at: When it was enqueued.
        started_at: When it was last claimed to be run.
        finished_at: When it ended.
    """

    id: str
    task: str
    status: Status
    queue: str
    priority: int
    key: str | None
    wake_key: str | None
    parent_id: str | None
    root_id: str
    child_index: int
    tags: frozenset[str]
    failed_attempts: int
    crashes: int
    pending_children: int
    owner: str | None
    cancel_requested: bool
    error: ErrorInfo | None
    due_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def finished(self) -> bool:
        """Whether it has ended for good."""
        return self.status.finished


@dataclass(frozen=True, slots=True, kw_only=True)
class Executions:
    """One page of a list of executions.

    Attributes:
        items: In order of creation, or of `child_index` for the children of one parent.
        cursor: Give it back to continue; None at the end.
    """

    items: Sequence[Execution]
    cursor: str | None


def execution_of(head: Head) -> Execution:
    """Return the snapshot of a stored row."""
    return Execution(
        id=head.id,
        task=head.task,
        status=head.status,
        queue=head.queue,
        priority=head.priority,
        key=head.key,
        wake_key=head.wake_key,
        parent_id=head.parent_id,
        root_id=head.root_id,
        child_index=head.child_index,
        tags=head.tags,
        failed_attempts=head.attempt,
        crashes=head.crashes,
        pending_children=head.pending,
        owner=head.owner,
        cancel_requested=head.cancel_requested,
        error=None if head.error is None else ErrorInfo.decode(head.error),
        due_at=_moment(head.due or None),
        created_at=_EPOCH + timedelta(microseconds=head.created_at),
        started_at=_moment(head.started_at),
        finished_at=_moment(head.finished_at),
    )


def _moment(us: int | None) -> datetime | None:
    return None if us is None else _EPOCH + timedelta(microseconds=us)


_ERRORS: dict[Status, type[ExecutionError]] = {
    Status.FAILED: ExecutionFailedError,
    Status.TIMED_OUT: ExecutionTimedOutError,
    Status.CANCELLED: ExecutionCancelledError,
    Status.FINALIZE_FAILED: FinalizeFailedError,
}


def known_end(execution_id: str, task: Task[..., Any], how: Ended) -> Status:
    """Return the finished status, or raise why there is none to tell.

    Raises:
        NotRunningError: The executor was shut down before the execution ended.
        ExecutionNotFoundError: It does not exist, any more or at all.
    """
    if how.unknown:
        raise NotRunningError(
            f"the executor was shut down before execution {execution_id!r} of task {task.name!r} "
            "ended; it goes on in other executors, or when one is started"
        )
    if how.status is None:
        raise ExecutionNotFoundError(
            f"there is no execution {execution_id!r} of task {task.name!r}: it was never "
            "enqueued, or it was purged"
        )
    return how.status


def result_of(execution_id: str, task: Task[..., Any], how: Ended) -> Any:
    """Return the result of a finished execution, or raise what its end means.

    Raises:
        ExecutionError: The subclass that fits the status; it carries the original error.
        NotRunningError: See `known_end`; likewise `ExecutionNotFoundError`.
    """
    status = known_end(execution_id, task, how)
    if status is Status.COMPLETED:
        return task.output_codec.decode(b"null" if how.output is None else how.output)
    info = None if how.error is None else ErrorInfo.decode(how.error)
    raise _ERRORS[status](execution_id, task.name, status.value, info)
