"""What defines tasks: the decorators of `Tasks` and `DurableExecutor`."""

from collections.abc import Callable, Coroutine
from typing import (
    Any,
    Concatenate,
    Literal,
    ParamSpec,
    TypeVar,
    Unpack,
    cast,
    overload,
)

from ..codec.output import OutputCodec
from ..durations import Duration
from ..options import RetryPolicy, TaskOptions
from .compositions import Compositions, LifeOptions
from .context import Context
from .decorators import FinalizedDecorator, ParentDecorator, TaskDecorator
from .define import (
    function_task,
    name_of,
    own_output_annotation,
    parent_result_annotation,
)
from .kinds import OnChildFailure, ParentTask
from .plans import Plans
from .results import FanOut, ParentResult
from .task import AsyncTask, FunctionTask, SyncTask, Task
from .workflow_task import Workflows

P = ParamSpec("P")
R = TypeVar("R")
O = TypeVar("O")  # noqa: E741 - the own output of a parent

WhereToRun = Literal["auto", "thread", "process"]


class Options(LifeOptions, total=False):
    """Options of a task that is run in attempts; see `Definitions.task`."""

    retries: RetryPolicy | int | None
    timeout: Duration | None


class Definitions(Compositions, Workflows, Plans):
    """The decorators and functions that define tasks; `Tasks` and `DurableExecutor` have them."""

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
