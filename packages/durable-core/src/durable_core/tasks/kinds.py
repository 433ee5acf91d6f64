"""Tasks that are made of other tasks, or that wait for the world."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, Generic, ParamSpec, TypeVar

from ..codec.output import OutputCodec
from ..options import TaskOptions
from .results import Joined, LoopResult
from .task import Call, FunctionTask, Task

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
ValueT = TypeVar("ValueT")


class OnChildFailure(StrEnum):
    """What a parent without finalizer becomes when children did not complete."""

    COMPLETE = "complete"
    """It completes and says how many failed."""
    FAIL = "fail"
    """It fails with a ChildrenFailedError."""


class ParentTask(Task[P, R_co]):
    """A function that returns `FanOut`, and what becomes of its children's results.

    Attributes:
        body: The function that returns `FanOut`.
        own_output: Codec of `FanOut.output`.
        finalize: A function of `Joined`, a task of `Joined`, or None.
        on_child_failure: Without finalizer only.
    """

    def __init__(
        self,
        body: FunctionTask[P, Any],
        *,
        output: OutputCodec,
        own_output: OutputCodec,
        finalize: "FunctionTask[[Joined[Any, Any]], R_co] | Task[[Joined[Any, Any]], R_co] | None",
        finalize_as_task: bool,
        on_child_failure: OnChildFailure,
    ) -> None:
        super().__init__(
            body.name, options=body.options, input_codec=body.input_codec, output_codec=output
        )
        self.body = body
        self.own_output = own_output
        self.finalize = finalize
        self.finalize_as_task = finalize_as_task
        self.on_child_failure = on_child_failure
        self.__doc__ = body.__doc__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Call the plain function, which returns `FanOut`: no child is run."""
        return self.body.invoke(args, kwargs)


class SequenceTask(Task[P, R_co]):
    """Tasks run one after the other; the output of one is the only argument of the next.

    Attributes:
        steps: The tasks, in order.
    """

    refused_options = frozenset({"retries", "timeout"})

    def __init__(self, name: str, steps: Sequence[Task[..., Any]], *, options: TaskOptions) -> None:
        super().__init__(
            name,
            options=options,
            input_codec=steps[0].input_codec,
            output_codec=steps[-1].output_codec,
        )
        self.steps = tuple(steps)


class LoopTask(Task[P, LoopResult[ValueT]], Generic[P, ValueT]):
    """A task run again and again until it returns `Done`.

    Attributes:
        body: The task of one iteration.
        max_iterations: At most so many.
        delay_us: Returns the pause before an iteration, by its number (1 is the second), µs.
    """

    refused_options = frozenset({"retries", "timeout"})

    def __init__(
        self,
        name: str,
        body: Task[P, Any],
        *,
        options: TaskOptions,
        output: OutputCodec,
        max_iterations: int,
        delay_us: Callable[[int], int],
    ) -> None:
        super().__init__(name, options=options, input_codec=body.input_codec, output_codec=output)
        self.body = body
        self.max_iterations = max_iterations
        self.delay_us = delay_us


class SleepingTask(Task[[str], R_co]):
    """Runs nothing: it ends when somebody wakes it by its key, or when its time is over.

    Its timeout is how long it sleeps at most.
    """

    refused_options = frozenset({"retries", "delay", "start_at"})

    def call(self, key: str) -> Call[R_co]:
        """Return a call of a sleeper with this wake key.

        Args:
            key: 1 to 191 characters, unique among this task's unfinished sleepers; free again
                when the sleeper has ended. One key per use is safest: a late duplicate of a
                wake-up can then not meet the next sleeper.
        """
        return Call(self, self.input_codec.encode((key,), {}), wake_key=key)
