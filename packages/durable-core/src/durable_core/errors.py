"""Every exception that durable raises on purpose; storage errors are in `durable_core.storage`."""

import textwrap
from typing import Final, Literal

from .failure import ErrorInfo


class DurableError(Exception):
    """Base class of all errors raised by durable and its storages."""


class OptionError(DurableError, ValueError):
    """An option has a value that is not allowed; the message names it and says what is."""


class TaskDefinitionError(DurableError):
    """A task cannot be made from this function or these options; the message says how to."""


class InputError(DurableError):
    """Arguments do not fit their task, or cannot be stored; nothing was written.

    While a task runs: what was stored no longer fits the function.
    """


class OutputError(DurableError):
    """What a task returned does not fit its return annotation, or cannot be stored."""


class PayloadTooLargeError(DurableError):
    """A payload is larger than the executor or its storage allows; nothing was written.

    Attributes:
        task: The task's name.
        what: Which payload: ``"input"``, ``"output"``, …
        size: How large it is, bytes.
        limit: How large it may be, bytes.
        option: What raises the limit.
    """

    def __init__(self, task: str, what: str, size: int, limit: int, option: str) -> None:
        super().__init__(task, what, size, limit, option)
        self.task = task
        self.what = what
        self.size = size
        self.limit = limit
        self.option = option

    def __str__(self) -> str:
        """Say which payload, how large, and what to do."""
        return (
            f"the {self.what} of task {self.task!r} has {self.size:,} bytes, "
            f"at most {self.limit:,} are allowed: raise {self.option}, "
            "or keep the data elsewhere and pass a reference to it"
        )


class UnknownTaskError(DurableError):
    """No task of this name is known to the executor."""


class ExecutionNotFoundError(DurableError):
    """There is no execution with this id: never enqueued, or purged."""


class IdConflictError(DurableError):
    """An execution with this id or key exists for another task or input; nothing was written."""


class NotRunningError(DurableError):
    """The executor was not started, or was shut down."""


class NonRetryableError(DurableError):
    """Raise it, or a subclass, in a task: the execution fails without another attempt."""


class ChildrenFailedError(DurableError):
    """A parent fails because children of it did not complete."""


class WaitTimeoutError(DurableError, TimeoutError):
    """The caller's patience ended; the execution goes on and can be waited for again."""


class ExecutionError(DurableError):
    """An execution ended without a result; raised by whoever asks for the result.

    Attributes:
        execution_id: Its id.
        task: Its task's name.
        status: How it ended, such as ``"failed"``.
        info: The error as it was recorded, if one was.
    """

    def __init__(
        self, execution_id: str, task: str, status: str, info: ErrorInfo | None = None
    ) -> None:
        super().__init__(execution_id, task, status, info)
        self.execution_id = execution_id
        self.task = task
        self.status = status
        self.info = info

    def __str__(self) -> str:
        """Return task, id, status and error, then the recorded traceback, indented."""
        head = f"task {self.task!r}, execution {self.execution_id!r}: {self.status}"
        if self.info is None:
            return head
        head = f"{head}: {self.info}"
        if not self.info.traceback:
            return head
        return f"{head}\n{textwrap.indent(self.info.traceback, '    ')}"


class ExecutionFailedError(ExecutionError):
    """The last allowed attempt raised an exception; see `info`."""


class ExecutionTimedOutError(ExecutionError):
    """The execution ran out of its own time: timeout, deadline, or a sleeper's patience.

    Not a `TimeoutError`: that would make it look like the caller's own timeout, which is
    `WaitTimeoutError`.
    """


class ExecutionCancelledError(ExecutionError):
    """The execution was cancelled.

    Not an `asyncio.CancelledError`: the caller itself was not cancelled.
    """


class FinalizeFailedError(ExecutionError):
    """The children of a parent ended, but its finalizer failed; see `info`."""


EXPECTED: Final = {
    "expected: it ends this step, and the plan goes on": "task",
    "expected: it ends the plan": "workflow",
}
"""Notes by which an expected error is known where only its record is left."""


class ExpectedError(NonRetryableError):
    """Raise it, or a subclass, in a step of a plan: a failure that is part of the plan.

    The step is not tried again. Anywhere else it is a `NonRetryableError`.

    Args:
        message: Why.
        scope: ``"task"`` ends this step and lets the plan go on; ``"workflow"`` ends the plan.
    """

    def __init__(self, message: str, scope: Literal["task", "workflow"] = "task") -> None:
        super().__init__(message)
        if scope not in EXPECTED.values():
            msg = f"the scope of an ExpectedError must be 'task' or 'workflow', not {scope!r}"
            raise OptionError(msg)
        self.scope = scope
        self.add_note(next(note for note, means in EXPECTED.items() if means == scope))


class PlanAbortedError(DurableError):
    """A step has ended its plan, as it was to: by an `ExpectedError` or `Abort` of that scope."""


class WorkflowError(DurableError):
    """A durable function does what it must not: awaits the outside, or calls what only steps may.

    The message says what, and what to do instead.
    """


class RecordMismatchError(WorkflowError):
    """A durable function, run again, does not do what its record says it did.

    The execution ends with it: going on could only give a wrong answer. The message names both.
    """


class RecordTooLargeError(WorkflowError):
    """A durable function has recorded more than is allowed; `continue_as_new` begins a new one."""


class StepFailedError(DurableError):
    """A step of a durable function has failed for good; raised where the step is awaited.

    The original exception is not there, because it is not when the function is run again: what
    is known of it is `info`.

    Attributes:
        step: The step's name.
        info: The error as it was recorded.
        timed_out: Whether the last attempt took too long.
    """

    def __init__(self, step: str, info: ErrorInfo, timed_out: bool = False) -> None:  # noqa: FBT001, FBT002 - pickled by position
        super().__init__(step, info, timed_out)
        self.step = step
        self.info = info
        self.timed_out = timed_out

    def is_a(self, kind: type[BaseException]) -> bool:
        """Whether the original exception was exactly of this class, by its qualified name."""
        return self.info.type == f"{kind.__module__}.{kind.__qualname__}"

    def __str__(self) -> str:
        """Return the step and the error, then the recorded traceback, indented."""
        head = f"step {self.step!r} failed: {self.info}"
        if not self.info.traceback:
            return head
        return f"{head}\n{textwrap.indent(self.info.traceback, '    ')}"


class EventTimeoutError(DurableError, TimeoutError):
    """Nobody sent the event in time; raised by `WorkflowContext.wait_for`."""


class EventConflictError(DurableError):
    """Another execution waits for the event of this key; raised by `WorkflowContext.wait_for`."""
