"""Errors for users: what, where, what to do; and they travel between processes."""

import asyncio
import inspect
import pickle  # noqa: TID251 - users move errors between processes by it
from typing import Any

import pytest

from durable_core import errors
from durable_core.errors import (
    DurableError,
    ExecutionCancelledError,
    ExecutionError,
    ExecutionFailedError,
    ExecutionTimedOutError,
    FinalizeFailedError,
    OptionError,
    PayloadTooLargeError,
    StepFailedError,
    WaitTimeoutError,
)
from durable_core.failure import ErrorInfo

INFO = ErrorInfo(
    "builtins.ValueError",
    "no good",
    "Traceback (most recent call last):\n  File …\n\nValueError: no good",
    retryable=True,
    notes=("a note",),
)
CLASSES: list[type[DurableError]] = [
    found
    for _, found in inspect.getmembers(errors, inspect.isclass)
    if issubclass(found, DurableError)
]


def made(kind: type[DurableError]) -> DurableError:
    """Return an exception of a class."""
    if issubclass(kind, ExecutionError):
        return kind("id-1", "shop.order", "failed", INFO)
    if kind is PayloadTooLargeError:
        return PayloadTooLargeError("shop.order", "input", 1_234_567, 1_000_000, "max_input")
    if kind is StepFailedError:
        return StepFailedError("charge", INFO, timed_out=True)
    return kind("a message")


@pytest.mark.parametrize("kind", CLASSES)
def test_errors_can_be_pickled(kind: type[DurableError]) -> None:
    error = made(kind)
    error.add_note("seen")
    back: Any = pickle.loads(pickle.dumps(error))  # noqa: S301 - its own bytes
    assert type(back) is kind
    assert str(back) == str(error)
    assert vars(back) == vars(error)


@pytest.mark.parametrize("kind", CLASSES)
def test_errors_say_what_they_mean(kind: type[DurableError]) -> None:
    assert kind.__doc__
    assert kind.__name__.endswith("Error")


def test_the_result_of_a_failed_execution_shows_everything() -> None:
    assert str(ExecutionFailedError("id-1", "shop.order", "failed", INFO)) == (
        "task 'shop.order', execution 'id-1': failed: ValueError: no good\n"
        "    Traceback (most recent call last):\n"
        "      File …\n"
        "\n"
        "    ValueError: no good"
    )


def test_what_is_not_known_is_left_out() -> None:
    cancelled = ExecutionCancelledError("id-1", "t", "cancelled")
    assert str(cancelled) == "task 't', execution 'id-1': cancelled"
    assert cancelled.info is None
    woken = ExecutionFailedError("id-1", "t", "failed", ErrorInfo("rejected", "by hand"))
    assert str(woken) == "task 't', execution 'id-1': failed: rejected: by hand"


@pytest.mark.parametrize(
    "kind",
    [
        ExecutionFailedError,
        ExecutionTimedOutError,
        ExecutionCancelledError,
        FinalizeFailedError,
    ],
)
def test_results_carry_what_happened(kind: type[ExecutionError]) -> None:
    error = kind("id-1", "t", "failed", INFO)
    assert (error.execution_id, error.task, error.status) == ("id-1", "t", "failed")
    assert error.info is INFO


def test_errors_of_executions_are_not_taken_for_those_of_the_caller() -> None:
    assert not issubclass(ExecutionTimedOutError, TimeoutError)
    assert not issubclass(ExecutionCancelledError, asyncio.CancelledError)
    assert issubclass(WaitTimeoutError, TimeoutError)
    assert issubclass(OptionError, ValueError)


def test_a_payload_that_is_too_large_says_what_to_do() -> None:
    assert str(made(PayloadTooLargeError)) == (
        "the input of task 'shop.order' has 1,234,567 bytes, at most 1,000,000 are allowed: "
        "raise max_input, or keep the data elsewhere and pass a reference to it"
    )
