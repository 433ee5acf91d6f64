"""Own ids and idempotency keys: the same request again is the same execution."""

import asyncio
from typing import Any

import pytest

from durable_core import DurableExecutor, IdConflictError, OptionError, Status
from durable_core.testing.faults import Fault, On

from .world import Recorder, World


def define(executor: DurableExecutor) -> tuple[Any, Any, list[int]]:
    ran: list[int] = []

    @executor.task
    async def work(number: int, text: str = "t") -> int:
        assert text[0] in "tx"
        ran.append(number)
        return number

    @executor.task
    async def other(number: int, text: str = "t") -> int:
        assert text == "t"
        ran.append(-number)
        return number

    return work, other, ran


@pytest.mark.parametrize("by", ["id", "key"])
async def test_the_same_request_gives_a_handle_on_the_existing_execution(
    world: World, by: str
) -> None:
    recorder = Recorder()
    executor = world.executor(hooks=[recorder])
    work, _, ran = define(executor)
    await executor.start()
    mine = work.with_options(**{by: "mine"})
    first = await executor.enqueue(mine, 1)
    await first.result()
    # However the arguments are written, and whatever the options say.
    again = await executor.enqueue(mine.with_options(priority=7), number=1)
    assert (first.created, again.created) == (True, False)
    assert again.id == first.id
    assert await again.result() == 1
    assert ran == [1]
    assert await world.count() == 1
    assert len(recorder.of("enqueued")) == 1


@pytest.mark.parametrize("by", ["id", "key"])
async def test_another_input_is_a_conflict_and_nothing_is_written(world: World, by: str) -> None:
    executor = world.executor()
    work, other, ran = define(executor)
    await executor.start()
    first = await executor.enqueue(work.with_options(**{by: "mine"}), 1)
    with pytest.raises(IdConflictError, match="another input") as caught:
        await executor.enqueue(work.with_options(**{by: "mine"}), 2)
    assert "'mine'" in str(caught.value)
    assert first.id in str(caught.value)
    if by == "id":
        with pytest.raises(IdConflictError, match="'work' with another task"):
            await executor.enqueue(other.with_options(id="mine"), 1)
    else:
        # Keys belong to their task.
        assert (await executor.enqueue(other.with_options(key="mine"), 1)).created
    await world.idle(executor)
    assert [number for number in ran if number > 0] == [1]


async def test_of_many_at_once_one_is_created(world: World) -> None:
    executors = [world.executor() for _ in range(3)]
    work, _, ran = define(executors[0])
    for executor in executors:
        if executor is not executors[0]:
            executor.tasks.include(executors[0].tasks)
        await executor.start()
    handles = await asyncio.gather(
        *(
            executor.enqueue(work.with_options(key="mine"), 1)
            for executor in executors
            for _ in range(5)
        )
    )
    assert len({handle.id for handle in handles}) == 1
    assert sum(handle.created for handle in handles) == 1
    assert {await handle.result() for handle in handles} == {1}
    assert ran == [1]


async def test_enqueue_many_stores_with_few_commits_and_reports_conflicts(world: World) -> None:
    executor = world.executor()
    work, _, ran = define(executor)
    await executor.start()
    await executor.enqueue(work.with_options(id="taken"), 0)
    await world.idle(executor)
    before = len(world.calls(executor, "insert"))
    calls = [work.call(number) for number in range(1, 50)]
    handles = await executor.enqueue_many(calls)
    assert len(world.calls(executor, "insert")) == before + 1
    assert await executor.results(handles) == list(range(1, 50))

    with pytest.raises(ExceptionGroup, match=r"1 of 3 .* not stored") as caught:
        await executor.enqueue_many(
            [work.call(100), work.with_options(id="taken").call(101), work.call(102)]
        )
    assert isinstance(caught.value.exceptions[0], IdConflictError)
    await world.idle(executor)
    assert sorted(ran)[-2:] == [100, 102]


async def test_enqueue_many_checks_all_before_it_stores_any(world: World) -> None:
    executor = world.executor(max_input=60)
    work, _, _ = define(executor)
    await executor.start()
    with pytest.raises(Exception, match="max_input"):
        await executor.enqueue_many([work.call(1), work.call(2, "x" * 100)])
    assert await world.count() == 0


async def test_an_insert_whose_answer_is_lost_is_created_once_and_runs_at_once(
    world: World,
) -> None:
    executor = world.executor(On("insert", Fault.lost_answer(), nth=1))
    work, _, ran = define(executor)
    await executor.start()
    await world.idle(executor)
    enqueueing = asyncio.ensure_future(executor.enqueue(work, 1))
    await world.advance(1)
    handle = await enqueueing
    assert handle.created
    await world.idle(executor)
    # The row was inserted held: nobody else would look for it before the next minute.
    assert world.clock.monotonic() == 1
    assert ran == [1]
    assert await handle.result() == 1


async def test_ids_and_keys_are_free_again_after_a_purge(world: World) -> None:
    executor = world.executor()
    work, _, ran = define(executor)
    await executor.start()
    mine = work.with_options(id="mine", key="mine")
    await (await executor.enqueue(mine, 1)).result()
    await world.advance(100)
    assert await executor.purge(older_than=50) == 1
    again = await executor.enqueue(mine, 2)
    assert again.created
    assert await again.result() == 2
    assert ran == [1, 2]


@pytest.mark.parametrize(
    "options",
    [{"id": ""}, {"id": "with blank"}, {"id": "ü"}, {"id": "x" * 256}, {"key": ""}],
    ids=str,
)
async def test_ids_and_keys_that_no_storage_takes_are_refused(
    world: World, options: dict[str, str]
) -> None:
    executor = world.executor()
    work, _, _ = define(executor)
    with pytest.raises(OptionError, match=next(iter(options))):
        work.with_options(**options)


async def test_own_ids_up_to_the_limit_work(world: World) -> None:
    executor = world.executor()
    work, _, _ = define(executor)
    await executor.start()
    long = await executor.enqueue(work.with_options(id="x" * 255), 1)
    odd = await executor.enqueue(work.with_options(key="schlüssel mit Leerzeichen"), 2)
    assert await executor.results([long, odd]) == [1, 2]
    assert await long.status() is Status.COMPLETED
