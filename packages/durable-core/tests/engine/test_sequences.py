"""Sequences: one row that goes through its steps, each result recorded once."""

import asyncio
from typing import Any

import pytest

from durable_core import (
    ExecutionCancelledError,
    ExecutionFailedError,
    ExecutionTimedOutError,
    FanOut,
    InputError,
    Joined,
    RetryPolicy,
    Status,
    TaskDefinitionError,
    Tasks,
    current,
)
from durable_core.storage import Finish, Keep
from durable_core.testing.faults import Fault, KilledError, LoggedCall, On

from .world import World, items_of


class Steps:
    """Four steps and what ran of them."""

    def __init__(self) -> None:
        self.tasks = Tasks()
        self.ran: list[str] = []

        @self.tasks.task
        async def parse(text: str) -> int:
            self.ran.append(f"parse {current().step}")
            return int(text)

        @self.tasks.task
        def double(number: int) -> int:
            self.ran.append(f"double {current().step}")
            return number * 2

        @self.tasks.task
        async def pair(number: int) -> tuple[int, str]:
            self.ran.append(f"pair {current().step}")
            return number, "x" * number

        @self.tasks.task
        async def show(both: tuple[int, str]) -> str:
            self.ran.append(f"show {current().step}")
            number, text = both
            return f"{number}: {text}"

        self.chain = self.tasks.sequence("chain", parse, double, pair, show)


async def test_the_output_of_one_step_is_the_argument_of_the_next(world: World) -> None:
    steps = Steps()
    executor = await world.start(tasks=steps.tasks)
    untyped: Any = steps.chain
    handle = await executor.enqueue(steps.chain, "2")
    assert await handle.result() == "4: xxxx"
    assert steps.ran == ["parse 0", "double 1", "pair 2", "show 3"]
    # One row, and one commit a step.
    assert await world.count() == 1
    assert len(world.calls(executor, "apply")) == 4
    with pytest.raises(InputError):
        await executor.enqueue(untyped, "1", "2")


def _applies(kind: type[Keep] | type[Finish], call: LoggedCall) -> bool:
    return any(isinstance(item, kind) for item in items_of(call))


@pytest.mark.parametrize("landed", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("nth", [1, 2, 3])
async def test_a_successor_goes_on_at_the_first_step_without_a_result(
    world: World,
    nth: int,
    landed: bool,  # noqa: FBT001
) -> None:
    steps = Steps()
    died = asyncio.Event()

    def dies() -> KilledError:
        died.set()
        return KilledError()

    death = On("apply", Fault.stop(dies, landed=landed), nth=nth, where=lambda c: _applies(Keep, c))
    first = await world.start(death, tasks=steps.tasks)
    handle = await first.enqueue(steps.chain, "3")
    await died.wait()
    await world.kill(first)
    done = nth if landed else nth - 1

    second = await world.start(tasks=steps.tasks)
    await world.advance(30)
    await world.idle(second)
    assert await (await second.handle(steps.chain, handle.id)).result() == "6: xxxxxx"
    names = ["parse 0", "double 1", "pair 2", "show 3"]
    assert steps.ran == [*names[:nth], *names[done:]]


async def test_each_step_keeps_its_own_retries_and_timeout(world: World) -> None:
    executor = world.executor()
    ran: list[tuple[str, int]] = []

    @executor.task(retries=RetryPolicy(2, delay=10, multiplier=1, jitter=0))
    async def flaky(number: int) -> int:
        ran.append(("flaky", current().attempt))
        if current().attempt < 3:
            raise OSError
        return number + 1

    @executor.task(timeout=5, retries=RetryPolicy(1, delay=1, jitter=0))
    async def slow_once(number: int) -> int:
        ran.append(("slow", current().attempt))
        if current().attempt == 1:
            await asyncio.Event().wait()
        return number + 1

    chain = executor.sequence("chain", flaky, slow_once, flaky)
    await executor.start()
    handle = await executor.enqueue(chain, 0)
    await world.advance(100)
    assert await handle.result() == 3
    flakies = [("flaky", attempt) for attempt in (1, 2, 3)]
    assert ran == [*flakies, ("slow", 1), ("slow", 2), *flakies]


async def test_a_failed_step_is_named(world: World) -> None:
    executor = world.executor()

    @executor.task
    async def first() -> int:
        return 1

    @executor.task
    async def second(number: int) -> int:
        msg = f"cannot take {number}"
        raise ValueError(msg)

    @executor.task(timeout=5)
    async def endless(number: int) -> int:
        await asyncio.Event().wait()
        return number

    failing = executor.sequence("failing", first, second)
    endless_chain = executor.sequence("endless-chain", first, endless)
    await executor.start()
    with pytest.raises(ExecutionFailedError) as caught:
        await (await executor.enqueue(failing)).result()
    info = caught.value.info
    assert info is not None
    assert info.message == "cannot take 1"
    assert info.notes == ("in step 1 (second) of sequence failing",)
    handle = await executor.enqueue(endless_chain)
    await world.advance(5)
    with pytest.raises(ExecutionTimedOutError):
        await handle.result()


async def test_composed_tasks_are_steps_too(world: World) -> None:
    executor = world.executor()

    @executor.task
    async def start(number: int) -> int:
        return number

    @executor.task
    async def child(number: int) -> int:
        return number * 10

    def total(joined: Joined[str, int]) -> int:
        return sum(item.output or 0 for item in joined.children)

    @executor.parent(finalize=total)
    async def spread(number: int) -> FanOut[str]:
        return FanOut("own", [child.call(place) for place in range(number)])

    @executor.task
    async def to_key(number: int) -> str:
        return f"key-{number}"

    approval = executor.sleeping("approval", bool)
    inner = executor.sequence("inner", to_key, approval)
    outer = executor.sequence("outer", start, spread, inner)
    await executor.start()
    handle = await executor.enqueue(outer, 4)
    await world.idle(executor)
    assert await handle.status() is Status.WAITING_FOR_CHILDREN
    await executor.wake(approval, "key-60", value=True)
    assert await handle.result() is True


async def test_a_failed_child_of_a_sequence_fails_it(world: World) -> None:
    executor = world.executor()

    @executor.task
    async def broken() -> int:
        msg = "inside"
        raise ValueError(msg)

    approval = executor.sleeping("approval", int, timeout=60)
    inner = executor.sequence("inner", broken)
    outer = executor.sequence("outer", inner)

    @executor.task
    async def key() -> str:
        return "k"

    sleepy = executor.sequence("sleepy", key, approval)
    await executor.start()
    with pytest.raises(ExecutionFailedError) as caught:
        await (await executor.enqueue(outer)).result()
    info = caught.value.info
    assert info is not None
    assert info.message == "inside"
    assert info.notes == (
        "in step 0 (broken) of sequence inner",
        "in step 0 (inner) of sequence outer",
    )
    handle = await executor.enqueue(sleepy)
    await world.idle(executor, horizon=100)
    with pytest.raises(ExecutionTimedOutError):
        await handle.result()
    again = await executor.enqueue(sleepy)
    await world.idle(executor)
    (child,) = await world.rows(parent_id=again.id)
    await executor.cancel(child.id)
    with pytest.raises(ExecutionFailedError, match="cancelled"):
        await again.result()


async def test_a_step_that_does_not_fit_the_one_before_fails_it(world: World) -> None:
    executor = world.executor(max_output=100)

    @executor.task
    async def text() -> str:
        return "not a number"

    @executor.task
    async def number(value: int) -> int:
        return value

    @executor.task
    async def long() -> str:
        return "x" * 200

    @executor.task
    async def shorten(value: str) -> int:
        return len(value)

    second: Any = number
    misfit: Any = executor.sequence("misfit", text, second)
    too_long = executor.sequence("too-long", long, shorten)
    await executor.start()
    with pytest.raises(ExecutionFailedError, match="number"):
        await (await executor.enqueue(misfit)).result()
    with pytest.raises(ExecutionFailedError, match="output of step 0"):
        await (await executor.enqueue(too_long)).result()


async def test_cancellation_between_two_steps_stops_the_sequence(world: World) -> None:
    executor = world.executor()
    ran: list[str] = []

    @executor.task(retries=RetryPolicy(1, delay=60))
    async def first() -> int:
        ran.append("first")
        if current().attempt == 1:
            raise OSError
        return 1

    @executor.task
    async def second(number: int) -> int:
        ran.append("second")
        return number

    chain = executor.sequence("chain", first, second, deadline=3600)
    await executor.start()
    handle = await executor.enqueue(chain)
    await world.idle(executor)
    assert await handle.cancel()
    await world.idle(executor, horizon=1000)
    with pytest.raises(ExecutionCancelledError):
        await handle.result()
    assert ran == ["first"]


async def test_a_sequence_has_at_least_one_step() -> None:
    empty: list[Any] = []
    with pytest.raises(TaskDefinitionError, match="no steps"):
        Tasks().sequence("empty", *empty)
