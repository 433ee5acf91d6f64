"""Arguments are bound as Python binds them, and wrong ones are refused with the signature."""

import functools
import inspect
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from durable_core.codec import InputCodec, JsonSerializer
from durable_core.errors import InputError, TaskDefinitionError

from .shapes import annotated

JSON = JsonSerializer()


def plain(a: int, b: int = 5) -> None: ...


def keyword_only(a: int, *, b: int, c: int = 1) -> None: ...


def positional_only(a: int, b: int = 2, /, c: int = 3) -> None: ...


def everything(a: int, /, b: int = 2, *rest: int, c: int, d: int = 4, **more: int) -> None: ...


def nothing() -> None: ...


def only_surplus(*args: int, **kwargs: int) -> None: ...


FUNCTIONS = [plain, keyword_only, positional_only, everything, nothing, only_surplus]
NAMES = st.sampled_from(["a", "b", "c", "d", "rest", "more", "z"])


def bound(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return what Python binds, defaults included, or None if it refuses."""
    try:
        arguments = inspect.signature(function).bind(*args, **kwargs)
    except TypeError:
        return None
    arguments.apply_defaults()
    return arguments.arguments


@pytest.mark.parametrize("function", FUNCTIONS)
@settings(max_examples=150, deadline=None)
@given(
    args=st.lists(st.integers(), max_size=4).map(tuple),
    kwargs=st.dictionaries(NAMES, st.integers(), max_size=4),
)
def test_the_function_gets_what_it_would_have_got(
    function: Callable[..., Any], args: tuple[int, ...], kwargs: dict[str, int]
) -> None:
    codec = InputCodec.of(function, JSON, task="t")
    expected = bound(function, args, kwargs)
    if expected is None:
        with pytest.raises(InputError):
            codec.encode(args, kwargs)
    else:
        assert bound(function, *codec.decode(codec.encode(args, kwargs))) == expected


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "message"),
    [
        (plain, (), {}, "missing a required argument: 'a'"),
        (plain, (1, 2, 3), {}, "too many positional arguments"),
        (plain, (1,), {"a": 2}, "multiple values for argument 'a'"),
        (plain, (1,), {"z": 2}, "got an unexpected keyword argument 'z'"),
        (plain, ("no",), {"z": 2}, "got an unexpected keyword argument 'z'"),
        (keyword_only, (1,), {}, "missing a required argument: 'b'"),
        (keyword_only, (1, 2), {}, "too many positional arguments"),
    ],
)
def test_wrong_arguments_are_told_with_the_signature(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], message: str
) -> None:
    codec = InputCodec.of(function, JSON, task="shop.order")
    with pytest.raises(InputError) as caught:
        codec.encode(args, kwargs)
    expected = f"task 'shop.order': {message}; it is shop.order{inspect.signature(function)}"
    assert str(caught.value) == expected
    assert isinstance(caught.value.__cause__, TypeError)


def test_left_out_arguments_are_not_stored_so_that_later_defaults_apply() -> None:
    codec = InputCodec.of(plain, JSON, task="t")
    assert codec.encode((1,), {}) == b'{"a":1}'

    def later(a: int, b: int = 7) -> None: ...

    assert InputCodec.of(later, JSON, task="t").decode(b'{"a":1}') == ((), {"a": 1})


def test_defaults_need_not_be_serialisable() -> None:
    def function(a: int, marker: object = JSON) -> None: ...

    assert InputCodec.of(function, JSON, task="t").encode((1,), {}) == b'{"a":1}'


def test_the_order_of_keywords_does_not_change_what_is_stored() -> None:
    codec = InputCodec.of(plain, JSON, task="t")
    assert codec.encode((), {"b": 1, "a": 2}) == codec.encode((2, 1), {}) == b'{"a":2,"b":1}'


def test_the_context_is_not_stored() -> None:
    def function(context: object, a: int) -> None: ...

    codec = InputCodec.of(function, JSON, task="t", skip_context=True)
    assert codec.decode(codec.encode((1,), {})) == ((), {"a": 1})
    with pytest.raises(InputError, match=r"too many positional arguments; it is t\(a: int\)"):
        codec.encode((object(), 1), {})


def test_a_context_needs_a_parameter() -> None:
    with pytest.raises(TaskDefinitionError, match="no first parameter for the context"):
        InputCodec.of(nothing, JSON, task="t", skip_context=True)


@pytest.mark.parametrize("name", ["_x", "__y", "model_config", "schema", "self", "validate"])
def test_every_name_of_a_parameter_works(name: str) -> None:
    namespace: dict[str, Any] = {}
    exec(f"def function({name}: int) -> None: ...", namespace)  # noqa: S102 - made-up names
    codec = InputCodec.of(namespace["function"], JSON, task="t")
    assert codec.decode(codec.encode((), {name: 1})) == ((), {name: 1})


def test_callables_of_every_kind_work() -> None:
    class Callme:
        def __call__(self, a: int) -> None: ...

        def method(self, a: int) -> None: ...

        @staticmethod
        def static(a: int) -> None: ...

    @functools.wraps(plain)
    def wrapped(*args: Any, **kwargs: Any) -> None: ...

    def untyped(a: Any) -> Any: ...

    callables: list[Any] = [
        Callme(),
        Callme().method,
        Callme.static,
        wrapped,
        functools.partial(everything, c=1),
        annotated(untyped),
    ]
    for function in callables:
        codec = InputCodec.of(function, JSON, task="t")
        assert codec.encode((1,), {}) == b'{"a":1}'


def test_a_callable_without_signature_is_refused() -> None:
    with pytest.raises(TaskDefinitionError, match="no signature to read: wrap it in a function"):
        InputCodec.of(iter, JSON, task="t")


def test_one_value_is_the_only_positional_argument() -> None:
    codec = InputCodec.of(plain, JSON, task="t")
    assert codec.encode_single(3) == codec.encode((3,), {})
    with pytest.raises(InputError, match="missing a required argument: 'b'"):
        InputCodec.of(keyword_only, JSON, task="t").encode_single(3)


def test_what_is_stored_is_readable_json() -> None:
    codec = InputCodec.of(everything, JSON, task="t")
    stored = codec.encode((1, 2, 3, 4), {"c": 5, "x": 6})
    assert json.loads(stored) == {"a": 1, "b": 2, "rest": [3, 4], "c": 5, "more": {"x": 6}}
