"""Plain tasks: where they run, what they get, and how they end."""

import asyncio
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from durable_core import (
    ExecutionFailedError,
    InputError,
    NotRunningError,
    PayloadTooLargeError,
    Status,
    Tasks,
    UnknownTaskError,
)

from .bodies import die_elsewhere, square_elsewhere
from .world import World


class Order(BaseModel):
    number: int
    path: Path


@dataclass(frozen=True)
class Bill:
    order: Order
    total: float


async def test_an_async_task_runs_in_the_event_loop(world: World) -> None:
    executor = world.executor()
    threads: list[threading.Thread] = []

    @executor.task
    async def add(a: int, b: int = 10) -> int:
        threads.append(threading.current_thread())
        await asyncio.sleep(0)
        return a + b

    await executor.start()
    handles = [
        await executor.enqueue(add, 1, 2),
        await executor.enqueue(add, 1),
        await executor.enqueue(add, b=5, a=4),
    ]
    assert await executor.results(handles) == [3, 11, 9]
    assert set(threads) == {threading.main_thread()}
    assert await add(1, 2) == 3
    assert await world.count() == 3


async def test_a_sync_task_runs_in_a_worker_thread_and_does_not_block_the_loop(
    world: World,
) -> None:
    executor = world.executor()
    let_go = threading.Event()

    @executor.task
    def name_of_thread() -> str:
        assert let_go.wait(10)
        return threading.current_thread().name

    @executor.task
    async def release() -> None:
        let_go.set()

    await executor.start()
    blocked = await executor.enqueue(name_of_thread)
    await executor.enqueue(release)
    assert (await blocked.result()).startswith("durable")


async def test_a_task_that_keeps_a_core_busy_runs_in_another_process(world: World) -> None:
    executor = world.executor(process_workers=1)
    square = executor.task(run_in="process", name="square")(square_elsewhere)
    die = executor.task(run_in="process", name="die", retries=0)(die_elsewhere)
    await executor.start()

    result, pid = await (await executor.enqueue(square, 12)).result()
    assert result == 144
    assert pid != os.getpid()

    with pytest.raises(ExecutionFailedError, match="BrokenProcessPool"):
        await (await executor.enqueue(die, 3)).result()
    # The pool that broke was replaced.
    again, _ = await (await executor.enqueue(square, 5)).result()
    assert again == 25


async def test_arguments_and_results_keep_their_types(world: World) -> None:
    executor = world.executor()

    @executor.task
    async def bill(order: Order, *factors: float, **names: str) -> Bill:
        assert isinstance(order, Order)
        assert isinstance(order.path, Path)
        assert names == {"currency": "EUR"}
        return Bill(order, sum(factors))

    await executor.start()
    order = Order(number=7, path=Path("a") / "b")
    result = await (await executor.enqueue(bill, order, 1.5, 2.5, currency="EUR")).result()
    assert result == Bill(order, 4.0)


async def test_bad_arguments_are_refused_at_enqueue_and_nothing_is_stored(world: World) -> None:
    executor = world.executor(max_input=100)
    other = Tasks()

    def positive(number: int, text: str = "") -> None:
        assert len(text) < 1000
        if number <= 0:
            msg = "must be positive"
            raise ValueError(msg)

    @executor.task(validate=positive)
    async def take(number: int, text: str = "") -> int:
        return number + len(text)

    @other.task
    async def elsewhere() -> None: ...

    await executor.start()
    wrong: Any = "three"
    with pytest.raises(InputError, match="number"):
        await executor.enqueue(take, wrong)
    with pytest.raises(InputError, match="must be positive"):
        await executor.enqueue(take, -1)
    with pytest.raises(PayloadTooLargeError, match="max_input"):
        await executor.enqueue(take, 1, "x" * 200)
    with pytest.raises(UnknownTaskError, match="elsewhere"):
        await executor.enqueue(elsewhere)
    assert await world.count() == 0


async def test_stored_arguments_are_checked_again_when_they_run(world: World) -> None:
    old, new = Tasks(), Tasks()

    @old.task(name="convert")
    async def convert_old(value: str) -> str:
        return value

    @new.task(name="convert", retries=5)
    async def convert_new(value: int) -> int:
        return value

    client = await world.start(tasks=old, client_only=True)
    handle = await client.enqueue(convert_old, "many")
    executor = await world.start(tasks=new)
    await world.idle(executor)
    execution = await handle.execution()
    assert execution.status is Status.FAILED
    assert execution.error is not None
    assert execution.error.type.endswith("InputError")
    assert execution.failed_attempts == 0


async def test_an_output_that_does_not_fit_fails_the_execution(world: World) -> None:
    executor = world.executor(max_output=100)

    @executor.task(retries=3)
    async def liar() -> int:
        wrong: Any = "text"
        return wrong  # type: ignore[no-any-return]

    @executor.task(retries=3)
    async def talker() -> str:
        return "x" * 200

    await executor.start()
    with pytest.raises(ExecutionFailedError) as lied:
        await (await executor.enqueue(liar)).result()
    assert lied.value.info is not None
    assert lied.value.info.type.endswith("OutputError")
    with pytest.raises(ExecutionFailedError, match="max_output"):
        await (await executor.enqueue(talker)).result()


async def test_an_error_keeps_type_message_traceback_and_notes(world: World) -> None:
    executor = world.executor()

    @executor.task
    async def fail() -> None:
        error = LookupError("no such thing")
        error.add_note("looked twice")
        raise error

    await executor.start()
    handle = await executor.enqueue(fail)
    with pytest.raises(ExecutionFailedError) as caught:
        await handle.result()
    error = caught.value
    assert error.execution_id == handle.id
    assert error.task == "fail"
    assert error.info is not None
    assert error.info.type_name == "LookupError"
    assert error.info.message == "no such thing"
    assert error.info.notes == ("looked twice",)
    assert "in fail" in error.info.traceback
    assert "durable_core" not in error.info.traceback
    assert "LookupError: no such thing" in str(error)


class Untamed(BaseException):
    """What `except Exception` does not catch."""


@pytest.mark.parametrize("kind", [SystemExit, StopIteration, Untamed, asyncio.CancelledError])
@pytest.mark.parametrize("where", ["loop", "thread"])
async def test_whatever_is_raised_ends_the_execution(
    world: World, kind: type[BaseException], where: str
) -> None:
    executor = world.executor()

    @executor.task
    async def in_loop() -> None:
        raise kind("odd")

    @executor.task
    def in_thread() -> None:
        raise kind("odd")

    await executor.start()
    handle = await executor.enqueue(in_loop if where == "loop" else in_thread)
    await world.idle(executor)
    execution = await handle.execution()
    assert execution.status is Status.FAILED
    assert execution.error is not None
    text = f"{execution.error.type} {execution.error.message} {execution.error.traceback}"
    assert kind.__name__ in text


async def test_an_executor_that_does_not_run_says_so(world: World) -> None:
    executor = world.executor()

    @executor.task
    async def nothing() -> None: ...

    with pytest.raises(NotRunningError, match="was not started"):
        await executor.enqueue(nothing)
    async with executor:
        await executor.enqueue(nothing)
    with pytest.raises(NotRunningError, match="was shut down"):
        await executor.enqueue(nothing)
    with pytest.raises(NotRunningError, match="make a new one"):
        await executor.start()


@pytest.mark.parametrize("many", [True, False])
async def test_no_more_run_at_once_than_there_are_places(world: World, many: bool) -> None:  # noqa: FBT001
    executor = world.executor(concurrency=3)
    running: list[int] = []
    most: list[int] = []
    go = asyncio.Event()

    @executor.task
    async def work(number: int) -> int:
        running.append(number)
        most.append(len(running))
        await go.wait()
        running.remove(number)
        return number

    await executor.start()
    await world.idle(executor)
    if many:
        handles = await executor.enqueue_many([work.call(number) for number in range(20)])
    else:
        handles = [await executor.enqueue(work, number) for number in range(20)]
    await world.advance(1)
    assert len(running) == 3
    assert len(executor.running) == 3
    go.set()
    assert await executor.results(handles) == list(range(20))
    assert max(most) == 3
