"""What a task returns either comes back to its reader or is refused where it was returned."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Never, NoReturn

import pytest
from pydantic import Field

from durable_core.codec import Codec, JsonSerializer, OutputCodec
from durable_core.errors import OutputError, TaskDefinitionError

JSON = JsonSerializer()


@dataclass
class Found:
    path: Path
    words: set[str]


class Unknown:
    """pydantic knows nothing about it."""


def refusal(annotation: Any, value: Any) -> str:
    """Return what is said about a value that a task named ``t`` returned."""
    with pytest.raises(OutputError) as caught:
        OutputCodec.of(annotation, JSON, "t").encode(value)
    return str(caught.value)


def test_the_return_annotation_of_a_function_counts() -> None:
    async def function(a: int) -> "list[Found]":
        raise NotImplementedError

    codec = OutputCodec.of(function, JSON, "t")
    value = [Found(Path("a"), {"x"})]
    assert codec.annotation == list[Found]
    assert codec.decode(codec.encode(value)) == value


def test_an_annotation_can_be_given_itself() -> None:
    assert OutputCodec.of(set[int], JSON, "t").decode(b"[1]") == {1}


@pytest.mark.parametrize("annotation", [None, type(None), Never, NoReturn])
def test_nothing_comes_back_as_none(annotation: Any) -> None:
    codec = OutputCodec.of(annotation, JSON, "t")
    assert codec.encode(None) == b"null"
    assert codec.decode(b"null") is None
    assert refusal(annotation, 1) == (
        "task 't' returned what does not fit its return annotation None: "
        "Input should be None, not 1 (int)"
    )


def test_what_does_not_fit_is_told_with_its_path() -> None:
    assert refusal(int, "x") == (
        "task 't' returned what does not fit its return annotation int: Input should be a valid "
        "integer, unable to parse string as an integer, not 'x' (str)"
    )
    assert refusal(list[Found], [{"path": "a", "words": 1}]).endswith(
        "0.words: Input should be a valid set, not 1 (int)"
    )


def test_what_its_reader_would_refuse_is_refused_here() -> None:
    assert "greater than 0" in refusal(Annotated[int, Field(gt=0)], -1)


def test_values_are_converted_where_that_loses_nothing() -> None:
    codec = OutputCodec.of(list[Found], JSON, "t")
    back = codec.decode(codec.encode([{"path": "a", "words": ("x",)}]))
    assert back == [Found(Path("a"), {"x"})]


def test_what_cannot_be_written_is_refused() -> None:
    assert refusal(Any, object()) == (
        "task 't' returned what does not fit its return annotation Any: PydanticSerializationError:"
        " Unable to serialize unknown type: <class 'object'>"
    )


def test_without_annotation_values_come_back_as_plain_json() -> None:
    codec = OutputCodec.of(lambda: None, JSON, "t")
    assert codec.decode(codec.encode(Found(Path("a"), {"x"}))) == {"path": "a", "words": ["x"]}


@pytest.mark.parametrize("stored", [b"", b'"x"', b"\xff"])
def test_a_stored_output_that_does_not_fit_is_told(stored: bytes) -> None:
    with pytest.raises(OutputError) as caught:
        OutputCodec.of(int, JSON, "t").decode(stored)
    assert str(caught.value).startswith(
        "the stored output of task 't' does not fit its return annotation int: "
    )


def test_a_type_that_cannot_be_stored_is_told() -> None:
    def function() -> Unknown:
        raise NotImplementedError

    with pytest.raises(TaskDefinitionError) as caught:
        OutputCodec.of(function, JSON, "t")
    assert str(caught.value) == (
        f"task 't': its return type {Unknown!r} cannot be serialised: Unable to generate "
        f"pydantic-core schema for {Unknown!r}. Return a type that pydantic knows, or give the "
        "executor a serializer that knows this one"
    )


def test_a_serializer_may_know_more_types_than_pydantic() -> None:
    unknown = Unknown()

    class Keeping:
        def codec(self, annotation: object) -> Codec[Any]:
            return self

        def encode(self, value: Any) -> bytes:
            return b"kept"

        def decode(self, data: bytes) -> Any:
            return unknown

    codec = OutputCodec.of(Unknown, Keeping(), "t")
    assert codec.decode(codec.encode(unknown)) is unknown
    with pytest.raises(OutputError, match="instance of Unknown"):
        codec.encode(1)
