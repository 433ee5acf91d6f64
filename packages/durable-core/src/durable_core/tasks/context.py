"""What running code can know of its execution."""

import logging
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from ..errors import DurableError
from ..failure import ErrorInfo
from .plan_view import NO_PLAN, PlanView
from .signal import Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One attempt of one execution, as the code that it runs sees it.

    Attributes:
        execution_id: The execution.
        task: Name of its task.
        queue: The queue it was claimed from.
        attempt: 1 for the first; failed attempts and crashes of executors both count.
        previous_error: What the last failed attempt raised, if there was one.
        root_id: The outermost ancestor.
        parent_id: The parent, if any.
        child_index: Place among the parent's children; -1 for a finalizer.
        iteration: 0 for the first iteration of a loop, and outside loops.
        step: Index of the step inside a sequence, number of the operation inside a durable function
            or plan; 0 outside. With the execution's id it makes an idempotency key.
        plan: Earlier results and what was prepared, in a step of a plan; empty outside.
        tags: The execution's tags.
        meta: The bytes given at enqueue, such as trace context.
        cancelled: Raised when the execution is being cancelled, has timed out, or lost its lease.
        shutdown: Raised when the executor shuts down: finish soon, or be handed to another.
    """

    execution_id: str
    task: str
    queue: str = "default"
    attempt: int = 1
    previous_error: ErrorInfo | None = None
    root_id: str = ""
    parent_id: str | None = None
    child_index: int = 0
    iteration: int = 0
    step: int = 0
    plan: PlanView = NO_PLAN
    tags: frozenset[str] = frozenset()
    meta: bytes = b""
    cancelled: Signal = field(default_factory=Signal)
    shutdown: Signal = field(default_factory=Signal)

    @property
    def logger(self) -> "logging.LoggerAdapter[logging.Logger]":
        """A logger whose records carry execution_id, task and attempt."""
        extra: Mapping[str, object] = {
            "execution_id": self.execution_id,
            "task": self.task,
            "attempt": self.attempt,
        }
        return logging.LoggerAdapter(_LOGGER, extra)


_LOGGER: Final = logging.getLogger("durable.task")

CURRENT: Final[ContextVar[Callable[[], Context]]] = ContextVar("durable_context")
"""Makes the running execution's context when it is asked for: most code never asks."""


def current() -> Context:
    """Return the context of the execution that the calling code runs in.

    Raises:
        DurableError: The calling code does not run in an execution.
    """
    try:
        make = CURRENT.get()
    except LookupError:
        msg = "there is no current execution: current() works only inside a running task"
        raise DurableError(msg) from None
    return make()


def detached(task: str) -> Context:
    """Return the context given to a task that is called as a plain function."""
    return Context(execution_id="", task=task)
