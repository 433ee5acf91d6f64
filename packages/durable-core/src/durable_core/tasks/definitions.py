"""What defines tasks: the decorators of `Tasks` and `DurableExecutor`."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable
from typing import (
    Any,
    Concatenate,
    Literal,
    ParamSpec,
    TypedDict,
    TypeVar,
    Unpack,
    cast,
    overload,
)

from ..codec.output import OutputCodec
from ..codec.serializer import Serializer
from ..codec.signature import InputCodec
from ..durations import Duration, to_us
from ..errors import TaskDefinitionError
from ..options import RetryPolicy, TaskOptions
from .context import Context
from .decorators import FinalizedDecorator, ParentDecorator, TaskDecorator
from .define import (
    check_name,
    function_task,
    loop_result_annotation,
    name_of,
    own_output_annotation,
    parent_result_annotation,
)
from .kinds import LoopTask, OnChildFailure, ParentTask, SequenceTask, SleepingTask
from .results import Again, Done, FanOut, ParentResult
from .task import AsyncTask, FunctionTask, SyncTask, Task

P = ParamSpec("P")
R = TypeVar("R")
O = TypeVar("O")  # noqa: E741 - the own output of a parent
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")

WhereToRun = Literal["auto", "thread", "process"]


class LifeOptions(TypedDict, total=False):
    """Options of an execution's whole life; see `Definitions.task`."""

    deadline: Duration | None
    delay: Duration | None
    priority: int | None
    queue: str | None
    tags: Iterable[str] | None


class Options(LifeOptions, total=False):
    """Options of a task that is run in attempts; see `Definitions.task`."""

    retries: RetryPolicy | int | None
    timeout: Duration | None


class Definitions(ABC):
    """The decorators and functions that define tasks; `Tasks` and `DurableExecutor` have them."""

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
    def task(  # type: ignore[overload-overlap] # pyright: ignore[reportOverlappingOverload] # async is more special
        self, function: Callable[Concatenate[Context, P], Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def task(  # type: ignore[overload-overlap] # likewise
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def task(self, function: Callable[Concatenate[Context, P], R], /) -> SyncTask[P, R]: ...
    @overload
    def task(self, function: Callable[P, R], /) -> SyncTask[P, R]: ...
    @overload
    def task(
        self,
        /,
        *,
        name: str | None = None,
        run_in: WhereToRun = "auto",
        validate: Callable[..., object] | None = None,
        **options: Unpack[Options],
    ) -> TaskDecorator: ...
    def task(
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        name: str | None = None,
        run_in: WhereToRun = "auto",
        validate: Callable[..., object] | None = None,
        **options: Unpack[Options],
    ) -> Any:
        """Make a function a task.

        Async functions run in the event loop, plain ones in worker threads. A first parameter
        annotated as `Context` is given by the executor; `current()` works everywhere. Arguments
        and result are checked against the annotations, at enqueue and again when it runs.

        Args:
            function: What to run; without it a decorator is returned.
            name: What stored executions are found by; the function's own name by default.
            retries: How many attempts after the first, or a `RetryPolicy`; 0 by default.
            timeout: For each attempt: seconds or a timedelta.
            deadline: For the whole life, from enqueueing on.
            delay: Before the first run.
            priority: -1000 to 1000; larger first.
            queue: Executors that serve this queue run it; ``"default"`` by default.
            tags: At most 16 words to find executions by.
            run_in: ``"process"`` for functions that keep a core busy; they must be importable.
            validate: Called with the arguments; an exception refuses them.
            **options: The options above.

        Raises:
            TaskDefinitionError: The function cannot be a task, or the name is taken.
            OptionError: An option is out of range.
        """

        def decorate(function: Callable[..., Any]) -> FunctionTask[..., Any]:
            made = function_task(
                function,
                name=name_of(function, name),
                serializer=self.serializer,
                options=TaskOptions.build(**options),
                run_in=run_in,
                validate=validate,
            )
            self.register(made)
            return made

        return decorate if function is None else decorate(function)

    @overload
    def parent(
        self, function: Callable[Concatenate[Context, P], Coroutine[Any, Any, FanOut[O]]], /
    ) -> ParentTask[P, ParentResult[O]]: ...
    @overload
    def parent(
        self, function: Callable[P, Coroutine[Any, Any, FanOut[O]]], /
    ) -> ParentTask[P, ParentResult[O]]: ...
    @overload
    def parent(
        self, function: Callable[Concatenate[Context, P], FanOut[O]], /
    ) -> ParentTask[P, ParentResult[O]]: ...
    @overload
    def parent(self, function: Callable[P, FanOut[O]], /) -> ParentTask[P, ParentResult[O]]: ...
    @overload
    def parent(
        self,
        /,
        *,
        name: str | None = None,
        finalize: None = None,
        on_child_failure: Literal["complete", "fail"] = "complete",
        validate: Callable[..., object] | None = None,
        **options: Unpack[Options],
    ) -> ParentDecorator: ...
    @overload
    def parent(
        self,
        /,
        *,
        name: str | None = None,
        finalize: Task[..., R],
        validate: Callable[..., object] | None = None,
        **options: Unpack[Options],
    ) -> FinalizedDecorator[R]: ...
    @overload
    def parent(
        self,
        /,
        *,
        name: str | None = None,
        finalize: Callable[[Any], Coroutine[Any, Any, R]],
        validate: Callable[..., object] | None = None,
        **options: Unpack[Options],
    ) -> FinalizedDecorator[R]: ...
    @overload
    def parent(
        self,
        /,
        *,
        name: str | None = None,
        finalize: Callable[[Any], R],
        validate: Callable[..., object] | None = None,
        **options: Unpack[Options],
    ) -> FinalizedDecorator[R]: ...
    def parent(
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        name: str | None = None,
        finalize: Task[..., Any] | Callable[..., Any] | None = None,
        on_child_failure: Literal["complete", "fail"] = "complete",
        validate: Callable[..., object] | None = None,
        **options: Unpack[Options],
    ) -> Any:
        """Make a function that returns `FanOut` a parent task.

        Its children run in parallel once it has returned; when all have ended, however they
        ended, the finalizer gets a `Joined` and its result is the parent's. A finalizer that is a
        function runs as part of the parent and under the parent's retries and timeout; one that
        is a task, or a parent task itself, runs as an execution of its own.

        Args:
            function: What to run; without it a decorator is returned.
            name: See `task`.
            finalize: A function of `Joined`, or a task of `Joined`. None: the result is a
                `ParentResult`.
            on_child_failure: Without finalizer: ``"complete"`` completes and says how many
                children failed; ``"fail"`` fails.
            validate: See `task`.
            **options: See `task`.

        Raises:
            TaskDefinitionError: The function cannot be a task, or the name is taken.
            OptionError: An option is out of range.
        """

        def decorate(function: Callable[..., Any]) -> ParentTask[..., Any]:
            made = self._parent(
                function,
                name_of(function, name),
                finalize=finalize,
                on_child_failure=on_child_failure,
                validate=validate,
                options=options,
            )
            self.register(made)
            return made

        return decorate if function is None else decorate(function)

    def _parent(
        self,
        function: Callable[..., Any],
        name: str,
        *,
        finalize: Task[..., Any] | Callable[..., Any] | None,
        on_child_failure: str,
        validate: Callable[..., object] | None,
        options: Options,
    ) -> ParentTask[..., Any]:
        checked = TaskOptions.build(**options)
        raw = OutputCodec.of(Any, self.serializer, name)
        body = function_task(
            function,
            name=name,
            serializer=self.serializer,
            options=checked,
            validate=validate,
            output=raw,
        )
        own = own_output_annotation(body)
        finalizer = finalize
        if finalize is None:
            output = OutputCodec.of(parent_result_annotation(own), self.serializer, name)
        elif isinstance(finalize, Task):
            output = finalize.output_codec
        else:
            finalizer = function_task(
                finalize, name=name, serializer=self.serializer, options=checked
            )
            output = finalizer.output_codec
        return ParentTask(
            body,
            output=output,
            own_output=OutputCodec.of(own, self.serializer, name),
            finalize=cast("Task[..., Any] | None", finalizer),
            finalize_as_task=isinstance(finalize, Task),
            on_child_failure=OnChildFailure(on_child_failure),
        )

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
        self, name: str, s1: Task[P, Any], /, *steps: Task[..., Any], **options: Unpack[LifeOptions]
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
            options=TaskOptions.build(priority=priority, queue=queue, tags=tags),
            input_codec=InputCodec.of(
                _by_key, self.serializer, task=name, skip_context=False, validate=None
            ),
            output_codec=OutputCodec.of(output, self.serializer, name),
            timeout_us=None if timeout is None else to_us(timeout, "timeout"),
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
