"""Events as log records, with ids that any formatter can show."""

import logging

import pytest

from durable_core import DurableExecutor, LoggingHooks, MemoryStorage, RetryPolicy, Tasks, current


async def test_each_event_is_one_record_with_its_ids(caplog: pytest.LogCaptureFixture) -> None:
    tasks = Tasks()

    @tasks.task(retries=RetryPolicy(1, delay=0))
    async def stumble() -> str:
        if current().attempt == 1:
            msg = "at first"
            raise ValueError(msg)
        return "then not"

    caplog.set_level(logging.INFO, "durable.events")
    async with DurableExecutor(MemoryStorage(), tasks=tasks, hooks=[LoggingHooks()]) as executor:
        handle = await executor.enqueue(stumble)
        await handle.result()

    seen = [record for record in caplog.records if record.name == "durable.events"]
    events = [(vars(record)["event"], record.levelname) for record in seen]
    assert events == [
        ("enqueued", "INFO"),
        ("started", "INFO"),
        ("retried", "WARNING"),
        ("started", "INFO"),
        ("completed", "INFO"),
    ]
    assert {vars(record)["execution_id"] for record in seen} == {handle.id}
    assert [vars(record)["attempt"] for record in seen if hasattr(record, "attempt")] == [
        1,
        1,
        2,
        2,
    ]
    assert "ValueError: at first" in seen[2].getMessage()


async def test_a_silent_level_costs_no_record(caplog: pytest.LogCaptureFixture) -> None:
    tasks = Tasks()

    @tasks.task
    async def quiet() -> None:
        """Do nothing."""

    caplog.set_level(logging.ERROR, "durable.events")
    async with DurableExecutor(MemoryStorage(), tasks=tasks, hooks=[LoggingHooks()]) as executor:
        await (await executor.enqueue(quiet)).result()
    assert [record for record in caplog.records if record.name == "durable.events"] == []
