"""Finalizers: as function, as task, as parent; what is left without one, and how they fail."""

import asyncio
from typing import Any

import pytest

from durable_core import (
    ChildResult,
    Context,
    ExecutionFailedError,
    FanOut,
    FinalizeFailedError,
    Joined,
    ParentResult,
    RetryPolicy,
    Status,
    current,
)

from .world import World


def outputs(joined: Joined[str, int]) -> list[int | None]:
    return [child.output for child in joined.children]


async def test_without_finalizer_a_parent_says_how_many_failed(world: World) -> None:
    executor = world.executor()

    @executor.task
    async def odd_fails(number: int) -> int:
        if number % 2:
            raise ValueError(number)
        return number

    @executor.parent
    async def tolerant(count: int) -> FanOut[dict[str, int]]:
        return FanOut({"count": count}, [odd_fails.call(number) for number in range(count)])

    @executor.parent(on_child_failure="fail")
    async def strict(count: int) -> FanOut[None]:
        return FanOut(None, [odd_fails.call(number) for number in range(count)])

    await executor.start()
    handle = await executor.enqueue(tolerant, 5)
    assert await handle.result() == ParentResult(output={"count": 5}, children=5, failed=2)
    children = [child async for child in handle.children()]
    assert [child.index for child in children] == list(range(5))
    assert [child.output for child in children] == [0, None, 2, None, 4]
    assert all(isinstance(child, ChildResult) for child in children)

    failing = await executor.enqueue(strict, 5)
    with pytest.raises(ExecutionFailedError) as caught:
        await failing.result()
    text = str(caught.value)
    assert "2 of 5 children" in text
    assert "ValueError: 1" in text
    assert "child 1" in text
    assert await (await executor.enqueue(strict, 1)).result() == ParentResult(
        output=None, children=1, failed=0
    )


async def test_a_parent_without_children_is_finalized_at_once(world: World) -> None:
    executor = world.executor()

    @executor.task
    async def count_them(joined: Joined[str, int]) -> str:
        return f"{joined.output}: {len(joined.children)}"

    @executor.parent(finalize=outputs)
    async def by_function() -> FanOut[str]:
        return FanOut("none")

    @executor.parent(finalize=count_them)
    async def by_task() -> FanOut[str]:
        return FanOut("none", [])

    @executor.parent
    async def without() -> FanOut[str]:
        return FanOut("none")

    await executor.start()
    assert await (await executor.enqueue(by_function)).result() == []
    assert await (await executor.enqueue(by_task)).result() == "none: 0"
    result = await (await executor.enqueue(without)).result()
    assert result == ParentResult(output="none", children=0, failed=0)


async def test_a_finalizer_that_is_a_task_runs_as_an_execution_of_its_own(world: World) -> None:
    executor = world.executor()
    attempts: list[int] = []

    @executor.task
    async def child(number: int) -> int:
        return number

    @executor.task(retries=RetryPolicy(1, delay=60, jitter=0), queue="default")
    async def total(ctx: Context, joined: Joined[str, int]) -> int:
        attempts.append(ctx.attempt)
        if ctx.attempt == 1:
            raise OSError
        assert ctx.child_index == -1
        assert ctx.parent_id == ctx.root_id
        return sum(child.output or 0 for child in joined.children)

    @executor.parent(finalize=total)
    async def parent() -> FanOut[str]:
        return FanOut("own", [child.call(number) for number in (1, 2, 3)])

    await executor.start()
    handle = await executor.enqueue(parent)
    await world.idle(executor)
    assert await handle.status() is Status.WAITING_FOR_FINALIZE
    await world.idle(executor, horizon=100)
    assert await handle.result() == 6
    assert attempts == [1, 2]
    # The finalizer is a child, but none of the parent's results.
    assert [row.child_index for row in await world.rows(parent_id=handle.id)] == [-1, 0, 1, 2]
    assert [child.index async for child in handle.children()] == [0, 1, 2]


async def test_a_finalizer_can_be_a_parent_itself_to_any_depth(world: World) -> None:
    executor = world.executor()

    @executor.task
    async def leaf(number: int) -> int:
        return number

    def sum_up(joined: Joined[Any, int]) -> int:
        return sum(child.output or 0 for child in joined.children)

    @executor.parent(finalize=sum_up)
    async def second(joined: Joined[str, int]) -> FanOut[str]:
        return FanOut("second", [leaf.call((child.output or 0) * 10) for child in joined.children])

    @executor.parent(finalize=second)
    async def middle(joined: Joined[str, int]) -> FanOut[str]:
        return FanOut("middle", [leaf.call((child.output or 0) + 1) for child in joined.children])

    @executor.parent(finalize=middle)
    async def first() -> FanOut[str]:
        return FanOut("first", [leaf.call(1), leaf.call(2)])

    await executor.start()
    handle = await executor.enqueue(first)
    # Two leaves, each plus one, each times ten.
    assert await handle.result() == 50
    assert len(await world.rows(root_id=handle.id)) == 9


async def test_a_failed_finalizer_is_told_from_a_failed_parent(world: World) -> None:
    executor = world.executor()

    def fail(joined: Joined[str, int]) -> int:
        msg = f"in the function after {joined.output}"
        raise ValueError(msg)

    @executor.task
    async def fail_as_task(joined: Joined[str, int]) -> int:
        msg = f"in the task after {joined.output}"
        raise ValueError(msg)

    @executor.task(timeout=5)
    async def too_slow(joined: Joined[str, int]) -> int:
        await asyncio.Event().wait()
        return len(joined.children)

    def define(name: str, finalize: Any) -> Any:
        async def parent() -> FanOut[str]:
            return FanOut("own")

        decorate: Any = executor.parent(name=name, finalize=finalize)
        return decorate(parent)

    @executor.parent(name="body", finalize=outputs)
    async def body_fails() -> FanOut[str]:
        msg = "in the body"
        raise ValueError(msg)

    await executor.start()
    cases = [("function", fail), ("task", fail_as_task), ("slow", too_slow)]
    handles = [await executor.enqueue(define(name, finalize)) for name, finalize in cases]
    await world.advance(6)
    for handle, text in zip(handles, ["in the function", "in the task", "5 s"], strict=True):
        with pytest.raises(FinalizeFailedError, match=text):
            await handle.result()
    with pytest.raises(ExecutionFailedError, match="in the body"):
        await (await executor.enqueue(body_fails)).result()


async def test_a_finalizing_function_is_retried_and_the_body_is_not(world: World) -> None:
    executor = world.executor()
    ran: list[str] = []

    @executor.task
    async def child() -> int:
        ran.append("child")
        return 1

    def flaky(joined: Joined[str, int]) -> int:
        ran.append(f"finalize {current().attempt}")
        if current().attempt < 3:
            raise OSError
        return len(joined.children)

    def define(name: str, children: int) -> Any:
        @executor.parent(
            name=name, finalize=flaky, retries=RetryPolicy(3, delay=10, multiplier=1, jitter=0)
        )
        async def parent() -> FanOut[str]:
            ran.append(f"body {current().attempt}")
            return FanOut("own", [child.call() for _ in range(children)])

        return parent

    await executor.start()
    for name, children in (("one", 1), ("none", 0)):
        ran.clear()
        handle = await executor.enqueue(define(name, children))
        await world.idle(executor, horizon=100)
        assert await handle.result() == children
        expected = ["body 1", *["child"] * children, "finalize 1", "finalize 2", "finalize 3"]
        assert ran == expected


async def test_aggregates_over_the_size_limit_fail_clearly(world: World) -> None:
    executor = world.executor(max_output=200)

    @executor.task
    async def child(number: int) -> int:
        return number

    @executor.parent(finalize=outputs)
    async def wide() -> FanOut[str]:
        return FanOut("own", [child.call(1000 + number) for number in range(100)])

    @executor.parent(finalize=outputs)
    async def talkative() -> FanOut[str]:
        return FanOut("x" * 300)

    @executor.parent
    async def without() -> FanOut[str]:
        return FanOut("own", [child.call(number) for number in range(100)])

    await executor.start()
    with pytest.raises(FinalizeFailedError, match="max_output"):
        await (await executor.enqueue(wide)).result()
    with pytest.raises(ExecutionFailedError, match="own output"):
        await (await executor.enqueue(talkative)).result()
    # Without finalizer no number of children makes the result too large.
    assert (await (await executor.enqueue(without)).result()).children == 100
