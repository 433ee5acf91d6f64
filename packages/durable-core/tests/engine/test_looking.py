"""Finding, counting, purging; executors that only ask; and what a storage cannot do."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from durable_core import DurableExecutor, FanOut, OptionError, Status, current
from durable_core.testing.faults import Fault, On

from .world import Recorder, World


async def _filled(world: World) -> tuple[DurableExecutor, Any]:
    executor = world.executor(queues=["default", "q"])

    @executor.task(tags=["even"])
    async def good(number: int) -> int:
        return number

    @executor.task(queue="q")
    async def bad(number: int) -> int:
        raise ValueError(number)

    @executor.parent
    async def parent() -> FanOut[str]:
        return FanOut("own", [good.call(1), bad.call(2)])

    await executor.start()
    for number in range(5):
        await executor.enqueue(good, number)
        await executor.enqueue(bad.with_options(tags=["x", "y"]), number)
        await world.advance(10)
    handle = await executor.enqueue(parent)
    await executor.enqueue(good.with_options(delay=3600), 9)
    await world.idle(executor)
    return executor, handle


async def test_find_lists_by_every_condition(world: World) -> None:
    executor, parent = await _filled(world)

    async def found(**conditions: Any) -> int:
        return len((await executor.find(**conditions)).items)

    assert await found() == 14
    assert await found(statuses=[Status.READY]) == 1
    assert await found(statuses=[Status.READY, Status.FAILED]) == 7
    assert await found(task="good") == 7
    assert await found(task=executor.tasks.find("bad")) == 6
    assert await found(queue="q") == 6
    assert await found(tags=["x"]) == 5
    assert await found(tags=["x", "even"]) == 0
    assert await found(parent_id=parent.id) == 2
    assert await found(root_id=parent.id) == 3
    # Children begin with their parent's time.
    assert await found(id_prefix=parent.id[:13]) == 4
    start = datetime(2030, 1, 1, tzinfo=UTC)
    assert await found(created_after=start + timedelta(seconds=20)) == 10
    assert await found(created_before=start + timedelta(seconds=20)) == 4
    assert await found(task="good", statuses=[Status.COMPLETED], tags=["even"]) == 6


async def test_find_pages(world: World) -> None:
    executor, _ = await _filled(world)
    seen: list[str] = []
    cursor = None
    while True:
        page = await executor.find(limit=4, cursor=cursor)
        assert len(page.items) <= 4
        seen += [execution.id for execution in page.items]
        cursor = page.cursor
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 14
    everything = await executor.find(limit=1000)
    assert seen == [execution.id for execution in everything.items]
    times = [execution.created_at for execution in everything.items]
    assert times == sorted(times)


async def test_count_splits_and_stops_at_its_cap(world: World) -> None:
    executor, _ = await _filled(world)
    assert await executor.count() == {"*": 14}
    assert await executor.count(by="status") == {"completed": 7, "failed": 6, "ready": 1}
    assert await executor.count(by="task") == {"good": 7, "bad": 6, "parent": 1}
    assert await executor.count(by="queue", task="bad") == {"q": 6}
    assert await executor.count(statuses=[Status.FAILED], tags=["y"]) == {"*": 5}
    assert await executor.count(cap=3) == {"*": 3}
    with pytest.raises(ValueError, match="colour"):
        await executor.count(by="colour")


async def test_purge_takes_what_finished_long_enough_ago(world: World) -> None:
    executor, parent = await _filled(world)
    assert await executor.purge(older_than=3600) == 0
    # Five pairs, ten seconds apart; the family and the delayed one came last.
    await world.advance(1)
    assert await executor.purge(older_than=15) == 8
    assert await executor.purge(older_than=0.5) == 5
    left = (await executor.find()).items
    assert [execution.status for execution in left] == [Status.READY]
    assert await executor.count(statuses=[Status.READY]) == {"*": 1}
    assert parent.id not in {execution.id for execution in left}


async def test_children_stay_while_their_parent_is_unfinished(world: World) -> None:
    executor = world.executor()

    @executor.task
    async def quick() -> int:
        return 1

    @executor.task(delay=3600)
    async def later() -> int:
        return 2

    @executor.parent
    async def parent() -> FanOut[str]:
        return FanOut("own", [quick.call(), later.call()])

    await executor.start()
    handle = await executor.enqueue(parent)
    await world.advance(600)
    assert await executor.purge(older_than=60) == 0
    await world.idle(executor, horizon=4000)
    await world.advance(600)
    assert (await handle.result()).failed == 0
    assert await executor.purge(older_than=60) == 3


async def test_retention_purges_in_the_background(world: World) -> None:
    executor = world.executor(retention=timedelta(hours=1))

    @executor.task
    async def work() -> int:
        return 1

    await executor.start()
    await executor.enqueue(work)
    await world.advance(3600)
    assert await world.count() == 1
    await world.advance(600)
    assert await world.count() == 0
    # It goes on, also after more than one batch.
    for _ in range(3):
        await executor.enqueue_many([work.call() for _ in range(800)])
    await world.idle(executor)
    assert await world.count() == 2400
    await world.advance(4300)
    assert await world.count() == 0


async def test_a_client_runs_nothing_and_has_no_lease(world: World) -> None:
    client = world.executor(client_only=True)

    @client.task
    async def work(number: int) -> int:
        return number

    await client.start()
    handle = await client.enqueue(work, 1)
    await world.advance(3600)
    assert await handle.status() is Status.READY
    assert (await world.space.leases(limit=10)).items == []
    assert world.calls(client, "heartbeat", "claim", "reap") == []
    assert client.id is None
    assert client.running == frozenset()
    await world.idle(client)
    await client.shutdown()
    assert world.calls(client, "heartbeat") == []


async def test_a_context_tells_who_one_is(world: World) -> None:
    executor = world.executor()
    seen: dict[str, Any] = {}

    def fields() -> dict[str, Any]:
        context = current()
        names = [
            "execution_id",
            "task",
            "queue",
            "attempt",
            "root_id",
            "parent_id",
            "child_index",
            "iteration",
            "step",
            "tags",
            "meta",
        ]
        return {name: getattr(context, name) for name in names}

    @executor.task(tags=["t"])
    def child(number: int) -> None:
        # In a thread.
        seen[f"child {number}"] = fields()

    @executor.parent
    async def parent() -> FanOut[None]:
        seen["parent"] = fields()
        return FanOut(None, [child.call(0), child.call(1)])

    await executor.start()
    handle = await executor.enqueue(parent.with_options(meta=b"trace", tags=["p"]))
    await handle.result()
    assert seen["parent"] == {
        "execution_id": handle.id,
        "task": "parent",
        "queue": "default",
        "attempt": 1,
        "root_id": handle.id,
        "parent_id": None,
        "child_index": 0,
        "iteration": 0,
        "step": 0,
        "tags": {"p"},
        "meta": b"trace",
    }
    second = seen["child 1"]
    assert (second["parent_id"], second["root_id"], second["child_index"]) == (
        handle.id,
        handle.id,
        1,
    )
    assert (second["tags"], second["meta"]) == ({"t"}, b"")


async def test_a_context_logs_with_ids(world: World, caplog: pytest.LogCaptureFixture) -> None:
    executor = world.executor()

    @executor.task
    async def work() -> None:
        current().logger.warning("look here")

    await executor.start()
    handle = await executor.enqueue(work)
    await handle.result()
    (record,) = [record for record in caplog.records if record.message == "look here"]
    assert record.name == "durable.task"
    found = {name: record.__dict__[name] for name in ("execution_id", "task", "attempt")}
    assert found == {"execution_id": handle.id, "task": "work", "attempt": 1}


async def test_hooks_hear_what_happens_and_cannot_disturb(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Recorder):
        def started(self, execution: Any) -> None:
            msg = "a broken hook"
            raise RuntimeError(msg)

    recorder = Recorder()
    executor = world.executor(hooks=[Broken(), recorder])

    @executor.task
    async def work(number: int) -> int:
        if number:
            raise ValueError
        return 1

    await executor.start()
    good = await executor.enqueue(work, 0)
    bad = await executor.enqueue(work, 1)
    await world.idle(executor)
    assert await good.result() == 1
    assert [what for name, what in recorder.told if name == "enqueued"] == [good.id, bad.id]
    assert [what for name, what in recorder.told if name == "started"] == [good.id, bad.id]
    finished = dict(what for name, what in recorder.told if name == "finished")
    assert finished == {good.id: "completed", bad.id: "failed"}
    assert "a broken hook" in caplog.text


async def test_metrics_count_calls_and_errors_per_method(world: World) -> None:
    executor, _ = await _filled(world)
    metrics = executor.storage_metrics()
    assert metrics["insert"].count == len(world.calls(executor, "insert")) == 12
    assert metrics["apply"].count == len(world.calls(executor, "apply"))
    assert metrics["insert"].errors == {}
    world.faults(executor).inject(On("count", Fault.failure(), nth=1))
    counting = asyncio.ensure_future(executor.count())
    await world.advance(1)
    assert (await counting)["*"] == 14
    assert executor.storage_metrics()["count"].count == 2
    assert executor.storage_metrics()["count"].errors == {"TemporaryError": 1}


async def test_a_storage_without_transactions_says_so(world: World) -> None:
    executor = await world.start()
    with pytest.raises(OptionError, match="bind"):
        executor.bind(object())
