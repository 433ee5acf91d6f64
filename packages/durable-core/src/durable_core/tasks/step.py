"""Functions as steps of durable functions: named, their results as bytes."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, cast
from weakref import WeakKeyDictionary

from ..codec.output import OutputCodec
from ..codec.serializer import Serializer
from ..codec.signature import InputCodec
from ..errors import InputError, TaskDefinitionError
from ..options import RetryPolicy, TaskOptions
from .define import MAX_NAME, takes_context
from .plan_view import InPlan
from .task import AsyncTask, FunctionTask, RunIn, SyncTask, Task

_LAMBDA: Final = "<lambda>"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOptions:
    """What a call of a step says beyond its function.

    Attributes:
        name: Instead of the function's own.
        retries: Instead of the task's own; a plain function has none.
        timeout_us: For each attempt, µs.
        in_plan: The plan that it is a step of.
    """

    name: str | None = None
    retries: RetryPolicy | None = None
    timeout_us: int | None = None
    in_plan: InPlan | None = None


@dataclass(frozen=True, slots=True)
class _Shape:
    """What is found out once about a plain function."""

    name: str
    output: OutputCodec
    run_in: RunIn
    wants_context: bool


class Steps:
    """Makes steps of functions and tasks, and remembers what it found out.

    Args:
        serializer: Makes the bytes of results.
    """

    def __init__(self, serializer: Serializer) -> None:
        self._serializer = serializer
        self._shapes: WeakKeyDictionary[Any, _Shape] = WeakKeyDictionary()
        self._input = InputCodec.of(_nothing, serializer, task="step")

    def of(self, function: Callable[..., Any] | Task[..., Any], options: StepOptions) -> Any:
        """Return a task whose function is one step.

        Args:
            function: A plain or async function, or a task that is one function.
            options: What this call says.

        Raises:
            InputError: It cannot be a step; the message says what to do instead.
            TaskDefinitionError: Its result cannot be stored.
        """
        if isinstance(function, FunctionTask):
            return self._of_task(cast("FunctionTask[..., Any]", function), options)
        if isinstance(function, Task):
            msg = f"{function!r} is no function to be run as a step: use ctx.call for it"
            raise InputError(msg)
        if not callable(cast("object", function)):
            msg = f"a step must be a function or a task, not {type(function).__name__}"
            raise InputError(msg)
        shape = self._shape_of(function)
        name = options.name or shape.name
        if name == _LAMBDA:
            msg = f"{function!r} has no name: ctx.with_options(name=...).step(...) gives it one"
            raise InputError(msg)
        return self._made(name, function, shape, _options(TaskOptions(), options))

    def _of_task(
        self, task: FunctionTask[..., Any], options: StepOptions
    ) -> FunctionTask[..., Any]:
        changed = _options(task.options, options)
        if changed is task.options and options.name is None:
            return task
        shape = _Shape(task.name, task.output_codec, task.run_in, task.wants_context)
        return self._made(options.name or task.name, task.function, shape, changed)

    def _made(
        self, name: str, function: Callable[..., Any], shape: _Shape, options: TaskOptions
    ) -> FunctionTask[..., Any]:
        kind: Any = AsyncTask if shape.run_in is RunIn.LOOP else SyncTask
        made: FunctionTask[..., Any] = kind(
            name,
            function,
            options=options,
            input_codec=self._input,
            output_codec=shape.output,
            run_in=shape.run_in,
            wants_context=shape.wants_context,
        )
        return made

    def _shape_of(self, function: Callable[..., Any]) -> _Shape:
        key = getattr(function, "__func__", function)
        try:
            known = self._shapes.get(key)
        except TypeError:
            return self._look_at(function)
        if known is None:
            known = self._look_at(function)
            self._shapes[key] = known
        return known

    def _look_at(self, function: Callable[..., Any]) -> _Shape:
        plain = function
        while isinstance(plain, partial):
            plain = plain.func
        name = getattr(plain, "__name__", None) or type(plain).__name__
        is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004 - an object with an async __call__
        )
        target = plain if inspect.isroutine(plain) else type(plain).__call__
        return _Shape(
            name,
            OutputCodec.of(target, self._serializer, name),
            RunIn.LOOP if is_async else RunIn.THREAD,
            takes_context(function),
        )


def check_step_name(name: str) -> str:
    """Refuse a name that no step can have.

    Raises:
        TaskDefinitionError: It is empty, too long, or contains NUL.
    """
    if not 1 <= len(name) <= MAX_NAME or "\0" in name:
        msg = f"a step's name must have 1 to {MAX_NAME} characters and no NUL: {name[:60]!r}"
        raise TaskDefinitionError(msg)
    return name


def _options(base: TaskOptions, options: StepOptions) -> TaskOptions:
    if options.retries is None and options.timeout_us is None:
        return base
    changed = base
    if options.retries is not None:
        changed = replace(changed, retries=options.retries)
    if options.timeout_us is not None:
        changed = replace(changed, timeout_us=options.timeout_us)
    return changed


def _nothing() -> None:
    """Stand for the arguments of steps, which are not stored."""
