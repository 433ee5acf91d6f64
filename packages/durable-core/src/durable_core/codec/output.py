"""What a task returned, checked against its return annotation, as bytes."""

import inspect
from collections.abc import Callable
from functools import partial
from types import NoneType
from typing import Any, Never, NoReturn, cast

from ..errors import OutputError, TaskDefinitionError
from .hints import resolve
from .problems import describe
from .serializer import LOOSE_CONFIG, Codec, JsonCodec, Serializer, adapter_of


class OutputCodec:
    """A task's results to bytes and back.

    Attributes:
        annotation: The type of the result.
    """

    __slots__ = ("_codec", "_task", "_validate", "annotation")

    def __init__(self, annotation: object, codec: Codec[Any], task: str) -> None:
        self.annotation = annotation
        self._codec = codec
        self._task = task
        if isinstance(codec, JsonCodec):
            self._validate = codec.validator.validate_python
        else:
            self._validate = adapter_of(annotation, LOOSE_CONFIG).validator.validate_python

    @classmethod
    def of(
        cls, target: Callable[..., object] | object, serializer: Serializer, task: str
    ) -> "OutputCodec":
        """Return the codec for a function's return annotation, or for an annotation.

        A missing annotation is `Any`: what JSON can carry, coming back as plain JSON.

        Args:
            target: A function, or the annotation itself.
            serializer: Makes the bytes.
            task: The task's name, for errors.

        Raises:
            TaskDefinitionError: The annotation cannot be resolved or serialised.
        """
        annotation = target
        if inspect.isroutine(target) or isinstance(target, partial):
            annotation = resolve(cast("Callable[..., object]", target), task).get("return", Any)
        if annotation is Never or annotation is NoReturn or annotation is NoneType:
            annotation = None
        try:
            return cls(annotation, serializer.codec(annotation), task)
        except Exception as error:
            msg = (
                f"task {task!r}: its return type {annotation!r} cannot be serialised: "
                f"{describe(error)}. Return a type that pydantic knows, or give the executor a "
                "serializer that knows this one"
            )
            raise TaskDefinitionError(msg) from error

    def encode(self, value: object) -> bytes:
        """Check and encode a result; values that can be converted are, as for inputs.

        Raises:
            OutputError: It does not fit the annotation, or cannot be serialised.
        """
        try:
            return self._codec.encode(self._validate(value))
        except Exception as error:
            msg = (
                f"task {self._task!r} returned what does not fit its return annotation "
                f"{_shown(self.annotation)}: {describe(error)}"
            )
            raise OutputError(msg) from error

    def decode(self, data: bytes) -> Any:
        """Return a stored result.

        Raises:
            OutputError: The bytes are damaged, or of another type than the annotation's.
        """
        try:
            return self._codec.decode(data)
        except Exception as error:
            msg = (
                f"the stored output of task {self._task!r} does not fit its return annotation "
                f"{_shown(self.annotation)}: {describe(error)}"
            )
            raise OutputError(msg) from error


def _shown(annotation: object) -> str:
    return inspect.formatannotation(annotation)
