"""Annotations of functions, resolved."""

import inspect
import typing
from collections.abc import Callable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

from ..errors import TaskDefinitionError


def resolve(
    function: Callable[..., object], task: str, namespace: Mapping[str, object] | None = None
) -> dict[str, Any]:
    """Return a function's annotations by parameter and ``return``, strings evaluated.

    Args:
        function: Any callable.
        task: The task's name, for errors.
        namespace: Names beside the function's globals.

    Raises:
        TaskDefinitionError: An annotation cannot be evaluated; the message says which.
    """
    plain = _plain_function(function)
    local = None if namespace is None else dict(namespace)
    try:
        return typing.get_type_hints(plain, localns=local, include_extras=True)
    except Exception as error:
        where = _culprit(plain, local)
        msg = (
            f"task {task!r}: the annotation {where}cannot be evaluated: "
            f"{type(error).__name__}: {error}. Every name in it must be importable at run time: "
            "defined at module level, and not imported under TYPE_CHECKING only"
        )
        raise TaskDefinitionError(msg) from error


def _plain_function(function: Callable[..., object]) -> Callable[..., object]:
    while isinstance(function, partial):
        function = function.func
    if inspect.isroutine(function) or isinstance(function, type):
        return function
    return cast("Callable[..., object]", type(function).__call__)


def _culprit(function: Callable[..., object], local: dict[str, object] | None) -> str:
    namespace: dict[str, Any] = getattr(inspect.unwrap(function), "__globals__", {})
    try:
        annotations = dict(function.__annotations__)
    except NameError:
        return ""
    for name, annotation in annotations.items():
        alone: Any = SimpleNamespace(__annotations__={name: annotation})
        try:
            typing.get_type_hints(alone, namespace, local)
        except Exception:  # noqa: BLE001 - the caller reports the failure itself
            return "of its result " if name == "return" else f"of parameter {name!r} "
    return ""
