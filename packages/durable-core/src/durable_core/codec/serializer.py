"""Values to bytes and back, by their annotation; the default is JSON.

A serializer of your own has one method. Layers, such as compression or encryption, wrap another
serializer and change its bytes only; `compressed` is one, and this is what an encrypting one
looks like::

    class EncryptedCodec:
        def __init__(self, inner: Codec[Any], box: SecretBox) -> None:
            self.inner, self.box = inner, box

        def encode(self, value: Any) -> bytes:
            return self.box.encrypt(self.inner.encode(value))

        def decode(self, data: bytes) -> Any:
            return self.inner.decode(self.box.decrypt(data))

    class EncryptedSerializer:
        def __init__(self, inner: Serializer, box: SecretBox) -> None:
            self.inner, self.box = inner, box

        def codec(self, annotation: object) -> Codec[Any]:
            return EncryptedCodec(self.inner.codec(annotation), self.box)

An input is compared byte by byte first, and by value if that differs, when an id or key is
enqueued again: encryption with a fresh nonce works.
"""

import zlib
from dataclasses import dataclass
from typing import Annotated, Any, Final, Protocol, TypeVar, cast

import pydantic_core
from pydantic import ConfigDict, GetCoreSchemaHandler, TypeAdapter
from pydantic_core import CoreSchema, SchemaValidator

from .shape import hides_floats, is_faithful

T = TypeVar("T")

CONFIG: Final = ConfigDict(
    ser_json_bytes="base64",
    val_json_bytes="base64",
    ser_json_inf_nan="constants",
    revalidate_instances="always",
)
"""How values are checked and written, where a type has no configuration of its own."""


LOOSE_CONFIG: Final = cast("ConfigDict", {**CONFIG, "arbitrary_types_allowed": True})
"""The same for serializers that know more types than pydantic: those are checked by isinstance."""


class Codec(Protocol[T]):
    """Turns values of one type into bytes and back."""

    def encode(self, value: T) -> bytes:
        """Return the value as bytes.

        Raises:
            Exception: Any: the value cannot be written such that `decode` returns an equal one.
        """
        ...

    def decode(self, data: bytes) -> T:
        """Return a value that fits the annotation.

        Raises:
            Exception: Any: the bytes are damaged, or of a value that does not fit.
        """
        ...


class Serializer(Protocol):
    """Makes codecs."""

    def codec(self, annotation: object) -> Codec[Any]:
        """Return the codec for values of an annotation; called once per annotation and task.

        Args:
            annotation: What stands in the user's code, resolved. A task's arguments together are
                a `TypedDict` of its parameters.

        Raises:
            Exception: Any: values of this type cannot be serialised; the message says why.
        """
        ...


_SURELY_SHALLOW: Final = 400
"""Bytes of JSON that cannot be nested deeper than pydantic reads: 200 levels of two brackets."""


class JsonCodec:
    """Values of one type as UTF-8 JSON.

    Attributes:
        validator: Checks Python values against the annotation.
    """

    __slots__ = ("_faithful", "_hides_floats", "_read", "_write", "_write_plain", "validator")

    def __init__(self, annotation: object) -> None:
        adapter = adapter_of(annotation, CONFIG)
        serializer = adapter.serializer
        self.validator = cast("SchemaValidator", adapter.validator)
        self._read = self.validator.validate_json
        self._write = serializer.to_json
        self._write_plain = serializer.to_python
        self._faithful = is_faithful(adapter.core_schema)
        self._hides_floats = hides_floats(adapter.core_schema)

    def encode(self, value: object) -> bytes:
        """Return JSON, by field names rather than aliases.

        What might not be readable is read back at once: values of types with code of their own,
        and text long enough to be nested too deeply or to hold too large a number.

        Raises:
            PydanticSerializationError: The value does not fit the annotation, or has no JSON form.
            ValidationError: The value cannot be read back.
        """
        data = self._write(value, by_alias=False, round_trip=True, warnings="error")
        if self._hides_floats and b"null" in data:
            plain = self._write_plain(
                value, mode="json", by_alias=False, round_trip=True, warnings="error"
            )
            data = pydantic_core.to_json(plain, inf_nan_mode="constants")
        if not self._faithful or len(data) > _SURELY_SHALLOW:
            self.decode(data)
        return data

    def decode(self, data: bytes) -> Any:
        """Return the value, validated.

        Raises:
            ValidationError: The JSON is damaged or does not fit the annotation.
        """
        return self._read(data, by_alias=False, by_name=True)


class JsonSerializer:
    """JSON of typed values, written and validated by pydantic.

    Every type that pydantic knows comes back as it went in: models, dataclasses, `TypedDict`,
    enums, dates, `Path`, `UUID`, `Decimal`, sets, tuples, bytes (as base64), infinity and NaN.
    Not so, by the nature of JSON: a string beside a type that is written as a string
    (``Path | str`` comes back as str); fields of a subclass that its annotated base class lacks;
    `SecretStr`, which is written masked; values without an annotation, which come back as plain
    lists, dicts and strings.
    """

    def __init__(self) -> None:
        self._codecs: dict[tuple[object, str], JsonCodec] = {}

    def codec(self, annotation: object) -> Codec[Any]:
        """Return the codec for an annotation, from the cache if it was asked for before."""
        try:
            # Unions are equal in every order, but the order can decide what a value becomes.
            key = (annotation, repr(annotation))
            found = self._codecs.get(key)
        except TypeError:
            return JsonCodec(annotation)
        if found is None:
            found = self._codecs[key] = JsonCodec(annotation)
        return found


def compressed(serializer: Serializer, threshold: int = 1024) -> Serializer:
    """Return a serializer that deflates what another one writes.

    What was written without it stays readable, so it can be added to a running system; all
    readers need it before the first writer has it.

    Args:
        serializer: Whose bytes are compressed.
        threshold: Bytes; shorter payloads stay as they are.
    """
    return _Compressed(serializer, threshold)


@dataclass(frozen=True, slots=True)
class _Compressed:
    serializer: Serializer
    threshold: int

    def codec(self, annotation: object) -> Codec[Any]:
        return _CompressedCodec(self.serializer.codec(annotation), self.threshold)


_DEFLATED: Final = b"\0z"
_AS_IS: Final = b"\0="


@dataclass(frozen=True, slots=True)
class _CompressedCodec:
    inner: Codec[Any]
    threshold: int

    def encode(self, value: object) -> bytes:
        data = self.inner.encode(value)
        if len(data) >= self.threshold:
            deflated = _DEFLATED + zlib.compress(data)
            if len(deflated) < len(data):
                return deflated
        return _AS_IS + data if data.startswith(b"\0") else data

    def decode(self, data: bytes) -> Any:
        if data.startswith(_DEFLATED):
            data = zlib.decompress(memoryview(data)[len(_DEFLATED) :])
        elif data.startswith(_AS_IS):
            data = data[len(_AS_IS) :]
        return self.inner.decode(data)


def adapter_of(annotation: object, config: ConfigDict) -> TypeAdapter[Any]:
    """Return what checks and writes values, by a configuration for all types without their own.

    Args:
        annotation: Also of a dataclass or `TypedDict`, which pydantic by itself takes without
            configuration only.
        config: For types that have none.
    """
    return TypeAdapter(Annotated[Any, _As(annotation)], config=config)


@dataclass(frozen=True, slots=True)
class _As:
    """Stands for an annotation."""

    annotation: object

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return handler.generate_schema(self.annotation)

    def __hash__(self) -> int:
        return id(self)
