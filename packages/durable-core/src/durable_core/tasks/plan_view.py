"""What the steps of a plan see of it, and others of its steps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from ..failure import ErrorInfo


class StepState(StrEnum):
    """What has become of a step of a plan."""

    PENDING = "pending"
    """It has no result yet."""
    COMPLETED = "completed"
    ABORTED = "aborted"
    """It ended with an `ExpectedError`, or returned `Abort`."""
    FAILED = "failed"
    """It failed for good, and its plan with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """A step of a plan, as it stands.

    Attributes:
        name: The step's name.
        task: Name of its task.
        state: What has become of it.
        output: What it returned; None unless it completed.
        error: Why it was aborted, or failed.
    """

    name: str
    task: str
    state: StepState
    output: Any = None
    error: ErrorInfo | None = None


@dataclass(frozen=True, slots=True)
class PlanView:
    """What a step's code sees of its plan: `Context.plan`.

    Attributes:
        results: Those of all earlier steps, by name, in order.
        prepared: What the task's `prepare` has returned in this process; None without one.
    """

    results: Mapping[str, StepResult]
    prepared: Any = None

    def output(self, name: str) -> Any:
        """Return what an earlier step returned.

        Raises:
            KeyError: There is no earlier step of this name, or it was aborted.
        """
        result = self.results.get(name)
        if result is None or result.state is not StepState.COMPLETED:
            what = "is none" if result is None else f"was {result.state.value}"
            msg = f"no result of step {name!r}: among the earlier steps it {what}"
            raise KeyError(msg)
        return result.output


NO_PLAN: Final = PlanView({})
"""What code sees that is no step of a plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InPlan:
    """What makes a step a step of a plan.

    Attributes:
        view: Its view of the plan.
        prepare: A task that is called before it, unless that was done in this process; or None.
        prepared: Returns whether it was, and what it gave.
        remember: Keeps what it gave.
    """

    view: PlanView
    prepare: Any
    prepared: Callable[[], tuple[bool, Any]]
    remember: Callable[[Any], None]
