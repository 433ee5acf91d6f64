"""A function's arguments, bound and checked as the call would, as bytes."""

import inspect
from collections.abc import Callable, Mapping
from inspect import Parameter, Signature
from typing import Any, cast

from pydantic import ValidationError

from ..errors import InputError, TaskDefinitionError
from .fields import fields_of, signature_of, stored_types
from .hints import resolve
from .problems import describe
from .serializer import CONFIG, LOOSE_CONFIG, Codec, JsonCodec, Serializer, adapter_of

_POSITIONAL_OR_KEYWORD = Parameter.POSITIONAL_OR_KEYWORD


class InputCodec:
    """A task's arguments to bytes and back.

    Stored by parameter name, without arguments that were left out: the function's own defaults
    apply when it runs.
    """

    __slots__ = (
        "_check",
        "_codec",
        "_positional",
        "_serializer",
        "_signature",
        "_simple",
        "_task",
        "_types",
        "_user_check",
        "_validates",
    )

    def __init__(
        self,
        signature: Signature,
        types: dict[str, Any],
        serializer: Serializer,
        *,
        task: str,
        validate: Callable[..., object] | None,
    ) -> None:
        codec: Codec[Any] = serializer.codec(fields_of(task, signature, types, CONFIG))
        if isinstance(codec, JsonCodec):
            self._check = codec.validator.validate_python
        else:
            fields = fields_of(task, signature, types, LOOSE_CONFIG)
            self._check = adapter_of(fields, LOOSE_CONFIG).validator.validate_python
        kinds = {parameter.kind for parameter in signature.parameters.values()}
        self._task = task
        self._signature = signature
        self._types = types
        self._serializer = serializer
        self._codec = codec
        self._validates = isinstance(codec, JsonCodec)
        self._user_check = validate
        self._simple = kinds <= {_POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY}
        self._positional = tuple(
            name
            for name, parameter in signature.parameters.items()
            if parameter.kind is _POSITIONAL_OR_KEYWORD
        )

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
        hints = resolve(function, task, namespace)
        signature = signature_of(function, hints, task, skip_context=skip_context)
        types = stored_types(signature)
        try:
            return cls(signature, types, serializer, task=task, validate=validate)
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
            # Missing and surplus arguments are reported as Python would.
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
            if not self._validates:
                self._refit(values)
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

    def _refit(self, values: dict[str, Any]) -> None:
        """Refuse what another serializer read, if the function cannot be called with it."""
        args, kwargs = self._arguments(values)
        self._signature.bind(*args, **kwargs)

    def _arguments(self, values: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if self._simple:
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
            msg = f"task {self._task!r}: its validator refused the arguments: {describe(error)}"
            raise InputError(msg) from error

    def _unserialisable(self, values: dict[str, Any], error: Exception) -> InputError:
        where = "the arguments"
        for name, value in values.items():
            try:
                self._serializer.codec(self._types[name]).encode(value)
            except Exception as alone:  # noqa: BLE001 - told below
                where, error = f"argument {name!r}", alone
                break
        return InputError(f"task {self._task!r}: {where} cannot be serialised: {describe(error)}")

    def _call(self) -> str:
        return f"{self._task}{self._signature}"


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
