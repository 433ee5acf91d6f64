"""Starting: what is wrong is said at once, and an executor that has nothing to do is quiet."""

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from durable_core import DurableExecutor, MemoryStorage, OptionError
from durable_core.storage import (
    Capabilities,
    ProtocolMismatchError,
    SchemaMissingError,
    TemporaryError,
)
from durable_core.storage.adapters import Forwarding
from durable_core.testing.faults import Fault, On

from .world import World


class Newer(Forwarding):
    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, protocol=99)


async def test_a_storage_of_another_protocol_is_refused(world: World) -> None:
    executor = world.executor(wrap=Newer)
    with pytest.raises(ProtocolMismatchError, match="99"):
        await executor.start()


async def test_an_unusable_storage_is_refused_and_can_be_tried_again(world: World) -> None:
    missing = On("setup", Fault.failure(lambda: SchemaMissingError("run setup()")), nth=1)
    executor = world.executor(missing, migrate=False)
    with pytest.raises(SchemaMissingError):
        await executor.start()
    assert executor.id is None
    (call,) = world.calls(executor, "setup")
    assert call.arguments == {"migrate": False}
    assert len(world.calls(executor, "close")) == 1
    await executor.start()
    assert executor.id is not None


async def test_a_storage_that_does_not_answer_at_start_leaves_nothing_behind(
    world: World,
) -> None:
    before = asyncio.all_tasks()
    executor = world.executor(On("heartbeat", Fault.failure()), patience=20)
    starting = asyncio.ensure_future(executor.start())
    await world.advance(30)
    with pytest.raises(TemporaryError):
        await starting
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize(
    "options",
    [
        {"concurrency": 0},
        {"concurrency": 1.5},
        {"crash_limit": 0},
        {"lease": 0.01},
        {"lease": -1},
        {"lease": "15"},
        {"poll_interval": 0},
        {"queues": "default"},
        {"queues": []},
        {"max_input": 0},
        {"max_output": 0},
        {"thread_workers": 0},
        {"process_workers": 0},
        {"shutdown_timeout": -1},
        {"retention": -5},
        {"patience": float("nan")},
    ],
    ids=str,
)
def test_an_option_out_of_range_is_named(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(OptionError, match=name):
        DurableExecutor(MemoryStorage(), **options)


async def test_an_idle_executor_asks_next_to_nothing(world: World) -> None:
    executor = world.executor(lease=20)

    @executor.task
    async def work() -> None: ...

    @executor.task(delay=7200)
    async def scheduled() -> None: ...

    await executor.start()
    await (await executor.enqueue(work)).result()
    await executor.enqueue(scheduled)
    await world.idle(executor)
    before = len(world.faults(executor).log)
    await world.advance(3600)
    asked = Counter(call.method for call in world.faults(executor).log[before:])
    # A heartbeat and a reap every five seconds, a look every ten, a comparison every minute.
    assert asked == {"heartbeat": 720, "reap": 720, "claim": 360, "find": 60}


async def test_an_idle_client_asks_nothing_at_all(world: World) -> None:
    client = await world.start(client_only=True)
    before = len(world.faults(client).log)
    await world.advance(3600)
    assert world.faults(client).log[before:] == []


async def test_a_busy_storage_is_not_asked_about_scheduled_work(world: World) -> None:
    executor = world.executor(lease=3600)

    @executor.task
    async def work() -> None: ...

    await executor.start()
    delays = [600 + number for number in range(100)]
    await executor.enqueue_many([work.with_options(delay=delay).call() for delay in delays])
    await world.idle(executor)
    before = len(world.calls(executor, "claim"))
    await world.advance(599)
    waited = len(world.calls(executor, "claim")) - before
    assert waited <= 60
    await world.advance(101)
    # One look at each due time.
    assert len(world.calls(executor, "claim")) - before - waited <= 111
    await world.idle(executor)
    assert (await executor.count(by="status")) == {"completed": 100}
