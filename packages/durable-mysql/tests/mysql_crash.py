"""The work of the kill test, whose results can be foretold, and the process that is killed."""

import asyncio
import random
from multiprocessing.connection import Connection

from durable_core import DurableExecutor, FanOut, Joined, RetryPolicy, Tasks, current
from durable_mysql import MySQLStorage

LEASE = 1.0
NEVER_POISON = 10_000

tasks = Tasks()
_pause = random.Random(7)


@tasks.task
async def square(number: int) -> int:
    await asyncio.sleep(_pause.random() * 0.02)
    return number * number


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


sequence = tasks.sequence("sequence", square, flaky)
approval = tasks.sleeping("approval", int, timeout=600)


@tasks.parent(finalize=total_here)
async def approved(number: int) -> FanOut[int]:
    return FanOut(number, [approval.call(f"approval-{number}")])


def expected(name: str, number: int) -> int:
    """Return what an execution must end with."""
    fan = {n: n + sum(i * i for i in range(n % 7)) for n in range(number + 7)}
    return {
        "square": number * number,
        "flaky": -number,
        "fan_out": fan[number],
        "nested": number + sum(fan[i] for i in range(number % 4)),
        "sequence": -number * number,
        "approved": number + 1000 + number,
    }[name]


def executor_on(url: str, prefix: str, *, client_only: bool = False) -> DurableExecutor:
    """Return an executor that counts every kill as bad luck."""
    return DurableExecutor(
        MySQLStorage.from_url(url, prefix=prefix),
        tasks=tasks,
        concurrency=8,
        lease=LEASE,
        poll_interval=0.2,
        crash_limit=NEVER_POISON,
        client_only=client_only,
    )


def work(url: str, prefix: str, ready: Connection) -> None:
    """Run an executor for ever; tell once it is at work."""
    asyncio.run(_work(url, prefix, ready))


async def _work(url: str, prefix: str, ready: Connection) -> None:
    async with executor_on(url, prefix):
        ready.send("at work")
        await asyncio.Event().wait()
