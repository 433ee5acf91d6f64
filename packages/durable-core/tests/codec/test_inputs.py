"""What does not fit is refused before anything is stored, and says where and why."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar, Unpack, cast

import pytest
from pydantic import AfterValidator, BaseModel, Field, PlainSerializer
from pydantic_core import PydanticSerializationError
from typing_extensions import TypedDict

from durable_core.codec import Codec, InputCodec, JsonSerializer
from durable_core.errors import InputError, TaskDefinitionError

from .shapes import annotated

if TYPE_CHECKING:
    from decimal import Decimal

JSON = JsonSerializer()
T = TypeVar("T")
P = ParamSpec("P")


class Line(BaseModel):
    name: str
    price: Annotated[float, Field(gt=0)]


class Unknown:
    """pydantic knows nothing about it."""


class Extra(TypedDict, total=False):
    depth: int


def refusal(function: Any, *args: Any, **kwargs: Any) -> str:
    """Return what is said about these arguments of a task named ``t``."""
    with pytest.raises(InputError) as caught:
        InputCodec.of(function, JSON, task="t").encode(args, kwargs)
    return str(caught.value)


def definition(function: Any, **options: Any) -> str:
    """Return what is said about this function as a task named ``t``."""
    with pytest.raises(TaskDefinitionError) as caught:
        InputCodec.of(function, JSON, task="t", **options)
    return str(caught.value)


class TestValidation:
    def test_values_are_converted_where_that_loses_nothing(self) -> None:
        def function(a: int, path: Path, when: dt.date) -> None: ...

        codec = InputCodec.of(function, JSON, task="t")
        stored = codec.encode(("5", "/tmp", "2024-02-29"), {})  # noqa: S108 - only a name
        expected = {"a": 5, "path": Path("/tmp"), "when": dt.date(2024, 2, 29)}  # noqa: S108
        assert codec.decode(stored) == ((), expected)

    def test_the_argument_the_reason_and_the_value_are_told(self) -> None:
        def function(a: int, b: int) -> None: ...

        assert refusal(function, 1, "x") == (
            "task 't': b: Input should be a valid integer, "
            "unable to parse string as an integer, not 'x' (str)"
        )

    def test_the_path_into_the_argument_is_told(self) -> None:
        def function(lines: list[Line]) -> None: ...

        lines = [{"name": "a", "price": 1}, {"name": "b", "price": -1}]
        assert refusal(function, lines) == (
            "task 't': lines[1].price: Input should be greater than 0, not -1 (int)"
        )
        assert refusal(function, [{"name": "a"}]) == "task 't': lines[0].price: Field required"

    def test_several_problems_stand_on_a_line_each(self) -> None:
        def function(a: int, b: float) -> None: ...

        assert refusal(function, None, "x") == (
            "task 't': \n"
            "  a: Input should be a valid integer, not None (NoneType)\n"
            "  b: Input should be a valid number, unable to parse string as a number, not 'x' (str)"
        )

    def test_many_problems_and_long_values_are_cut(self) -> None:
        def function(numbers: list[int]) -> None: ...

        message = refusal(function, ["x" * 1000] * 1000)
        assert len(message) < 3000
        assert message.endswith("\n  … and 990 more")

    def test_a_value_that_cannot_be_shown_is_still_refused(self) -> None:
        class Broken:
            def __repr__(self) -> str:
                raise ValueError

        def function(number: int) -> None: ...

        assert refusal(function, Broken()) == (
            "task 't': number: Input should be a valid integer, "
            "not <repr() raised ValueError> (Broken)"
        )

    def test_a_dataclass_with_a_wrong_value_in_it_is_refused(self) -> None:
        @dataclass
        class Size:
            width: int

        def function(size: Size) -> None: ...

        assert refusal(function, Size(cast("Any", "wide"))).startswith(
            "task 't': size.width: Input should be a valid integer"
        )

    def test_surplus_arguments_are_checked(self) -> None:
        def function(*numbers: int, **sizes: int) -> None: ...

        assert refusal(function, 1, "x").startswith("task 't': numbers[1]: Input should be")
        assert refusal(function, width="x").startswith("task 't': sizes.width: Input should be")

    def test_unpacked_types_of_surplus_arguments_are_checked(self) -> None:
        def function(*pair: *tuple[int, str], **extra: Unpack[Extra]) -> None: ...

        codec = InputCodec.of(function, JSON, task="t")
        stored = codec.encode((1, "x"), {"depth": 3})
        assert codec.decode(stored) == ((1, "x"), {"depth": 3})
        assert "pair[1]: Field required" in refusal(function, 1)
        assert refusal(function, 1, "x", depth="deep").startswith("task 't': extra.depth: Input")

    def test_a_validator_that_fails_in_its_own_way_refuses(self) -> None:
        def explode(_: int) -> int:
            msg = "boom"
            raise RuntimeError(msg)

        def function(a: Annotated[int, AfterValidator(explode)]) -> None: ...

        expected = "task 't': the arguments cannot be checked: RuntimeError: boom"
        assert refusal(function, 1) == expected


class TestWithoutAnnotation:
    @pytest.mark.parametrize(
        "value", [dt.datetime(2024, 1, 1, tzinfo=dt.UTC), b"bytes", {1}, {1: 2}, Line, [object()]]
    )
    def test_values_that_json_would_change_are_refused(self, value: Any) -> None:
        def function(a: Any) -> None: ...

        assert refusal(annotated(function), value).startswith(
            "task 't': a: without a type annotation only None, bool, int, float, str, list, tuple "
            "and dict with str keys can be passed: annotate the parameter, not "
        )

    def test_annotations_that_say_nothing_count_as_none(self) -> None:
        def function(a: Any, b: Any, c: Any, *args: Any, **kwargs: Any) -> None: ...

        spec: Any = P
        annotated(function, a=Any, b=object, c=T, args=spec.args, kwargs=spec.kwargs)
        codec = InputCodec.of(function, JSON, task="t")
        assert codec.decode(codec.encode((1, 2, 3), {})) == ((), {"a": 1, "b": 2, "c": 3})
        for number in range(4):
            args: list[Any] = [0, 0, 0, 0]
            args[number] = b"x"
            assert "without a type annotation only" in refusal(function, *args)

    def test_surplus_arguments_count_as_well(self) -> None:
        def function(*args: Any, **kwargs: Any) -> None: ...

        annotated(function)
        assert refusal(function, 1, b"x").startswith("task 't': args[1]: without a type")
        assert refusal(function, a=b"x").startswith("task 't': kwargs.a: without a type")

    def test_a_value_that_contains_itself_is_refused(self) -> None:
        def function(a: Any) -> None: ...

        ring: list[Any] = []
        ring.append(ring)
        assert "annotate the parameter" in refusal(function, ring)


class TestSerialisation:
    def test_the_argument_that_cannot_be_written_is_named(self) -> None:
        def function(a: int, b: dict[str, Any], c: int) -> None: ...

        assert refusal(function, 1, {"x": object()}, 3) == (
            "task 't': argument 'b' cannot be serialised: PydanticSerializationError: "
            "Unable to serialize unknown type: <class 'object'>"
        )

    def test_the_original_error_is_the_cause(self) -> None:
        def function(a: dict[str, Any]) -> None: ...

        codec = InputCodec.of(function, JSON, task="t")
        with pytest.raises(InputError) as caught:
            codec.encode(({"x": object()},), {})
        assert isinstance(caught.value.__cause__, PydanticSerializationError)

    @pytest.mark.parametrize("annotation", [str, Any, dict[str, Any]])
    def test_text_that_utf8_cannot_carry_is_refused(self, annotation: Any) -> None:
        def function(a: Any) -> None: ...

        value = {"x": "\ud800"} if annotation == dict[str, Any] else "\ud800"
        message = refusal(annotated(function, a=annotation), value)
        assert message.startswith("task 't': a")

    def test_bytes_of_a_model_that_are_no_text_are_refused_with_the_remedy(self) -> None:
        class Blob(BaseModel):
            data: bytes

        def function(blob: Blob) -> None: ...

        message = refusal(function, Blob(data=b"\xff"))
        assert "argument 'blob' cannot be serialised" in message
        assert "ser_json_bytes='base64'" in message

    def test_what_could_not_be_read_back_is_refused(self) -> None:
        def function(
            a: Annotated[int, PlainSerializer(lambda value: f"number {value}")],
        ) -> None: ...

        assert "argument 'a' cannot be serialised" in refusal(function, 1)

    @pytest.mark.parametrize("depth", [201, 250, 300])
    def test_nesting_that_is_too_deep_to_be_read_is_refused(self, depth: int) -> None:
        def function(a: list[Any]) -> None: ...

        value: list[Any] = []
        for _ in range(depth):
            value = [value]
        assert "argument 'a' cannot be serialised" in refusal(function, value)

    def test_a_number_that_is_too_large_to_be_read_is_refused(self) -> None:
        def function(a: int) -> None: ...

        assert "argument 'a' cannot be serialised" in refusal(function, 10**4300)


class TestStoredInput:
    @pytest.mark.parametrize(
        ("stored", "problem"),
        [
            (b"", "Invalid JSON: EOF while parsing a value at line 1 column 0"),
            (b"[1]", "Input should be an object, not [1] (list)"),
            (b"{}", "a: Field required"),
            (b'{"a":"x"}', "a: Input should be a valid integer, unable to parse"),
            (b'{"a":1,"gone":2}', "gone: Extra inputs are not permitted"),
        ],
    )
    def test_what_does_not_fit_any_more_is_refused(self, stored: bytes, problem: str) -> None:
        def function(a: int, b: int = 2) -> None: ...

        codec = InputCodec.of(function, JSON, task="t")
        with pytest.raises(InputError) as caught:
            codec.decode(stored)
        prefix = "task 't': the stored input does not fit t(a: int, b: int = 2) -> None: "
        assert str(caught.value).startswith(prefix + problem)

    def test_damaged_bytes_are_told_once(self) -> None:
        def function() -> None: ...

        with pytest.raises(InputError) as caught:
            InputCodec.of(function, JSON, task="t").decode(b"{")
        assert str(caught.value) == (
            "task 't': the stored input does not fit t() -> None: "
            "Invalid JSON: EOF while parsing an object at line 1 column 1"
        )

    def test_other_serializers_are_checked_for_their_names(self) -> None:
        class Fixed:
            def codec(self, annotation: object) -> Codec[Any]:
                return self

            def encode(self, value: Any) -> bytes:
                return b""

            def decode(self, data: bytes) -> Any:
                return {"gone": 1}

        def function(a: int) -> None: ...

        codec = InputCodec.of(function, Fixed(), task="t")
        with pytest.raises(InputError, match="does not fit"):
            codec.decode(b"")


class TestSameInput:
    def test_the_same_values_written_differently_are_the_same(self) -> None:
        def function(words: set[str], more: dict[str, Any]) -> None: ...

        codec = InputCodec.of(function, JSON, task="t")
        first = b'{"words":["a","b"],"more":{"x":1,"y":2}}'
        assert codec.same(first, first)
        assert codec.same(first, b'{"more":{"y":2,"x":1},"words":["b","a"]}')
        assert not codec.same(first, b'{"words":["a"],"more":{}}')
        assert not codec.same(first, b"damaged")
        assert codec.same(b"damaged", b"damaged")


class TestDefinitions:
    def test_a_type_that_cannot_be_stored_is_told_with_its_parameter(self) -> None:
        def function(a: int, b: Unknown) -> None: ...

        assert definition(function) == (
            "task 't': parameter 'b' cannot be stored: Unable to generate pydantic-core schema for "
            f"{Unknown!r}. Annotate it with a type that pydantic knows, or give the executor a "
            "serializer that knows this one"
        )

    def test_a_serializer_may_know_more_types_than_pydantic(self) -> None:
        unknown = Unknown()

        class Keeping:
            def codec(self, annotation: object) -> Codec[Any]:
                return self

            def encode(self, value: Any) -> bytes:
                assert value == {"a": unknown}
                return b"kept"

            def decode(self, data: bytes) -> Any:
                return {"a": unknown}

        def function(a: Unknown) -> None: ...

        codec = InputCodec.of(function, Keeping(), task="t")
        assert codec.decode(codec.encode((unknown,), {})) == ((), {"a": unknown})
        with pytest.raises(InputError, match="a: Input should be an instance of"):
            codec.encode((1,), {})

    def test_an_annotation_that_cannot_be_evaluated_is_told_with_its_parameter(self) -> None:
        def function(a: int, b: "Decimal") -> None: ...

        assert definition(function) == (
            "task 't': the annotation of parameter 'b' cannot be evaluated: NameError: name "
            "'Decimal' is not defined. Every name in it must be importable at run time: defined at "
            "module level, and not imported under TYPE_CHECKING only"
        )

        def other() -> "Decimal":
            raise NotImplementedError

        assert definition(other).startswith("task 't': the annotation of its result cannot")

    def test_names_can_be_lent_to_string_annotations(self) -> None:
        class Local(BaseModel):
            number: int

        def function(a: "list[Local]") -> None: ...

        assert "name 'Local' is not defined" in definition(function)
        codec = InputCodec.of(function, JSON, task="t", namespace={"Local": Local})
        value = [Local(number=1)]
        assert codec.decode(codec.encode((value,), {})) == ((), {"a": value})
