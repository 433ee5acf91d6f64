"""When an execution runs: delays, start times, priorities, queues and free places."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest

from durable_core import OptionError, Status, Tasks

from .world import World
from .wrappers import Mute


async def test_delays_and_start_times_are_kept_exactly(world: World) -> None:
    executor = world.executor()
    ran: list[tuple[str, float]] = []

    @executor.task
    async def note(name: str) -> None:
        ran.append((name, world.clock.monotonic()))

    @executor.task(delay=timedelta(minutes=1))
    async def note_later(name: str) -> None:
        ran.append((name, world.clock.monotonic()))

    await executor.start()
    now = world.clock.now()
    west = timezone(timedelta(hours=-7))
    await executor.enqueue(note.with_options(delay=90.25), "delay")
    await executor.enqueue(note_later, "the task's own")
    await executor.enqueue(note_later.with_options(delay=30), "another delay")
    at = (now + timedelta(seconds=45)).astimezone(west)
    await executor.enqueue(note.with_options(start_at=at), "start_at")
    past = datetime(1999, 1, 1, tzinfo=UTC)
    await executor.enqueue(note_later.with_options(start_at=past), "in the past")
    await world.idle(executor, horizon=1000)
    assert ran == [
        ("in the past", 0),
        ("another delay", 30),
        ("start_at", 45),
        ("the task's own", 60),
        ("delay", 90.25),
    ]


async def test_a_start_time_without_a_zone_is_refused(world: World) -> None:
    executor = await world.start()

    @executor.task
    async def note() -> None: ...

    naive = datetime(2030, 1, 1)  # noqa: DTZ001 - what is refused
    with pytest.raises(OptionError, match="time zone"):
        note.with_options(start_at=naive)


async def test_the_more_important_run_first_then_the_older(world: World) -> None:
    executor = world.executor(concurrency=1)
    ran: list[int] = []
    go = asyncio.Event()

    @executor.task
    async def blocks() -> None:
        await go.wait()

    @executor.task(priority=1)
    async def note(number: int) -> None:
        ran.append(number)

    await executor.start()
    await executor.enqueue(blocks)
    for number, priority in enumerate([0, 5, -3, 5, None, 1000]):
        await executor.enqueue(note.with_options(priority=priority), number)
        await world.advance(0.001)
    go.set()
    await world.idle(executor)
    assert ran == [5, 1, 3, 4, 0, 2]


async def test_an_executor_serves_its_queues_only(world: World) -> None:
    tasks = Tasks()
    ran: list[tuple[str, str]] = []

    @tasks.task(queue="mail")
    async def send(name: str) -> None:
        ran.append(("mail", name))

    @tasks.task
    async def other(name: str) -> None:
        ran.append(("default", name))

    mail = await world.start(tasks=tasks, queues=["mail", "urgent"])
    handle = await mail.enqueue(other, "of another queue")
    await mail.enqueue(send, "own")
    await mail.enqueue(other.with_options(queue="urgent"), "moved")
    await world.idle(mail)
    assert sorted(ran) == [("default", "moved"), ("mail", "own")]
    assert await handle.status() is Status.READY
    default = await world.start(tasks=tasks)
    await world.idle(default)
    assert await handle.status() is Status.COMPLETED
    execution = await handle.execution()
    assert execution.queue == "default"


async def test_unknown_tasks_stay_ready_for_those_who_know_them(world: World) -> None:
    old, new = Tasks(), Tasks()
    ran: list[str] = []

    @new.task
    async def added_later() -> None:
        ran.append("new")

    @old.task
    async def there_already() -> None:
        ran.append("old")

    deployed = await world.start(tasks=new, client_only=True)
    handle = await deployed.enqueue(added_later)
    half = await world.start(tasks=old)
    await world.advance(3600)
    row = await world.row(handle.id)
    assert (row.status, row.gen, row.crashes) == (Status.READY, 0, 0)
    assert ran == []
    # A task that becomes known while the executor runs is served from then on.
    half.register(added_later)
    await world.idle(half)
    assert ran == ["new"]


async def test_a_freed_place_is_refilled_at_once(world: World) -> None:
    executor = world.executor(concurrency=2)
    gates = [asyncio.Event() for _ in range(5)]
    started: list[int] = []

    @executor.task
    async def work(number: int) -> None:
        started.append(number)
        await gates[number].wait()

    await executor.start()
    for number in range(5):
        await executor.enqueue(work, number)
    await world.advance(0)
    assert started == [0, 1]
    for ended, expected in enumerate([[0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3, 4]]):
        gates[ended].set()
        # No time goes by: neither poll nor hint is needed.
        await world.advance(0)
        assert started == expected
    for gate in gates:
        gate.set()
    await world.idle(executor)


async def test_claims_ask_for_no_more_than_there_are_free_places(world: World) -> None:
    executor = world.executor(concurrency=3)
    go = asyncio.Event()

    @executor.task
    async def work() -> None:
        await go.wait()

    client = await world.start(tasks=executor.tasks, client_only=True)
    await client.enqueue_many([work.call() for _ in range(10)])
    await executor.start()
    await world.advance(1)
    assert len(executor.running) == 3
    go.set()
    await world.idle(executor)
    limits = [call.arguments["limit"] for call in world.calls(executor, "claim")]
    assert max(int(str(limit)) for limit in limits) == 3


async def test_an_enqueued_task_is_inserted_already_claimed(world: World) -> None:
    executor = world.executor()

    @executor.task
    async def work() -> str:
        return "done"

    await executor.start()
    await world.idle(executor)
    before = len(world.calls(executor, "claim"))
    handle = await executor.enqueue(work)
    assert await handle.result() == "done"
    row = await world.row(handle.id)
    assert row.gen == 1
    assert len(world.calls(executor, "claim")) == before


async def test_a_new_task_does_not_overtake_those_that_wait(world: World) -> None:
    executor = world.executor(concurrency=1)
    ran: list[int] = []
    go = asyncio.Event()

    @executor.task
    async def work(number: int) -> None:
        ran.append(number)
        await go.wait()

    await executor.start()
    handles = [await executor.enqueue(work, number) for number in range(3)]
    await world.advance(0)
    go.set()
    handles.append(await executor.enqueue(work, 3))
    await executor.results(handles)
    assert ran == [0, 1, 2, 3]


async def test_work_from_another_process_is_found_by_polling_when_no_hint_arrives(
    world: World,
) -> None:
    executor = world.executor(wrap=Mute, poll_interval=7)
    ran: list[float] = []

    @executor.task
    async def work() -> None:
        ran.append(world.clock.monotonic())

    client = await world.start(tasks=executor.tasks, client_only=True)
    await executor.start()
    await world.advance(1)
    await client.enqueue(work)
    await world.advance(5.9)
    assert ran == []
    await world.advance(0.1)
    assert ran == [7]
