"""Retries: how often, when, and after which exceptions."""

import asyncio
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from durable_core import (
    DurableExecutor,
    ErrorInfo,
    ExecutionFailedError,
    NonRetryableError,
    RetryPolicy,
    Status,
    current,
)

from .world import Recorder, World


class FatalError(NonRetryableError):
    """Nothing that another attempt could mend."""


async def test_a_failed_attempt_is_repeated_until_one_succeeds(world: World) -> None:
    executor = world.executor()
    seen: list[tuple[int, str | None]] = []

    @executor.task(retries=RetryPolicy(5, delay=10, multiplier=1, jitter=0))
    async def flaky() -> str:
        context = current()
        previous = context.previous_error
        seen.append((context.attempt, None if previous is None else previous.message))
        if context.attempt < 4:
            msg = f"attempt {context.attempt}"
            raise OSError(msg)
        return "done"

    await executor.start()
    handle = await executor.enqueue(flaky)
    await world.idle(executor)
    waiting = await handle.execution()
    assert waiting.status is Status.READY
    assert waiting.failed_attempts == 1
    assert waiting.error is not None
    assert waiting.error.message == "attempt 1"
    assert waiting.due_at == world.clock.now() + timedelta(seconds=10)
    await world.idle(executor, horizon=1000)
    assert await handle.result() == "done"
    assert seen == [(1, None), (2, "attempt 1"), (3, "attempt 2"), (4, "attempt 3")]
    assert world.clock.monotonic() == 30


async def test_the_last_error_remains_when_the_attempts_are_used_up(world: World) -> None:
    executor = world.executor()
    attempts: list[int] = []

    @executor.task(retries=2)
    async def broken() -> None:
        attempts.append(current().attempt)
        msg = f"attempt {current().attempt}"
        raise OSError(msg)

    await executor.start()
    handle = await executor.enqueue(broken)
    await world.idle(executor, horizon=1000)
    assert attempts == [1, 2, 3]
    with pytest.raises(ExecutionFailedError, match="attempt 3"):
        await handle.result()


async def test_without_retries_one_attempt_is_all(world: World) -> None:
    executor = world.executor()
    attempts: list[int] = []

    @executor.task
    async def broken() -> None:
        attempts.append(current().attempt)
        raise OSError

    await executor.start()
    handle = await executor.enqueue(broken)
    await world.idle(executor, horizon=1000)
    assert await handle.status() is Status.FAILED
    assert attempts == [1]


async def test_the_pause_grows_to_its_maximum(world: World) -> None:
    executor = world.executor()
    times: list[float] = []
    policy = RetryPolicy(5, delay=1, multiplier=3, max_delay=20, jitter=0.5)

    @executor.task(retries=policy)
    async def broken() -> None:
        times.append(world.clock.monotonic())
        raise OSError

    await executor.start()
    await executor.enqueue(broken)
    await world.idle(executor, horizon=1000)
    pauses = [later - earlier for earlier, later in pairwise(times)]
    # The middle of the jitter is the delay itself.
    assert pauses == [1, 3, 9, 20, 20]


@pytest.mark.parametrize(("chance", "pause"), [(0.0, 8.0), (0.5, 10.0), (0.75, 11.0)])
async def test_jitter_spreads_the_pause(world: World, chance: float, pause: float) -> None:
    executor = world.executor(random=lambda: chance)

    @executor.task(retries=RetryPolicy(1, delay=10, jitter=0.2))
    async def broken() -> None:
        raise OSError

    await executor.start()
    handle = await executor.enqueue(broken)
    await world.idle(executor)
    due = (await handle.execution()).due_at
    assert due == world.clock.now() + timedelta(seconds=pause)


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (ConnectionError("retried: an OSError"), 3),
        (PermissionError("an OSError that is excepted"), 1),
        (ValueError("not in retry_on"), 1),
        (FatalError("never retried"), 1),
        (NonRetryableError("never retried"), 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
async def test_the_exception_decides_about_another_attempt(
    world: World, error: Exception, attempts: int
) -> None:
    executor = world.executor()
    made: list[int] = []

    @executor.task(
        retries=RetryPolicy(
            2, delay=1, retry_on=(OSError, NonRetryableError), never_on=(PermissionError,)
        )
    )
    async def broken() -> None:
        made.append(current().attempt)
        raise error

    await executor.start()
    handle = await executor.enqueue(broken)
    await world.idle(executor, horizon=100)
    assert len(made) == attempts
    execution = await handle.execution()
    assert execution.status is Status.FAILED
    assert execution.error is not None
    assert execution.error.retryable is (attempts == 3)


@pytest.mark.parametrize(
    ("policy", "attempts"),
    [
        (RetryPolicy(2, delay=1), 3),
        (RetryPolicy(2, delay=1, retry_on=(ValueError,)), 1),
        (RetryPolicy(2, delay=1, never_on=(TimeoutError,)), 1),
    ],
    ids=["any", "retry_on others", "never_on"],
)
async def test_a_timeout_is_retried_as_a_timeout_error(
    world: World, policy: RetryPolicy, attempts: int
) -> None:
    executor = world.executor()
    made: list[int] = []

    @executor.task(retries=policy, timeout=5)
    async def slow() -> None:
        made.append(current().attempt)
        await asyncio.Event().wait()

    await executor.start()
    handle = await executor.enqueue(slow)
    await world.advance(100)
    assert len(made) == attempts
    assert await handle.status() is Status.TIMED_OUT


async def test_a_cancellation_that_nobody_asked_for_is_a_failure(world: World) -> None:
    executor = world.executor()
    made: list[int] = []

    @executor.task(retries=RetryPolicy(1, delay=1))
    async def cancels_itself() -> str:
        made.append(current().attempt)
        if len(made) == 1:
            inner = asyncio.ensure_future(asyncio.Event().wait())
            asyncio.get_running_loop().call_soon(inner.cancel)
            await inner
        return "second"

    await executor.start()
    handle = await executor.enqueue(cancels_itself)
    await world.idle(executor, horizon=10)
    assert await handle.result() == "second"
    assert made == [1, 2]


async def test_options_at_enqueue_override_those_of_the_task(world: World) -> None:
    executor = world.executor()
    made: list[str] = []

    @executor.task(retries=RetryPolicy(1, delay=7, jitter=0))
    async def broken(name: str) -> None:
        made.append(name)
        raise OSError

    await executor.start()
    await executor.enqueue(broken.with_options(retries=3), "more")
    await executor.enqueue(broken.with_options(retries=RetryPolicy(0)), "none")
    await executor.enqueue(broken, "own")
    await world.idle(executor, horizon=1000)
    assert (made.count("more"), made.count("none"), made.count("own")) == (4, 1, 2)


async def test_a_row_keeps_the_policy_it_was_enqueued_with(world: World) -> None:
    made: list[int] = []

    def define(executor: DurableExecutor, retries: int) -> Any:
        @executor.task(name="broken", retries=RetryPolicy(retries, delay=1))
        async def broken() -> None:
            made.append(current().attempt)
            raise OSError

        return broken

    client = world.executor(client_only=True)
    before = define(client, 3)
    await client.start()
    handle = await client.enqueue(before)
    executor = world.executor()
    define(executor, 0)
    await executor.start()
    await world.idle(executor, horizon=100)
    assert made == [1, 2, 3, 4]
    assert await handle.status() is Status.FAILED


async def test_a_retry_does_not_hold_a_place(world: World) -> None:
    executor = world.executor(concurrency=1)

    @executor.task(retries=RetryPolicy(1, delay=3600))
    async def broken() -> None:
        raise OSError

    @executor.task
    async def quick() -> str:
        return "served"

    await executor.start()
    await executor.enqueue(broken)
    assert await (await executor.enqueue(quick)).result() == "served"


async def test_hooks_hear_of_retries(world: World) -> None:
    recorder = Recorder()
    executor = world.executor(hooks=[recorder])

    @executor.task(retries=RetryPolicy(1, delay=4, jitter=0))
    async def flaky() -> None:
        if current().attempt == 1:
            msg = "at first"
            raise OSError(msg)

    await executor.start()
    handle = await executor.enqueue(flaky)
    due = world.clock.time_us() + 4_000_000
    await world.idle(executor, horizon=10)
    assert recorder.names() == ["enqueued", "started", "retried", "started", "finished"]
    assert recorder.of("retried") == [("retried", (handle.id, "at first", due))]


async def test_the_error_of_an_earlier_attempt_does_not_remain_after_success(
    world: World,
) -> None:
    executor = world.executor()

    @executor.task(retries=RetryPolicy(1, delay=1))
    async def flaky() -> int:
        if current().attempt == 1:
            msg = "at first"
            raise OSError(msg)
        return 1

    await executor.start()
    handle = await executor.enqueue(flaky)
    await world.idle(executor, horizon=10)
    row = await world.row(handle.id)
    assert row.error is None or ErrorInfo.decode(row.error).message == "at first"
    assert (await handle.execution()).status is Status.COMPLETED
    assert (await handle.execution()).error is None
