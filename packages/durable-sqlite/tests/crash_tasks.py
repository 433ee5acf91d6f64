"""The work of the crash tests: every kind of task, each with a result that can be foretold."""

import asyncio
import random

from durable_core import (
    Again,
    Done,
    FanOut,
    Joined,
    RetryPolicy,
    Tasks,
    current,
)

tasks = Tasks()
_pause = random.Random(7)


@tasks.task
async def square(number: int) -> int:
    await asyncio.sleep(_pause.random() * 0.02)
    return number * number


@tasks.task
def in_thread(number: int) -> int:
    return number + 1


@tasks.task(retries=RetryPolicy(1000, delay=0.01))
async def flaky(number: int) -> int:
    if current().attempt < 3:
        msg = "not yet"
        raise OSError(msg)
    return -number


@tasks.task
async def total(joined: Joined[int, int]) -> int:
    return joined.output + sum(joined.outputs)


def total_here(joined: Joined[int, int]) -> int:
    return joined.output + sum(joined.outputs)


@tasks.parent(finalize=total)
async def fan_out(number: int) -> FanOut[int]:
    return FanOut(number, [square.call(index) for index in range(number % 7)])


@tasks.parent(finalize=total_here)
def nested(number: int) -> FanOut[int]:
    return FanOut(number, [fan_out.call(index) for index in range(number % 4)])


sequence = tasks.sequence("sequence", square, in_thread, flaky)


@tasks.task
async def look(number: int) -> Again | Done[int]:
    return Done(number) if current().iteration >= number % 3 else Again()


poll = tasks.loop("poll", look, max_iterations=10, delay=0.02)
approval = tasks.sleeping("approval", int, timeout=600)


@tasks.parent(finalize=total_here)
async def approved(number: int) -> FanOut[int]:
    return FanOut(number, [approval.call(f"approval-{number}")])


def expected(name: str, number: int) -> int:
    """Return what an execution must end with."""
    squares = [sum(i * i for i in range(count)) for count in range(8)]
    fan = {n: n + squares[n % 7] for n in range(number + 7)}
    return {
        "square": number * number,
        "in_thread": number + 1,
        "flaky": -number,
        "fan_out": fan[number],
        "nested": number + sum(fan[i] for i in range(number % 4)),
        "sequence": -(number * number + 1),
        "poll": number,
        "approved": number + 1000 + number,
    }[name]
