"""The JSON serializer by itself, and layers around serializers."""

import zlib
from dataclasses import dataclass, field
from typing import Annotated, Any, Union

import pytest
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticSerializationError

from durable_core.codec import Codec, InputCodec, JsonSerializer, Serializer, compressed
from durable_core.errors import InputError


@dataclass
class Base:
    number: int
    known: int = field(init=False, default=3)


class Aliased(BaseModel):
    model_config = ConfigDict(serialize_by_alias=True)

    number: int = Field(validation_alias="numberIn", serialization_alias="numberOut")
    raw: bytes = b""


class TestJson:
    def test_a_value_of_another_type_is_refused(self) -> None:
        codec = JsonSerializer().codec(int)
        with pytest.raises(PydanticSerializationError, match="Expected `int`"):
            codec.encode("x")

    def test_different_names_for_reading_and_writing_do_no_harm(self) -> None:
        codec = JsonSerializer().codec(list[Aliased])
        value = [Aliased.model_validate({"numberIn": 1})]
        assert codec.encode(value) == b'[{"number":1,"raw":""}]'
        assert codec.decode(codec.encode(value)) == value

    def test_fields_that_are_not_arguments_do_no_harm(self) -> None:
        codec = JsonSerializer().codec(Base)
        assert codec.decode(codec.encode(Base(1))) == Base(1)

    def test_bytes_are_base64_for_the_web(self) -> None:
        assert JsonSerializer().codec(bytes).encode(b"\xff\xfe\xfb") == b'"__77"'

    def test_codecs_are_kept_for_each_annotation(self) -> None:
        serializer = JsonSerializer()
        assert serializer.codec(dict[str, Base]) is serializer.codec(dict[str, Base])
        assert serializer.codec(list[int]) is not serializer.codec(list[str])

    def test_the_order_of_a_union_counts(self) -> None:
        first = Annotated[Union[int, float], Field(union_mode="left_to_right")]  # noqa: UP007
        second = Annotated[Union[float, int], Field(union_mode="left_to_right")]  # noqa: UP007
        serializer = JsonSerializer()
        assert repr(serializer.codec(first).decode(b"1")) == "1"
        assert repr(serializer.codec(second).decode(b"1")) == "1.0"
        assert serializer.codec(int | float) is not serializer.codec(float | int)

    def test_annotations_that_cannot_be_hashed_work(self) -> None:
        assert JsonSerializer().codec(Annotated[int, ["metadata"]]).decode(b"1") == 1


class Reversed:
    """A layer: bytes back to front."""

    def __init__(self, inner: Serializer) -> None:
        self.inner = inner

    def codec(self, annotation: object) -> Codec[Any]:
        return ReversedCodec(self.inner.codec(annotation))


class ReversedCodec:
    def __init__(self, inner: Codec[Any]) -> None:
        self.inner = inner

    def encode(self, value: Any) -> bytes:
        return self.inner.encode(value)[::-1]

    def decode(self, data: bytes) -> Any:
        return self.inner.decode(data[::-1])


class Raw:
    """A serializer of bytes as they are."""

    def codec(self, annotation: object) -> Codec[Any]:
        return self

    def encode(self, value: bytes) -> bytes:
        return value

    def decode(self, data: bytes) -> bytes:
        return data


class TestLayers:
    def test_long_payloads_shrink_and_short_ones_stay(self) -> None:
        codec = compressed(JsonSerializer(), threshold=100).codec(str)
        assert codec.encode("a") == b'"a"'
        text = "abc" * 1000
        assert len(codec.encode(text)) < 100
        assert codec.decode(codec.encode(text)) == text

    def test_what_does_not_shrink_stays(self) -> None:
        codec = compressed(JsonSerializer(), threshold=0).codec(int)
        assert codec.encode(12345) == b"12345"

    def test_what_was_written_without_it_stays_readable(self) -> None:
        text = "abc" * 1000
        plain = JsonSerializer().codec(str).encode(text)
        assert compressed(JsonSerializer()).codec(str).decode(plain) == text

    @pytest.mark.parametrize("data", [b"", b"\0", b"\0z", b"\0=", b"\0z" * 500, b"x" * 2000])
    def test_bytes_that_look_like_its_own_come_back(self, data: bytes) -> None:
        codec = compressed(Raw(), threshold=100).codec(bytes)
        assert codec.decode(codec.encode(data)) == data

    def test_damage_is_found(self) -> None:
        codec = compressed(JsonSerializer()).codec(str)
        stored = codec.encode("abc" * 1000)
        with pytest.raises(zlib.error):
            codec.decode(stored[:-1])

    def test_a_damaged_input_is_told_as_such(self) -> None:
        def function(a: str) -> None: ...

        codec = InputCodec.of(function, compressed(JsonSerializer()), task="t")
        stored = codec.encode(("abc" * 1000,), {})
        with pytest.raises(InputError, match=r"stored input does not fit .*: error: Error -5"):
            codec.decode(stored[:-1])

    def test_layers_stack(self) -> None:
        def function(a: int) -> None: ...

        serializer = Reversed(compressed(Reversed(JsonSerializer()), threshold=10))
        codec = InputCodec.of(function, serializer, task="t")
        assert codec.decode(codec.encode((5,), {})) == ((), {"a": 5})
        with pytest.raises(InputError, match="a: Input should be a valid integer"):
            codec.encode(("x",), {})
