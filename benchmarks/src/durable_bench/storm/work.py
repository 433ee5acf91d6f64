"""The work of the kill run: every kind of task, each with a result that can be foretold."""

import asyncio
import random
from typing import Final

from durable_core import Again, Done, FanOut, Joined, RetryPolicy, Task, Tasks, current

tasks: Final = Tasks()
_pause = random.Random(7)  # noqa: S311  # spreads work, guards nothing

_FAILURES: Final = 2
"""How often the flaky task fails before it succeeds."""


@tasks.task
async def square(number: int) -> int:
    """Return the square after a moment."""
    await asyncio.sleep(_pause.random() * 0.02)
    return number * number


@tasks.task
def in_thread(number: int) -> int:
    """Return the next number, from a thread."""
    return number + 1


@tasks.task(retries=RetryPolicy(1000, delay=0.01))
async def flaky(number: int) -> int:
    """Return the negative after some failures."""
    if current().attempt <= _FAILURES:
        msg = "not yet"
        raise OSError(msg)
    return -number


@tasks.task
async def total(joined: Joined[int, int]) -> int:
    """Return the sum of everything, as an execution of its own."""
    return joined.output + sum(joined.outputs)


def total_here(joined: Joined[int, int]) -> int:
    """Return the same sum."""
    return joined.output + sum(joined.outputs)


@tasks.parent(finalize=total)
async def fan_out(number: int) -> FanOut[int]:
    """Spread a few squares; another task adds them up."""
    return FanOut(number, [square.call(index) for index in range(number % 7)])


@tasks.parent(finalize=total_here)
def nested(number: int) -> FanOut[int]:
    """Spread a few fan-outs."""
    return FanOut(number, [fan_out.call(index) for index in range(number % 4)])


sequence = tasks.sequence("sequence", square, in_thread, flaky)


@tasks.task
async def look(number: int) -> Again | Done[int]:
    """End a loop after a few iterations."""
    return Done(number) if current().iteration >= number % 3 else Again()


poll = tasks.loop("poll", look, max_iterations=10, delay=0.02)
approval = tasks.sleeping("approval", int, timeout=3600)


@tasks.parent(finalize=total_here)
async def approved(number: int) -> FanOut[int]:
    """Wait for somebody's approval, which is a number."""
    return FanOut(number, [approval.call(approval_key(number))])


ROOTS: Final[list[Task[[int], int]]] = [
    square, in_thread, flaky, fan_out, nested, sequence, approved,
]  # fmt: skip
"""What is enqueued, for the same numbers each; `poll` is a loop, whose result has its own type."""


def approval_key(number: int) -> str:
    """Return the wake key of a number's sleeper."""
    return f"approval-{number}"


def approval_value(number: int) -> int:
    """Return what a number's sleeper is woken with."""
    return 1000 + number


def expected(name: str, number: int) -> int:
    """Return what an execution must end with."""
    squares = [sum(i * i for i in range(count)) for count in range(8)]
    fan = [n + squares[n % 7] for n in range(4)]
    return {
        "square": number * number,
        "in_thread": number + 1,
        "flaky": -number,
        "fan_out": number + squares[number % 7],
        "nested": number + sum(fan[: number % 4]),
        "sequence": -(number * number + 1),
        "poll": number,
        "approved": number + approval_value(number),
    }[name]


def size(name: str, number: int) -> int:
    """Return how many executions a root becomes, itself included."""
    if name == "fan_out":
        return 1 + number % 7 + 1
    if name == "nested":
        return 1 + sum(size("fan_out", index) for index in range(number % 4))
    return 2 if name == "approved" else 1
