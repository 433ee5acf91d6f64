"""What defines tasks made of other tasks, and sleepers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypedDict, TypeVar, Unpack, overload

from ..codec.output import OutputCodec
from ..codec.serializer import Serializer
from ..codec.signature import InputCodec
from ..durations import Duration, to_us
from ..errors import TaskDefinitionError
from ..options import TaskOptions
from .define import check_name, loop_result_annotation
from .kinds import LoopTask, SequenceTask, SleepingTask
from .results import Again, Done
from .task import FunctionTask, Task

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")


class LifeOptions(TypedDict, total=False):
    """Options of an execution's whole life; see `Definitions.task`."""

    deadline: Duration | None
    delay: Duration | None
    priority: int | None
    queue: str | None
    tags: Iterable[str] | None


class Compositions(ABC):
    """Defines sequences, loops and sleepers; a base of `Definitions`."""

    @property
    @abstractmethod
    def serializer(self) -> Serializer:
        """Makes the bytes of arguments and results."""

    @abstractmethod
    def register(self, task: Task[..., Any]) -> None:
        """Make a task known.

        Raises:
            TaskDefinitionError: Another task has this name.
        """

    @overload
    def sequence(
        self, name: str, s1: Task[P, A], /, **options: Unpack[LifeOptions]
    ) -> SequenceTask[P, A]: ...
    @overload
    def sequence(
        self, name: str, s1: Task[P, A], s2: Task[[A], B], /, **options: Unpack[LifeOptions]
    ) -> SequenceTask[P, B]: ...
    @overload
    def sequence(
        self,
        name: str,
        s1: Task[P, A],
        s2: Task[[A], B],
        s3: Task[[B], C],
        /,
        **options: Unpack[LifeOptions],
    ) -> SequenceTask[P, C]: ...
    @overload
    def sequence(
        self,
        name: str,
        s1: Task[P, A],
        s2: Task[[A], B],
        s3: Task[[B], C],
        s4: Task[[C], D],
        /,
        **options: Unpack[LifeOptions],
    ) -> SequenceTask[P, D]: ...
    @overload
    def sequence(
        self,
        name: str,
        s1: Task[P, A],
        s2: Task[[A], B],
        s3: Task[[B], C],
        s4: Task[[C], D],
        s5: Task[[D], E],
        /,
        **options: Unpack[LifeOptions],
    ) -> SequenceTask[P, E]: ...
    @overload
    def sequence(
        self,
        name: str,
        s1: Task[P, Any],
        s2: Task[..., Any],
        s3: Task[..., Any],
        s4: Task[..., Any],
        s5: Task[..., Any],
        s6: Task[..., Any],
        /,
        *steps: Task[..., Any],
        **options: Unpack[LifeOptions],
    ) -> SequenceTask[P, Any]: ...
    def sequence(self, name: str, /, *steps: Any, **options: Unpack[LifeOptions]) -> Any:
        """Run tasks one after the other: the output of one is the only argument of the next.

        One execution goes through all steps, each result recorded once; after a crash it goes on
        at the first step without a result. Each step keeps its own retries and timeout. Parents,
        sleepers and other composed tasks may be steps; they run as children.

        Args:
            name: The sequence's name.
            *steps: At least one task. Types are checked for up to five.
            **options: deadline, delay, priority, queue, tags: see `task`.

        Raises:
            TaskDefinitionError: There is no step, or the name is taken.
            OptionError: An option is out of range.
        """
        if not steps:
            msg = f"sequence {name!r} has no steps"
            raise TaskDefinitionError(msg)
        made: SequenceTask[..., Any] = SequenceTask(
            check_name(name), steps, options=TaskOptions.build(**options)
        )
        self.register(made)
        return made

    def loop(
        self,
        name: str,
        body: Task[P, Again | Done[A]],
        *,
        max_iterations: int,
        delay: Duration | Callable[[int], Duration] = 0,
        first_delay: Duration | None = None,
        deadline: Duration | None = None,
        priority: int | None = None,
        queue: str | None = None,
        tags: Iterable[str] | None = None,
    ) -> LoopTask[P, A]:
        """Run a task again and again until it returns `Done`: polling, for instance.

        One execution iterates, however often: between two iterations it waits in the storage and
        holds no place. Each iteration gets the same arguments, and the body's retries.

        Args:
            name: The loop's name.
            body: Returns `Again()` or `Done(output)`; `current().iteration` counts from 0.
            max_iterations: At least 1; when they are used up the loop completes, not done.
            delay: Between two iterations, or a function of the number of iterations so far.
            first_delay: Before the first iteration.
            deadline: For the whole life, from enqueueing on.
            priority: See `task`.
            queue: See `task`.
            tags: See `task`.

        Raises:
            TaskDefinitionError: `max_iterations` is not at least 1, or the name is taken.
            OptionError: An option is out of range.
        """
        if max_iterations < 1:
            msg = f"loop {name!r}: max_iterations must be at least 1, not {max_iterations}"
            raise TaskDefinitionError(msg)
        function = body.function if isinstance(body, FunctionTask) else None
        made: LoopTask[P, A] = LoopTask(
            check_name(name),
            body,
            options=TaskOptions.build(
                deadline=deadline, delay=first_delay, priority=priority, queue=queue, tags=tags
            ),
            output=OutputCodec.of(loop_result_annotation(function), self.serializer, name),
            max_iterations=max_iterations,
            delay_us=_delays(delay),
        )
        self.register(made)
        return made

    def sleeping(
        self,
        name: str,
        output: type[R],
        *,
        timeout: Duration | None = None,
        priority: int | None = None,
        queue: str | None = None,
        tags: Iterable[str] | None = None,
    ) -> SleepingTask[R]:
        """Define a task that waits to be completed or failed from outside, by key.

        Args:
            name: The task's name; keys are its own.
            output: The type of the value given at the wake-up.
            timeout: How long it sleeps before it ends as timed out; None for ever.
            priority: See `task`; matters to parents only through their time-outs.
            queue: See `task`.
            tags: See `task`.

        Raises:
            TaskDefinitionError: The name is taken.
            OptionError: An option is out of range.
        """
        made: SleepingTask[R] = SleepingTask(
            check_name(name),
            options=TaskOptions.build(timeout=timeout, priority=priority, queue=queue, tags=tags),
            input_codec=InputCodec.of(
                _by_key, self.serializer, task=name, skip_context=False, validate=None
            ),
            output_codec=OutputCodec.of(output, self.serializer, name),
        )
        self.register(made)
        return made


def _by_key(key: str) -> None:
    """Give sleeping tasks their signature."""


def _delays(delay: Duration | Callable[[int], Duration]) -> Callable[[int], int]:
    if callable(delay):
        return lambda iteration: to_us(delay(iteration), "delay")
    fixed = to_us(delay, "delay")
    return lambda _: fixed
