"""What parents, loops and their children hand to each other."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeGuard, TypeVar, cast

from ..errors import ExecutionError
from ..failure import ErrorInfo
from ..storage import Status

if TYPE_CHECKING:
    from .task import Call

OutputT = TypeVar("OutputT")
ChildT = TypeVar("ChildT")
ValueT = TypeVar("ValueT")


@dataclass(frozen=True, slots=True)
class FanOut(Generic[OutputT]):
    """What a parent returns: its own output, and the children to run in parallel.

    Attributes:
        output: Kept for the finalizer and the result.
        children: Calls made with `Task.call`; their order is kept.
    """

    output: OutputT
    children: "Sequence[Call[Any]]" = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildResult(Generic[ChildT]):
    """How one child ended.

    Attributes:
        index: Its place in `FanOut.children`.
        id: Its execution.
        task: Name of its task.
        status: A finished status.
        output: What it returned; None unless it completed.
        error: What it raised; None if it completed or was cancelled.
    """

    index: int
    id: str
    task: str
    status: Status
    output: ChildT | None = None
    error: ErrorInfo | None = None

    @property
    def ok(self) -> bool:
        """Whether it completed."""
        return self.status is Status.COMPLETED

    @property
    def value(self) -> ChildT:
        """What it returned.

        Raises:
            ExecutionError: It did not complete.
        """
        if not self.ok:
            raise ExecutionError(self.id, self.task, self.status.value, self.error)
        return cast("ChildT", self.output)


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined(Generic[OutputT, ChildT]):
    """What a finalizer is given when all children have ended.

    Attributes:
        output: The parent's own output.
        children: In the order in which they were listed, however they ended.
    """

    output: OutputT
    children: list[ChildResult[ChildT]] = field(default_factory=list[ChildResult[ChildT]])

    @property
    def outputs(self) -> list[ChildT]:
        """What the children that completed have returned, in order."""
        return [child.value for child in self.children if child.ok]

    @property
    def failed(self) -> list[ChildResult[ChildT]]:
        """The children that did not complete."""
        return [child for child in self.children if not child.ok]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentResult(Generic[OutputT]):
    """The result of a parent without finalizer.

    The children's own results are read with `Handle.children`, page by page, so that no number
    of children makes the parent's result too large to store.

    Attributes:
        output: The parent's own output.
        children: How many children there were.
        failed: How many of them did not complete.
    """

    output: OutputT
    children: int
    failed: int


@dataclass(frozen=True, slots=True)
class Again:
    """Returned by a loop's task: not done yet, run again after the delay."""


@dataclass(frozen=True, slots=True)
class Done(Generic[ValueT]):
    """Returned by a loop's task: done, with this output."""

    output: ValueT


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopResult(Generic[ValueT]):
    """The result of a loop.

    Attributes:
        done: False if the iterations were used up.
        output: What `Done` carried; None if not done.
        iterations: How many were run.
    """

    done: bool
    output: ValueT | None
    iterations: int


@dataclass(frozen=True, slots=True)
class Abort:
    """Returned by a step: the same as raising an `ExpectedError`.

    Attributes:
        reason: Why.
        scope: ``"task"`` ends this step; ``"workflow"`` ends the plan that it belongs to.
    """

    reason: str
    scope: Literal["task", "workflow"] = "task"


def is_fan_out(value: object) -> TypeGuard[FanOut[Any]]:
    """Whether a parent's body returned what it must."""
    return isinstance(value, FanOut)


def is_done(value: object) -> TypeGuard[Done[Any]]:
    """Whether a loop's task is done."""
    return isinstance(value, Done)
