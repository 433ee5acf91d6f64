"""What users get wrong is refused with what to do instead, before anything is stored."""

from typing import Any

import pytest

from durable_core import (
    DurableExecutor,
    ExecutionFailedError,
    FanOut,
    InputError,
    MemoryStorage,
    OptionError,
    OutputError,
    RetryPolicy,
    Tasks,
)

tasks = Tasks()


@tasks.task(retries=RetryPolicy(2, retry_on=(OSError,)))
async def leaf(number: int) -> int:
    return number


@tasks.parent
async def forgetful(number: int) -> FanOut[None]:
    children: list[Any] = [leaf(number)]
    return FanOut(None, children)


sequence = tasks.sequence("sequence", leaf, leaf)
approval = tasks.sleeping("approval", bool, timeout=60)


def plain(number: int) -> int:
    return number


async def test_what_is_no_task_or_no_call_is_refused() -> None:
    async with DurableExecutor(MemoryStorage(), tasks=tasks) as executor:
        wrong: Any = plain
        with pytest.raises(InputError, match="decorate the function"):
            await executor.enqueue(wrong, 1)
        wrong = leaf.call(1)
        with pytest.raises(InputError, match="enqueue_many"):
            await executor.enqueue(wrong)
        wrong = [leaf(1)]
        with pytest.raises(InputError, match=r"write task\.call"):
            await executor.enqueue_many(wrong)
        assert await executor.count() == {"*": 0}
        handle = await executor.enqueue(forgetful, 1)
        with pytest.raises(ExecutionFailedError, match=r"write task\.call"):
            await handle.result(10)


@pytest.mark.parametrize(
    ("task", "options"),
    [
        (sequence, {"retries": 3}),
        (sequence, {"timeout": 3}),
        (approval, {"retries": 3}),
        (approval, {"delay": 3}),
        (leaf, {"retries": RetryPolicy(3, retry_on=(KeyError,))}),
        (leaf, {"retries": RetryPolicy(3, never_on=(KeyError,))}),
    ],
)
def test_options_that_would_be_ignored_are_refused(task: Any, options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="|".join([*options, "retry_on"])):
        task.with_options(**options)


def test_a_call_keeps_the_tasks_own_exceptions() -> None:
    assert leaf.with_options(retries=RetryPolicy(9)).options.retries.retry_on == (OSError,)


async def test_values_that_nobody_knows_are_refused() -> None:
    async with DurableExecutor(MemoryStorage(), tasks=tasks) as executor:
        with pytest.raises(OptionError, match="'status', 'task', 'queue'"):
            await executor.count(by="colour")
        wrong: Any = ["nope"]
        with pytest.raises(OptionError, match="'nope' is none of 'ready'"):
            await executor.find(statuses=wrong)
        with pytest.raises(InputError, match="1 to 191 characters"):
            await executor.wake(approval, "", value=True)
        wrong = "perhaps not"
        with pytest.raises(OutputError, match="a sleeper of task 'approval'"):
            await executor.wake(approval, "key", wrong)


def test_a_queue_needs_a_name() -> None:
    with pytest.raises(OptionError, match="queue"):
        DurableExecutor(MemoryStorage(), queues=[""])


async def test_a_task_defined_later_is_known_too() -> None:
    later = Tasks()
    async with DurableExecutor(MemoryStorage(), tasks=later, name="Café au lait") as executor:

        @later.task
        async def late() -> str:
            return "in time"

        assert await (await executor.enqueue(late)).result(10) == "in time"


async def test_a_sleepers_time_can_be_given_at_enqueue() -> None:
    async with DurableExecutor(MemoryStorage(), tasks=tasks) as executor:
        handle = await executor.enqueue(approval.with_options(timeout=0.05), "soon")
        execution = await handle.wait(10)
        assert execution.status == "timed_out"
        assert (await handle.wait(0)).status == "timed_out"
