"""Tasks made from functions: names, contexts and codecs found out, mistakes refused."""

import inspect
from collections.abc import Callable
from typing import Any, get_args, get_origin, get_type_hints

from ..codec.output import OutputCodec
from ..codec.serializer import Serializer
from ..codec.signature import InputCodec
from ..errors import TaskDefinitionError
from ..options import TaskOptions
from .context import Context
from .results import Done, FanOut, LoopResult, ParentResult
from .task import AsyncTask, FunctionTask, RunIn, SyncTask

MAX_NAME = 191


def check_name(name: str) -> str:
    """Refuse a name that cannot be stored, or that belongs to the engine.

    Raises:
        TaskDefinitionError: What is wrong with it.
    """
    if not 1 <= len(name) <= MAX_NAME or "\0" in name:
        msg = f"a task's name must have 1 to {MAX_NAME} characters and no NUL: {name[:60]!r}"
        raise TaskDefinitionError(msg)
    if name.startswith("$"):
        msg = f"task names that begin with '$' belong to the engine: {name!r}"
        raise TaskDefinitionError(msg)
    return name


def name_of(function: Callable[..., Any], name: str | None) -> str:
    """Return the given name, or the function's own."""
    if name is not None:
        return check_name(name)
    own = getattr(function, "__name__", None)
    if own is None or own == "<lambda>":
        msg = f"{function!r} has no name: give the task one with name=..."
        raise TaskDefinitionError(msg)
    return check_name(own)


def function_task(
    function: Callable[..., Any],
    *,
    name: str,
    serializer: Serializer,
    options: TaskOptions,
    run_in: str = "auto",
    validate: Callable[..., object] | None = None,
    output: OutputCodec | None = None,
) -> FunctionTask[..., Any]:
    """Return the task of a function.

    Raises:
        TaskDefinitionError: The function cannot be a task; the message says why.
    """
    is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object with an async __call__
    )
    wants_context = takes_context(function)
    where = _where(name, run_in, is_async=is_async, wants_context=wants_context)
    kind: Any = AsyncTask if is_async else SyncTask
    made: FunctionTask[..., Any] = kind(
        name,
        function,
        options=options,
        input_codec=InputCodec.of(
            function, serializer, task=name, skip_context=wants_context, validate=validate
        ),
        output_codec=output or OutputCodec.of(function, serializer, name),
        run_in=where,
        wants_context=wants_context,
    )
    return made


def _where(name: str, run_in: str, *, is_async: bool, wants_context: bool) -> RunIn:
    if run_in == "auto":
        return RunIn.LOOP if is_async else RunIn.THREAD
    if run_in not in {RunIn.THREAD, RunIn.PROCESS}:
        msg = f"task {name!r}: run_in must be 'auto', 'thread' or 'process', not {run_in!r}"
        raise TaskDefinitionError(msg)
    if is_async:
        msg = f"task {name!r} is async, so it runs in the event loop: leave run_in away"
        raise TaskDefinitionError(msg)
    if run_in == RunIn.PROCESS and wants_context:
        msg = (
            f"task {name!r} runs in another process, where there is no Context: remove the "
            "parameter, or run it in a thread"
        )
        raise TaskDefinitionError(msg)
    return RunIn(run_in)


def takes_context(function: Callable[..., Any]) -> bool:
    """Whether the function's first parameter is annotated as a `Context`."""
    try:
        parameters = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return False
    if not parameters:
        return False
    hints = hints_of(function)
    return hints.get(parameters[0]) is Context


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the function's annotations; those that cannot be resolved yet as they are written."""
    target = function
    if not inspect.isroutine(function) and not hasattr(function, "__annotations__"):
        target = type(function).__call__
    try:
        return get_type_hints(target)
    except Exception:  # noqa: BLE001 - a forward reference; the codec reports it if it matters
        own = inspect.get_annotations(target)
        return {name: Context if hint == "Context" else hint for name, hint in own.items()}


def own_output_annotation(body: FunctionTask[..., Any]) -> Any:
    """Return the O of a parent body's return annotation `FanOut[O]`."""
    returned = hints_of(body.function).get("return", Any)
    if get_origin(returned) is FanOut:
        return get_args(returned)[0]
    return Any


def parent_result_annotation(own: Any) -> Any:
    """Return `ParentResult` of the own output's annotation."""
    generic: Any = ParentResult
    return generic[own]


def loop_result_annotation(body: Callable[..., Any] | None) -> Any:
    """Return `LoopResult` of what the body's `Done` carries."""
    returned = Any if body is None else hints_of(body).get("return", Any)
    for part in (returned, *get_args(returned)):
        if get_origin(part) is Done:
            generic: Any = LoopResult
            return generic[get_args(part)[0]]
    return LoopResult[Any]
