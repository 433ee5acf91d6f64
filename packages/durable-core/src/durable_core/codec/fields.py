"""A function's parameters as the fields of one value, which is what is stored."""

import inspect
import typing
from collections.abc import Callable
from inspect import Parameter, Signature
from types import NoneType
from typing import Annotated, Any, NotRequired, cast

from pydantic import ConfigDict
from typing_extensions import TypedDict

from ..errors import TaskDefinitionError
from .plain import PLAIN


def signature_of(
    function: Callable[..., object], hints: dict[str, Any], task: str, *, skip_context: bool
) -> Signature:
    """Return a function's signature with resolved annotations.

    Args:
        function: Any callable.
        hints: Its resolved annotations.
        task: The task's name, for errors.
        skip_context: Whether to leave the first parameter out.

    Raises:
        TaskDefinitionError: It has no signature, or no first parameter to leave out.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        msg = f"task {task!r}: {function!r} has no signature to read: wrap it in a function"
        raise TaskDefinitionError(msg) from error
    parameters = [
        parameter.replace(annotation=hints.get(name, Parameter.empty))
        for name, parameter in signature.parameters.items()
    ]
    if skip_context:
        if not parameters:
            msg = f"task {task!r}: {function!r} has no first parameter for the context"
            raise TaskDefinitionError(msg)
        del parameters[0]
    result = hints.get("return", Signature.empty)
    return signature.replace(
        parameters=parameters,
        return_annotation=None if result is NoneType else result,
    )


def stored_types(signature: Signature) -> dict[str, Any]:
    """Return the type that is stored for each parameter.

    Surplus positional arguments are a tuple, surplus keyword arguments a dict.
    """
    return {
        name: _stored_type(parameter, parameter.annotation)
        for name, parameter in signature.parameters.items()
    }


def fields_of(task: str, signature: Signature, types: dict[str, Any], config: ConfigDict) -> Any:
    """Return a `TypedDict` with a key for each parameter, optional if it may be left out.

    Args:
        task: The task's name, for the class's name.
        signature: From `signature_of`.
        types: From `stored_types`.
        config: How pydantic checks and writes the values of types without their own.
    """
    surplus = {Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD}
    make = cast("Any", TypedDict)
    fields = make(
        f"Input of {task}",
        {
            name: NotRequired[types[name]]
            if parameter.default is not Parameter.empty or parameter.kind in surplus
            else types[name]
            for name, parameter in signature.parameters.items()
        },
    )
    fields.__pydantic_config__ = cast("ConfigDict", {**config, "extra": "forbid"})
    return fields


def _stored_type(parameter: Parameter, hint: Any) -> Any:
    if typing.get_origin(hint) is typing.Unpack:
        return typing.get_args(hint)[0]
    if getattr(hint, "__unpacked__", False):
        return tuple.__class_getitem__(typing.get_args(hint))
    if hint is Any or hint is object or hint is Parameter.empty or _is_open(hint):
        hint = Annotated[Any, PLAIN]
    if parameter.kind is Parameter.VAR_POSITIONAL:
        return tuple[hint, ...]
    if parameter.kind is Parameter.VAR_KEYWORD:
        return dict[str, hint]
    return hint


def _is_open(hint: object) -> bool:
    """Whether a hint leaves the type to the caller."""
    if isinstance(hint, typing.TypeVar):
        return hint.__bound__ is None and not hint.__constraints__
    return isinstance(hint, typing.ParamSpecArgs | typing.ParamSpecKwargs)
