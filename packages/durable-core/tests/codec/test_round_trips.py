"""Whatever fits its annotation comes back as it was, in its own type."""

import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from durable_core.codec import InputCodec, JsonSerializer, OutputCodec, Serializer, compressed

from .shapes import PLAIN_VALUES, SHAPES, Order, Part, annotated

SERIALIZERS: dict[str, Serializer] = {
    "json": JsonSerializer(),
    "compressed": compressed(JsonSerializer(), threshold=10),
}
INPUTS: dict[tuple[str, str], InputCodec] = {}


def codec_of(shape: str, serializer: str) -> InputCodec:
    """Return the codec of a function with every kind of parameter of one type."""
    found = INPUTS.get((shape, serializer))
    if found is None:
        annotation = SHAPES[shape][0]

        def function(
            first: Any, /, second: Any, *rest: Any, keyword: Any = ..., **more: Any
        ) -> None: ...

        names = ("first", "second", "rest", "keyword", "more")
        annotated(function, **dict.fromkeys(names, annotation))
        found = InputCodec.of(function, SERIALIZERS[serializer], task=shape)
        INPUTS[shape, serializer] = found
    return found


def same(first: object, second: object) -> bool:
    """Whether two values are equal and of the same types throughout."""
    return first == second and repr(first) == repr(second)


@pytest.mark.parametrize("serializer", SERIALIZERS)
@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_output_comes_back(shape: str, serializer: str, data: st.DataObject) -> None:
    annotation, values = SHAPES[shape]
    codec = OutputCodec.of(annotation, SERIALIZERS[serializer], shape)
    value = data.draw(values)
    back = codec.decode(codec.encode(value))
    assert type(back) is type(value)
    assert back == value


@pytest.mark.parametrize("serializer", SERIALIZERS)
@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_arguments_come_back_where_they_were(
    shape: str, serializer: str, data: st.DataObject
) -> None:
    codec = codec_of(shape, serializer)
    values = SHAPES[shape][1]
    args = tuple(data.draw(st.lists(values, min_size=2, max_size=4)))
    kwargs: dict[str, Any] = data.draw(
        st.fixed_dictionaries({}, optional={"keyword": values, "first": values, "x y": values})
    )
    stored = codec.encode(args, kwargs)
    back_args, back_kwargs = codec.decode(stored)
    assert len(back_args) == len(args) - (0 if len(args) > 2 else 1)
    assert (*back_args, *([back_kwargs.pop("second")] if len(args) == 2 else [])) == args
    assert back_kwargs == kwargs
    assert codec.encode(args, kwargs) == stored


@settings(max_examples=100, deadline=None)
@given(value=PLAIN_VALUES)
def test_without_annotations_plain_values_come_back(value: Any) -> None:
    def function(value: Any) -> Any: ...

    plain = annotated(function)
    inputs = InputCodec.of(plain, SERIALIZERS["json"], task="plain")
    outputs = OutputCodec.of(plain, SERIALIZERS["json"], "plain")
    assert same(inputs.decode(inputs.encode_single(value)), ((), {"value": value}))
    assert same(outputs.decode(outputs.encode(value)), value)


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_infinity_and_nan_come_back_from_everywhere(number: float) -> None:
    def function(a: float, b: float | None, c: Order, d: list[Part], e: Any) -> None: ...

    codec = InputCodec.of(function, SERIALIZERS["json"], task="floats")
    order = Order(orderNumber=1, total=Decimal("1.50"), weight=number)
    stored = codec.encode((number, number, order, [Part("p", b"", number)], [number]), {})
    _, values = codec.decode(stored)
    found = [values["a"], values["b"], values["c"].weight, values["d"][0].weight, values["e"][0]]
    assert [repr(value) for value in found] == [repr(number)] * 5


def test_numbers_of_any_size_come_back() -> None:
    def function(number: int) -> None: ...

    codec = InputCodec.of(function, SERIALIZERS["json"], task="big")
    number = 10**4000 + 7
    assert codec.decode(codec.encode_single(number)) == ((), {"number": number})
