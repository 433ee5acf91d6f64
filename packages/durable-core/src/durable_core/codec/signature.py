"""A function's arguments, bound and checked as the call would, as bytes."""

import inspect
import typing
from collections.abc import Callable, Mapping
from inspect import Parameter, Signature
from typing import Annotated, Any, Final, cast

from pydantic import ConfigDict, ValidationError
from typing_extensions import NotRequired, TypedDict

from ..errors import InputError, TaskDefinitionError
from .hints import resolve, validator_of
from .plain import PLAIN
from .problems import describe
from .serializer import CONFIG, Codec, Serializer

_WRONG_ARGUMENTS: Final = frozenset({"missing", "extra_forbidden"})


class InputCodec:
    """A task's arguments to bytes and back.

    Stored by parameter name, without arguments that were left out: the function's own defaults
    apply when it runs.
    """

    __slots__ = (
        "_check",
        "_codec",
        "_keywords_only",
        "_positional",
        "_signature",
        "_simple",
        "_task",
        "_user_check",
    )

    def __init__(
        self,
        signature: Signature,
        fields: TypedDict,  # type: ignore[valid-type]
        codec: Codec[Any],
        *,
        task: str,
        validate: Callable[..., object] | None,
    ) -> None:
        kinds = [parameter.kind for parameter in signature.parameters.values()]
        self._task = task
        self._signature = signature
        self._codec = codec
        self._check = validator_of(codec, fields).validate_python
        self._user_check = validate
        self._simple = set(kinds) <= {Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY}
        self._positional = tuple(
            name
            for name, parameter in signature.parameters.items()
            if parameter.kind is Parameter.POSITIONAL_OR_KEYWORD
        )
        self._keywords_only = not set(kinds) & {
            Parameter.POSITIONAL_ONLY,
            Parameter.VAR_POSITIONAL,
            Parameter.VAR_KEYWORD,
        }

    @classmethod
    def of(
        cls,
        function: Callable[..., object],
        serializer: Serializer,
        *,
        task: str,
        skip_context: bool = False,
        validate: Callable[..., object] | None = None,
        namespace: Mapping[str, object] | None = None,
    ) -> "InputCodec":
        """Return the codec for a function's arguments.

        Args:
            function: Whose parameters and annotations say what is allowed. A parameter without
                annotation takes what JSON can carry: None, bool, numbers, str, lists, dicts.
            serializer: Makes the bytes.
            task: The task's name, for errors.
            skip_context: Whether the first parameter is the context, which is not stored.
            validate: Called as the function would be, without context, after the annotations
                were checked; it refuses by raising. What it returns is ignored.
            namespace: Names for string annotations, beside the function's globals.

        Raises:
            TaskDefinitionError: An annotation cannot be resolved or its type not serialised; the
                message names the parameter and says what to do.
        """
        if validate is not None and inspect.iscoroutinefunction(validate):
            msg = (
                f"task {task!r}: its validator is async, but it is called while enqueueing, "
                "without waiting: make it a plain function"
            )
            raise TaskDefinitionError(msg)
        signature = _signature(function, task, skip_context=skip_context)
        hints = resolve(function, task, namespace)
        types = {
            name: _stored_type(parameter, hints.get(name, Any))
            for name, parameter in signature.parameters.items()
        }
        signature = signature.replace(
            parameters=[
                parameter.replace(annotation=hints.get(name, Parameter.empty))
                for name, parameter in signature.parameters.items()
            ],
            return_annotation=hints.get("return", Signature.empty),
        )
        fields = _fields(task, signature, types)
        try:
            codec = serializer.codec(fields)
            return cls(signature, fields, codec, task=task, validate=validate)
        except Exception as error:
            raise _undefinable(task, types, serializer, error) from error

    def encode(self, args: tuple[object, ...], kwargs: dict[str, Any]) -> bytes:
        """Bind, check and encode arguments.

        Raises:
            InputError: They do not fit the function or its annotations, its validator refused
                them, or they cannot be serialised.
        """
        if self._simple:
            values: dict[str, Any] = dict(zip(self._positional, args, strict=False))
            if kwargs:
                values.update(kwargs)
            if len(values) != len(args) + len(kwargs):
                raise self._wrong_arguments(args, kwargs)
        else:
            values = self._bind(args, kwargs)
        try:
            checked = self._check(values)
        except ValidationError as error:
            if error.errors()[0]["type"] in _WRONG_ARGUMENTS:
                self._bind(args, kwargs)
            msg = f"task {self._task!r}: {describe(error)}"
            raise InputError(msg) from error
        except Exception as error:
            msg = f"task {self._task!r}: the arguments cannot be checked: {describe(error)}"
            raise InputError(msg) from error
        if self._user_check is not None:
            self._ask_user(checked)
        try:
            return self._codec.encode(checked)
        except Exception as error:
            raise self._unserialisable(checked, error) from error

    def encode_single(self, value: object) -> bytes:
        """Encode a value as the only, positional, argument: the input of a chain's next step.

        Raises:
            InputError: As for `encode`.
        """
        return self.encode((value,), {})

    def decode(self, data: bytes) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return stored arguments, checked again: the function may have changed.

        Returns:
            Positional and keyword arguments to call the function with, after its context.

        Raises:
            InputError: They do not fit the function any more, or its validator refused them.
        """
        try:
            values: dict[str, Any] = self._codec.decode(data)
        except Exception as error:
            msg = (
                f"task {self._task!r}: the stored input does not fit {self._call()}: "
                f"{describe(error)}"
            )
            raise InputError(msg) from error
        if self._user_check is not None:
            self._ask_user(values)
        return self._arguments(values)

    def same(self, first: bytes, second: bytes) -> bool:
        """Whether two inputs mean the same, such as sets written in different orders."""
        if first == second:
            return True
        try:
            return bool(self._codec.decode(first) == self._codec.decode(second))
        except Exception:  # noqa: BLE001 - what cannot be read is not the same
            return False

    def _bind(self, args: tuple[object, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        try:
            return dict(self._signature.bind(*args, **kwargs).arguments)
        except TypeError as error:
            msg = f"task {self._task!r}: {error}; it is {self._call()}"
            raise InputError(msg) from error

    def _wrong_arguments(self, args: tuple[object, ...], kwargs: dict[str, Any]) -> InputError:
        try:
            self._bind(args, kwargs)
        except InputError as error:
            return error
        msg = f"task {self._task!r}: wrong arguments; it is {self._call()}"
        return InputError(msg)

    def _arguments(self, values: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if self._keywords_only:
            return (), values
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        names = self._signature.parameters
        spread = any(
            parameter.kind is Parameter.VAR_POSITIONAL and values.get(name)
            for name, parameter in names.items()
        )
        for name, parameter in names.items():
            if name not in values:
                continue
            value = values[name]
            if parameter.kind is Parameter.VAR_POSITIONAL:
                args.extend(value)
            elif parameter.kind is Parameter.VAR_KEYWORD:
                kwargs.update(value)
            elif parameter.kind is Parameter.POSITIONAL_ONLY or (
                spread and parameter.kind is Parameter.POSITIONAL_OR_KEYWORD
            ):
                args.append(value)
            else:
                kwargs[name] = value
        return tuple(args), kwargs

    def _ask_user(self, values: dict[str, Any]) -> None:
        args, kwargs = self._arguments(values)
        check = cast("Callable[..., object]", self._user_check)
        try:
            check(*args, **kwargs)
        except Exception as error:
            msg = (
                f"task {self._task!r}: its validator refused the arguments: "
                f"{type(error).__name__}: {error}"
            )
            raise InputError(msg) from error

    def _unserialisable(self, values: dict[str, Any], error: Exception) -> InputError:
        for name, value in values.items():
            try:
                self._codec.encode({name: value})
            except Exception as alone:  # noqa: BLE001 - which one it is matters, not how it fails
                if str(alone) == str(error):
                    where = f"argument {name!r}"
                    break
        else:
            where = "the arguments"
        msg = f"task {self._task!r}: {where} cannot be serialised: {describe(error)}"
        return InputError(msg)

    def _call(self) -> str:
        return f"{self._task}{self._signature}"


def _signature(function: Callable[..., object], task: str, *, skip_context: bool) -> Signature:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        msg = f"task {task!r}: {function!r} has no signature to read: wrap it in a function"
        raise TaskDefinitionError(msg) from error
    if not skip_context:
        return signature
    parameters = list(signature.parameters.values())
    if not parameters:
        msg = f"task {task!r}: {function!r} has no first parameter for the context"
        raise TaskDefinitionError(msg)
    return signature.replace(parameters=parameters[1:])


def _stored_type(parameter: Parameter, hint: Any) -> Any:
    if typing.get_origin(hint) is typing.Unpack:
        return typing.get_args(hint)[0]
    if hint is Any or isinstance(hint, typing.ParamSpecArgs | typing.ParamSpecKwargs):
        hint = Annotated[Any, PLAIN]
    if parameter.kind is Parameter.VAR_POSITIONAL:
        return tuple[hint, ...]
    if parameter.kind is Parameter.VAR_KEYWORD:
        return dict[str, hint]
    return hint


def _fields(task: str, signature: Signature, types: dict[str, Any]) -> Any:
    """Return a TypedDict with a key for each parameter."""
    optional = {Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD}
    make = cast("Any", TypedDict)
    fields = make(
        f"Input of {task}",
        {
            name: NotRequired[types[name]]
            if parameter.default is not Parameter.empty or parameter.kind in optional
            else types[name]
            for name, parameter in signature.parameters.items()
        },
    )
    fields.__pydantic_config__ = ConfigDict(**CONFIG, extra="forbid")
    return fields


def _undefinable(
    task: str, types: dict[str, Any], serializer: Serializer, error: Exception
) -> TaskDefinitionError:
    for name, annotation in types.items():
        try:
            serializer.codec(annotation)
        except Exception as alone:  # noqa: BLE001 - reported below
            return TaskDefinitionError(
                f"task {task!r}: parameter {name!r} cannot be stored: "
                f"{describe(alone)}. Annotate it with a type that pydantic knows, or give the "
                "executor a serializer that knows this one"
            )
    return TaskDefinitionError(f"task {task!r}: its arguments cannot be stored: {describe(error)}")
