"""The examples do what their documentation says, on every storage."""

from datetime import timedelta

import pytest
from workflow_targets import Place, reached

from durable_core import ExecutionCancelledError, Status, StepState, WakeOutcome
from durable_workflows import orders, releases, travel, watching


async def test_an_order_is_charged_packed_and_shipped(place: Place) -> None:
    async with place.executor(tasks=orders.tasks) as executor:
        handle = await executor.enqueue(orders.order, "17", timedelta(seconds=0))
        payload = orders.Packed(["left shoe", "right shoe"])
        outcome = await executor.send_event(orders.packed, key="17", payload=payload)
        assert outcome in (WakeOutcome.WOKEN, WakeOutcome.KEPT)
        receipt = await handle.result(timeout=30)
    assert receipt.charge == f"charge of 17 with key {handle.id}/0"
    assert receipt.tracking == ["tracking of left shoe", "tracking of right shoe"]


async def test_an_order_that_waits_survives_its_executors(place: Place) -> None:
    async with place.executor(tasks=orders.tasks) as executor:
        grace = timedelta(seconds=1.5)
        handle = await executor.enqueue(orders.order.with_options(id="order-17"), "17", grace)
        await reached(handle, Status.SLEEPING, executor)
    async with place.executor(tasks=orders.tasks) as executor:
        handle = await executor.handle(orders.order, "order-17")
        await reached(handle, Status.WAITING_FOR_CHILDREN, executor)
    async with place.executor(tasks=orders.tasks) as executor:
        payload = orders.Packed(["box"])
        sent = await executor.send_event(orders.packed, key="17", payload=payload)
        assert sent is WakeOutcome.WOKEN
        handle = await executor.handle(orders.order, "order-17")
        assert (await handle.result(timeout=30)).tracking == ["tracking of box"]


async def test_a_trip_is_booked_wholly_or_not_at_all(place: Place) -> None:
    travel.booked.clear()
    async with place.executor(tasks=travel.tasks) as executor:
        good = await executor.enqueue(travel.travel, "Ada", ["flight", "hotel"])
        bad = await executor.enqueue(travel.travel, "Bob", ["flight", "hotel sold out"])
        assert await good.result(timeout=30) == "booked flight, hotel"
        assert (
            await bad.result(timeout=30) == "nothing was booked: Bob: hotel sold out: nothing left"
        )
        assert travel.booked == {"Ada: flight", "Ada: hotel"}
        late = await executor.enqueue(travel.travel, "Eve", ["flight", "hotel"], pause=1000)
        await reached(late, Status.SLEEPING)
        assert await late.cancel()
        with pytest.raises(ExecutionCancelledError):
            await late.result()
    assert travel.booked == {"Ada: flight", "Ada: hotel"}


async def test_watching_for_years_keeps_its_record_bounded(place: Place) -> None:
    async with place.executor(tasks=watching.tasks) as executor:
        handle = await executor.enqueue(watching.watch.with_options(id="sensor"), "roof", 250)
        assert await handle.result(timeout=60) == 4 + 249
        assert handle.id == "sensor~2"
        for run in ("sensor", "sensor~1"):
            page = await executor.engine.storage.checkpoints(execution_id=run, limit=1000)
            assert len(page.items) <= 102


async def test_a_release_is_carried_out_as_planned(place: Place) -> None:
    steps = releases.steps_for(["core", "sqlite"], ["mail", "fax", "chat"])
    async with place.executor(tasks=releases.tasks) as executor:
        handle = await executor.add_plan(releases.release, "1.0", steps)
        again = await executor.add_plan(releases.release, "1.0", steps)
        assert (handle.created, again.created) == (True, False)
        result = await handle.result(timeout=30)
        assert result.aborted == {"tell fax": "nobody has a fax any more"}
        assert len(result.completed) == len(steps) - 1
        stored = await executor.plan_steps(releases.release, "1.0")
    assert [one.name for one in stored] == [step.name for step in steps]
    assert stored[1].output == "core.whl with token for 1.0"
    assert stored[5].state is StepState.ABORTED
