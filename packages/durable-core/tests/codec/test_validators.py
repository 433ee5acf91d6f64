"""The user's own validator: asked at enqueue and again when it runs."""

from typing import Any

import pytest

from durable_core.codec import InputCodec, JsonSerializer
from durable_core.errors import InputError, TaskDefinitionError

JSON = JsonSerializer()


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


class TestOwnValidator:
    def test_it_is_called_as_the_function_would_be_with_checked_values(self) -> None:
        calls: list[Any] = []

        def function(a: int, /, b: int, *rest: int, c: int = 3, **more: int) -> None: ...

        def validate(*args: Any, **kwargs: Any) -> None:
            calls.append((args, kwargs))

        codec = InputCodec.of(function, JSON, task="t", validate=validate)
        stored = codec.encode(("1", "2"), {"x": "9"})
        codec.encode((1, 2, 4), {"c": 5})
        assert calls == [((1,), {"b": 2, "x": 9}), ((1, 2, 4), {"c": 5})]
        codec.decode(stored)
        assert calls[2] == calls[0]

    def test_what_it_raises_refuses_at_enqueue_and_at_run(self) -> None:
        def function(a: int) -> None: ...

        def validate(a: int) -> None:
            if a > 10:
                msg = "at most 10"
                raise ValueError(msg)

        codec = InputCodec.of(function, JSON, task="t", validate=validate)
        expected = "task 't': its validator refused the arguments: ValueError: at most 10"
        with pytest.raises(InputError) as at_enqueue:
            codec.encode((11,), {})
        assert str(at_enqueue.value) == expected
        assert isinstance(at_enqueue.value.__cause__, ValueError)
        with pytest.raises(InputError) as at_run:
            codec.decode(b'{"a":11}')
        assert str(at_run.value) == expected

    def test_its_error_may_be_as_broken_as_it_likes(self) -> None:
        class BrokenError(Exception):
            def __str__(self) -> str:
                raise RuntimeError

        def function(a: int) -> None: ...

        def validate(a: int) -> None:
            raise BrokenError(a)

        codec = InputCodec.of(function, JSON, task="t", validate=validate)
        with pytest.raises(InputError, match=r"BrokenError: <str\(\) raised RuntimeError>"):
            codec.encode((1,), {})

    def test_it_is_not_asked_about_values_that_do_not_fit(self) -> None:
        def function(a: int) -> None: ...

        def validate(a: int) -> None:
            pytest.fail(f"asked about {a}")

        codec = InputCodec.of(function, JSON, task="t", validate=validate)
        with pytest.raises(InputError, match="valid integer"):
            codec.encode(("x",), {})

    def test_it_must_not_be_async(self) -> None:
        def function(a: int) -> None: ...

        async def validate(a: int) -> None: ...

        assert definition(function, validate=validate).startswith(
            "task 't': its validator is async"
        )
