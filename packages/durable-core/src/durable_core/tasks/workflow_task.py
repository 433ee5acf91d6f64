"""Durable functions as tasks, and the decorator that makes them."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, Unpack, overload

from ..codec.output import OutputCodec
from ..codec.serializer import Serializer
from ..codec.signature import InputCodec
from ..errors import TaskDefinitionError
from ..options import TaskOptions
from .compositions import LifeOptions
from .define import hints_of, name_of
from .step import Steps
from .task import Task
from .workflow import WorkflowContext

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class WorkflowTask(Task[P, R_co]):
    """A durable function.

    Attributes:
        function: What the user wrote.
        serializer: Makes the bytes of what is recorded.
        steps: Makes steps of functions.
    """

    refused_options = frozenset({"retries", "timeout"})
    told_of_cancel = True

    def __init__(
        self,
        name: str,
        function: Callable[..., Coroutine[Any, Any, Any]],
        *,
        options: TaskOptions,
        input_codec: InputCodec,
        output_codec: OutputCodec,
        serializer: Serializer,
    ) -> None:
        super().__init__(name, options=options, input_codec=input_codec, output_codec=output_codec)
        self.function = function
        self.serializer = serializer
        self.steps = Steps(serializer)
        self.__doc__ = function.__doc__
        self.__name__ = getattr(function, "__name__", name)
        self.__module__ = getattr(function, "__module__", "")
        self.__qualname__ = getattr(function, "__qualname__", name)
        self.__wrapped__ = function


class WorkflowDecorator(Protocol):
    """Makes a durable function, with the options given before."""

    def __call__(
        self, function: Callable[Concatenate[WorkflowContext, P], Coroutine[Any, Any, R]], /
    ) -> WorkflowTask[P, R]:
        """Return the task."""
        ...


class Workflows(ABC):
    """Defines durable functions; a base of `Definitions`."""

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
    def workflow(
        self, function: Callable[Concatenate[WorkflowContext, P], Coroutine[Any, Any, R]], /
    ) -> WorkflowTask[P, R]: ...
    @overload
    def workflow(
        self,
        /,
        *,
        name: str | None = None,
        validate: Callable[..., object] | None = None,
        **options: Unpack[LifeOptions],
    ) -> WorkflowDecorator: ...
    def workflow(
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        name: str | None = None,
        validate: Callable[..., object] | None = None,
        **options: Unpack[LifeOptions],
    ) -> Any:
        """Make an async function durable: what it has done is recorded, and never forgotten.

        Its first parameter is a `WorkflowContext`, through which it does everything that has an
        effect or can differ: steps, child executions, sleeping, waiting for events. The function
        itself is run again whenever it was put to sleep or its process died, and must do the same
        each time; see `WorkflowContext`. Steps have retries, the function has none: an error that
        it does not catch is its end.

        Args:
            function: An async function; without it a decorator is returned.
            name: What stored executions are found by; the function's own name by default.
            validate: Called with the arguments; an exception refuses them.
            **options: deadline, delay, priority, queue, tags: see `task`. A deadline ends it
                without letting it clean up; for that use `asyncio.timeout` inside.

        Raises:
            TaskDefinitionError: The function cannot be durable, or the name is taken.
            OptionError: An option is out of range.
        """

        def decorate(function: Callable[..., Any]) -> WorkflowTask[..., Any]:
            made = workflow_task(
                function,
                name_of(function, name),
                serializer=self.serializer,
                options=TaskOptions.build(**options),
                validate=validate,
            )
            self.register(made)
            return made

        return decorate if function is None else decorate(function)


def workflow_task(
    function: Callable[..., Any],
    name: str,
    *,
    serializer: Serializer,
    options: TaskOptions,
    validate: Callable[..., object] | None = None,
) -> WorkflowTask[..., Any]:
    """Return the durable function of a function.

    Raises:
        TaskDefinitionError: It cannot be one; the message says why.
    """
    if not inspect.iscoroutinefunction(function):
        msg = f"workflow {name!r} must be an async function (async def)"
        raise TaskDefinitionError(msg)
    parameters = list(inspect.signature(function).parameters)
    first = hints_of(function).get(parameters[0], WorkflowContext) if parameters else None
    if first not in (WorkflowContext, Any):
        what = "has no parameters" if first is None else f"begins with {parameters[0]}: {first!r}"
        msg = f"workflow {name!r} {what}: its first parameter is the WorkflowContext"
        raise TaskDefinitionError(msg)
    return WorkflowTask(
        name,
        function,
        options=options,
        input_codec=InputCodec.of(
            function, serializer, task=name, skip_context=True, validate=validate
        ),
        output_codec=OutputCodec.of(function, serializer, name),
        serializer=serializer,
    )
