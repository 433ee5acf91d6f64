"""What a workload drives: the engine on a storage, or the sketch beside it."""

from typing import Protocol, runtime_checkable


class WrongResultError(Exception):
    """A run answered something else than it must: its figures mean nothing."""


class Subject(Protocol):
    """Runs executions of known shapes; the workloads drive engine and sketch by the same code."""

    async def call(self, number: int) -> int:
        """Enqueue one task and return its result, the next number."""
        ...

    async def fan_out(self, width: int, *, napping: bool = False) -> int:
        """Run a parent with so many children and join them; return the sum of their outputs."""
        ...

    async def chain(self, steps: int, *, napping: bool = False) -> int:
        """Run a chain of so many steps from 0; return the last step's output."""
        ...

    async def loop(self) -> int:
        """Run a loop that ends in its first iteration, after its delay; return its output, 1."""
        ...


@runtime_checkable
class Durable(Protocol):
    """A subject that has durable functions as well."""

    async def function(self, steps: int) -> int:
        """Run a durable function of so many steps from 0; return the last one's output."""
        ...


def check(subject: str, answer: int, expected: int) -> None:
    """Refuse a wrong answer.

    Raises:
        WrongResultError: The answer is not the expected one.
    """
    if answer != expected:
        raise WrongResultError(f"{subject} answered {answer} instead of {expected}")
