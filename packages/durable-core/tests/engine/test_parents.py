"""Parents: children in parallel, all-settled, in order, nested and recurring."""

import asyncio
from typing import Any

import pytest

from durable_core import (
    DurableExecutor,
    ExecutionFailedError,
    FanOut,
    Joined,
    RetryPolicy,
    SequenceTask,
    Status,
    Task,
    current,
)
from durable_core.storage import Phase

from .world import World


def outputs(joined: Joined[str, int]) -> list[int | None]:
    return [child.output for child in joined.children]


async def test_children_run_in_parallel_and_their_order_is_kept(world: World) -> None:
    executor = world.executor()
    running: set[int] = set()
    all_run = asyncio.Event()
    last = asyncio.Event()

    @executor.task
    async def child(number: int) -> int:
        running.add(number)
        if len(running) == 10:
            all_run.set()
        await all_run.wait()
        # The first ends last.
        if number == 0:
            await last.wait()
        return number * number

    @executor.parent(finalize=outputs)
    async def squares(count: int) -> FanOut[str]:
        return FanOut("own", [child.call(number) for number in range(count)])

    await executor.start()
    handle = await executor.enqueue(squares, 10)
    await world.advance(0)
    execution = await handle.execution()
    assert (execution.status, execution.pending_children) == (Status.WAITING_FOR_CHILDREN, 1)
    last.set()
    assert await handle.result() == [number * number for number in range(10)]
    rows = await world.rows(parent_id=handle.id)
    assert [row.child_index for row in rows] == list(range(10))
    assert {row.root_id for row in rows} == {handle.id}


async def test_all_are_settled_before_the_finalizer_sees_them(world: World) -> None:
    executor = world.executor()
    seen: list[Joined[str, int]] = []

    @executor.task
    async def good(number: int) -> int:
        return number

    @executor.task
    async def bad(number: int) -> int:
        msg = f"bad {number}"
        raise ValueError(msg)

    @executor.task(timeout=5)
    async def slow(number: int) -> int:
        await asyncio.Event().wait()
        return number

    @executor.task(delay=3600)
    async def later(number: int) -> int:
        return number

    def look(joined: Joined[str, int]) -> str:
        seen.append(joined)
        return joined.output

    @executor.parent(finalize=look)
    async def mixed() -> FanOut[str]:
        return FanOut("own", [good.call(0), bad.call(1), slow.call(2), later.call(3), good.call(4)])

    await executor.start()
    handle = await executor.enqueue(mixed)
    await world.advance(6)
    assert seen == []
    (_, _, _, waiting, _) = await world.rows(parent_id=handle.id)
    assert await executor.cancel(waiting.id)
    assert await handle.result() == "own"
    (joined,) = seen
    assert [child.status for child in joined.children] == [
        Status.COMPLETED,
        Status.FAILED,
        Status.TIMED_OUT,
        Status.CANCELLED,
        Status.COMPLETED,
    ]
    assert [child.ok for child in joined.children] == [True, False, False, False, True]
    assert [child.output for child in joined.children] == [0, None, None, None, 4]
    assert [child.index for child in joined.failed] == [1, 2, 3]
    error = joined.children[1].error
    assert error is not None
    assert (error.type_name, error.message) == ("ValueError", "bad 1")


async def test_parents_nest_and_recur(world: World) -> None:
    executor = world.executor(concurrency=4)

    def product(joined: Joined[int, int]) -> int:
        below = [child.output or 1 for child in joined.children]
        return joined.output * (below[0] if below else 1)

    async def factorial(number: int) -> FanOut[int]:
        rest: Task[[int], int] = tasks["factorial"]
        return FanOut(number, [rest.call(number - 1)] if number > 1 else [])

    tasks: dict[str, Any] = {"factorial": executor.parent(finalize=product)(factorial)}
    await executor.start()
    handle = await executor.enqueue(tasks["factorial"], 20)
    assert await handle.result() == 2432902008176640000
    rows = await world.rows(root_id=handle.id)
    assert len(rows) == 20
    assert {row.phase for row in rows} == {Phase.COMPLETED}


async def test_the_body_is_retried_under_the_parents_policy(world: World) -> None:
    executor = world.executor()
    bodies: list[int] = []

    @executor.task
    async def child(number: int) -> int:
        return number

    @executor.parent(finalize=outputs, retries=RetryPolicy(2, delay=1))
    async def parent() -> FanOut[str]:
        bodies.append(current().attempt)
        if current().attempt == 1:
            raise OSError
        return FanOut("own", [child.call(7)])

    await executor.start()
    handle = await executor.enqueue(parent)
    await world.idle(executor, horizon=10)
    assert await handle.result() == [7]
    assert bodies == [1, 2]


async def test_a_parent_must_return_a_fan_out(world: World) -> None:
    executor = world.executor()

    @executor.parent(finalize=outputs, retries=3)
    async def wrong() -> FanOut[str]:
        nothing: Any = [1, 2]
        return nothing  # type: ignore[no-any-return]

    @executor.task
    async def child() -> int:
        return 1

    @executor.parent(finalize=outputs, retries=3)
    async def keyed() -> FanOut[str]:
        return FanOut("own", [child.with_options(key="mine").call()])

    await executor.start()
    with pytest.raises(ExecutionFailedError, match=r"must return FanOut"):
        await (await executor.enqueue(wrong)).result()
    with pytest.raises(ExecutionFailedError, match="id or key of its own"):
        await (await executor.enqueue(keyed)).result()


async def test_sync_bodies_and_finalizers_run_in_threads(world: World) -> None:
    executor = world.executor()

    @executor.task
    def child(number: int) -> int:
        return number + 1

    @executor.parent(finalize=outputs)
    def parent(count: int) -> FanOut[str]:
        return FanOut("own", [child.call(number) for number in range(count)])

    await executor.start()
    assert await (await executor.enqueue(parent, 5)).result() == [1, 2, 3, 4, 5]


async def test_children_are_of_any_kind(world: World) -> None:
    executor = world.executor()

    @executor.task
    async def double(number: int) -> int:
        return number * 2

    chain: SequenceTask[[int], int] = executor.sequence("chain", double, double)
    asleep = executor.sleeping("asleep", int)

    @executor.parent(finalize=outputs)
    async def inner() -> FanOut[str]:
        return FanOut("inner", [double.call(1)])

    @executor.parent
    async def outer() -> FanOut[str]:
        return FanOut("outer", [double.call(1), chain.call(1), asleep.call("k"), inner.call()])

    await executor.start()
    handle = await executor.enqueue(outer)
    await world.idle(executor)
    await executor.wake(asleep, "k", 40)
    assert (await handle.result()).failed == 0
    assert [child.output async for child in handle.children()] == [2, 4, 40, [2]]


async def test_a_child_with_a_wake_key_in_use_fails_the_parent_clearly(world: World) -> None:
    executor = world.executor()
    asleep = executor.sleeping("asleep", int)

    @executor.task
    async def other() -> None: ...

    @executor.parent
    async def parent() -> FanOut[str]:
        return FanOut("own", [other.call(), asleep.call("taken")])

    await executor.start()
    await executor.enqueue(asleep, "taken")
    handle = await executor.enqueue(parent)
    with pytest.raises(ExecutionFailedError, match=r"child 1 .*'taken'.*another"):
        await handle.result()
    # Nothing of the refused transition remains.
    assert await world.rows(parent_id=handle.id) == []


async def test_ten_thousand_children(world: World) -> None:
    executor = world.executor(concurrency=500, max_output=10_000_000)

    @executor.task
    async def child(number: int) -> int:
        if number % 1000 == 999:
            raise ValueError(number)
        return number

    def check(joined: Joined[str, int]) -> tuple[int, int]:
        assert [child.index for child in joined.children] == list(range(10_000))
        total = sum(child.output or 0 for child in joined.children)
        return len(joined.failed), total

    @executor.parent(finalize=check)
    async def wide() -> FanOut[str]:
        return FanOut("own", [child.call(number) for number in range(10_000)])

    await executor.start()
    failed, total = await (await executor.enqueue(wide)).result()
    assert failed == 10
    assert total == sum(n for n in range(10_000) if n % 1000 != 999)


async def test_a_family_is_purged_together(world: World) -> None:
    executor = await _with_family(world)
    assert await world.count() == 4
    await world.advance(60)
    assert await executor.purge(older_than=30) == 4
    assert await world.count() == 0


async def _with_family(world: World) -> DurableExecutor:
    executor = world.executor()

    @executor.task
    async def child() -> int:
        return 1

    @executor.parent
    async def parent() -> FanOut[str]:
        return FanOut("own", [child.call() for _ in range(3)])

    await executor.start()
    await (await executor.enqueue(parent)).result()
    return executor
