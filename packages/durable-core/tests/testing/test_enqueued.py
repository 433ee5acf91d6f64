"""Asking what was enqueued: what fits, and messages that say what was there instead."""

from typing import Any

import pytest

from durable_core import FanOut, Joined, MemoryStorage
from durable_core.testing import (
    ExecutorFactory,
    FakeClock,
    assert_enqueued,
    enqueued,
    run_until_idle,
)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def make(clock: FakeClock) -> ExecutorFactory:
    return ExecutorFactory(MemoryStorage(clock=clock.time_us), clock)


async def test_all_executions_of_a_task_are_listed(make: ExecutorFactory, clock: FakeClock) -> None:
    executor = make(client_only=True)

    @executor.task
    async def send(to: str, *, times: int = 1) -> None: ...

    @executor.task
    async def other() -> None: ...

    @executor.task
    async def many(*numbers: int) -> None: ...

    async with executor:
        assert await enqueued(executor, send) == []
        await executor.enqueue(send.with_options(key="k", meta=b"m"), "a")
        await executor.enqueue(other)
        await clock.advance(1)
        await executor.enqueue(send, "b", times=3)
        first, second = await enqueued(executor, send)
        assert (first.args, first.kwargs, first.meta) == ((), {"to": "a"}, b"m")
        assert first.execution.key == "k"
        assert (second.args, second.kwargs) == ((), {"to": "b", "times": 3})
        assert str(second) == f"send(to='b', times=3), ready [{second.execution.id}]"
        await clock.advance(1)
        await executor.enqueue(many, 1, 2, 3)
        (found,) = await enqueued(executor, many)
        assert (found.args, found.kwargs) == ((1, 2, 3), {})


async def test_what_fits_the_description_is_returned(make: ExecutorFactory) -> None:
    executor = make(client_only=True)

    @executor.task(tags=["mail"])
    async def send(to: str, body: str = "hello") -> None: ...

    asleep = executor.sleeping("asleep", int)
    async with executor:
        with pytest.raises(AssertionError):
            await assert_enqueued(executor, send)
        await executor.enqueue(send, "ada", body="x")
        special = send.with_options(id="i", key="k", queue="q", priority=3, tags=["vip"])
        await executor.enqueue(special, "bob")
        await executor.enqueue(asleep, "order-1")
        assert len(await assert_enqueued(executor, send)) == 2
        assert len(await assert_enqueued(executor, send, count=2)) == 2
        (found,) = await assert_enqueued(executor, send.call("ada", "x"))
        assert found.execution.key is None
        await assert_enqueued(executor, send, id="i")
        await assert_enqueued(executor, send, key="k")
        await assert_enqueued(executor, send, queue="q", priority=3, tags=["vip", "mail"])
        await assert_enqueued(executor, send.call("bob"), key="k", count=1)
        await assert_enqueued(executor, send.call("eve"), count=0)
        await assert_enqueued(executor, asleep, key="order-1")
        await assert_enqueued(executor, asleep.call("order-1"))
        wrong: list[dict[str, Any]] = [
            {"id": "j"},
            {"key": "l"},
            {"queue": "p"},
            {"priority": 2},
            {"tags": ["t"]},
        ]
        for condition in wrong:
            with pytest.raises(AssertionError, match="found it 0 times"):
                await assert_enqueued(executor, send, **condition)
        with pytest.raises(AssertionError, match="found it 2 times"):
            await assert_enqueued(executor, send, count=1)
        with pytest.raises(AssertionError, match="found it 1 times"):
            await assert_enqueued(executor, send.call("bob"), count=0)


async def test_the_message_lists_what_was_enqueued_instead(
    make: ExecutorFactory, clock: FakeClock
) -> None:
    executor = make(client_only=True)

    @executor.task
    async def send(to: str) -> None: ...

    @executor.task
    async def other() -> None: ...

    async with executor:
        with pytest.raises(AssertionError) as nothing:
            await assert_enqueued(executor, send)
        assert str(nothing.value) == (
            "expected task 'send' at least once, found it 0 times; nothing was enqueued at all"
        )
        await executor.enqueue(other)
        await executor.enqueue(other)
        with pytest.raises(AssertionError) as others:
            await assert_enqueued(executor, send.call("ada"), key="k")
        assert str(others.value) == (
            "expected send(to='ada') with key='k' at least once, found it 0 times; "
            "none of this task was enqueued; there are: other (2)"
        )
        for number in range(25):
            await clock.advance(1)
            await executor.enqueue(send.with_options(priority=5, key=f"k{number}"), "bob")
        with pytest.raises(AssertionError) as same:
            await assert_enqueued(executor, send.call("ada"))
        first, *lines = str(same.value).splitlines()
        assert first.endswith("of this task there are:")
        assert lines[0].startswith("  send(to='bob'), ready, key='k0', priority=5 [")
        assert len(lines) == 21
        assert lines[-1] == "  and 5 more"


async def test_children_and_finished_executions_count(make: ExecutorFactory) -> None:
    executor = make()

    @executor.task
    async def child(number: int) -> int:
        return number

    @executor.task
    async def finalize(joined: Joined[str, int]) -> int:
        return len(joined.children)

    @executor.parent(finalize=finalize)
    async def parent() -> FanOut[str]:
        return FanOut("own", [child.call(1), child.call(2)])

    async with executor:
        handle = await executor.enqueue(parent)
        await run_until_idle(executor)
        assert await handle.result() == 2
        await assert_enqueued(executor, child, count=2)
        (second,) = await assert_enqueued(executor, child.call(2))
        assert second.execution.parent_id == handle.id
        # A finalizer's argument is gathered when it runs.
        (finalizer,) = await enqueued(executor, finalize)
        assert finalizer.execution.child_index == -1
