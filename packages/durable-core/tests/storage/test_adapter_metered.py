"""What is measured is what happened, in bounded memory and within one per cent."""

import asyncio
import math
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, strategies as st

from durable_core.storage import (
    InvalidArgumentError,
    MemoryStorage,
    NewExecution,
    OutcomeUnknownError,
    Query,
)
from durable_core.storage.adapters import Metered
from durable_core.storage.adapters.histogram import Histogram
from durable_core.testing.faults import Fault, FaultyStorage, Gate, On


class Stopwatch:
    """Advances by what it is told to, each time it is looked at twice."""

    def __init__(self, *durations: float) -> None:
        self._durations = list(durations)
        self._now = 0.0
        self._running = False

    def __call__(self) -> float:
        if self._running:
            self._now += self._durations.pop(0)
        self._running = not self._running
        return self._now


def _metered(*durations: float) -> Metered:
    return Metered(MemoryStorage(), timer=Stopwatch(*durations))


async def test_nothing_is_reported_of_what_was_never_called() -> None:
    assert _metered().metrics() == {}


async def test_durations_are_counted_by_method() -> None:
    storage = _metered(0.004, 0.001, 0.002, 0.003)
    await storage.get(ids=[])
    for _ in range(3):
        await storage.clock()
    metrics = storage.metrics()
    assert list(metrics) == ["clock", "get"]
    clock = metrics["clock"]
    assert (clock.count, clock.errors, clock.rows) == (3, {}, 0)
    assert clock.total == pytest.approx(0.006)
    assert (clock.min, clock.max) == pytest.approx((0.001, 0.003))
    assert clock.p50 == pytest.approx(0.002, rel=0.01)
    assert (clock.p90, clock.p95, clock.p99) == pytest.approx([0.003] * 3, rel=0.01)
    assert metrics["get"].total == pytest.approx(0.004)


async def test_rows_are_counted_where_there_are_any() -> None:
    storage = Metered(MemoryStorage())
    items = [NewExecution(id=f"x{n}", task="t", owner="gone" if n < 2 else None) for n in range(5)]
    await storage.insert(items=items, now=1)
    await storage.find(query=Query(), limit=4)
    await storage.claim(executor="e", tasks=["t"], queues=["default"], limit=9, now=1)
    await storage.reap(now=2, limit=3)
    await storage.cancel(ids=["x0", "none"], request="r", now=3)
    await storage.purge(finished_before=9, now=9, limit=9)
    await storage.clock()
    await storage.heartbeat(executor="e", ttl=1, now=1)
    rows = {name: one.rows for name, one in storage.metrics().items()}
    assert rows == {
        "insert": 5,
        "find": 4,
        "claim": 3,
        "reap": 3,
        "cancel": 2,
        "purge": 1,
        "clock": 0,
        "heartbeat": 0,
    }


async def test_failures_are_counted_by_their_class() -> None:
    storage = Metered(
        FaultyStorage(MemoryStorage(), On("clock", Fault.lost_answer(), times=2)),
        timer=Stopwatch(0.5, 0.1, 0.1, 0.1),
    )
    for _ in range(2):
        with pytest.raises(OutcomeUnknownError):
            await storage.clock()
    await storage.clock()
    with pytest.raises(InvalidArgumentError):
        await storage.heartbeat(executor="", ttl=1, now=1)
    metrics = storage.metrics()
    assert metrics["clock"].errors == {"OutcomeUnknownError": 2}
    assert (metrics["clock"].count, metrics["clock"].max) == (3, 0.5)
    assert metrics["heartbeat"].errors == {"InvalidArgumentError": 1}


async def test_a_cancelled_call_is_a_failure() -> None:
    gate = Gate()
    storage = Metered(FaultyStorage(MemoryStorage(), On("clock", Fault.gate(before=gate))))
    task = asyncio.ensure_future(storage.clock())
    await gate.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert storage.metrics()["clock"].errors == {"CancelledError": 1}


def test_a_blocking_heartbeat_is_measured_too() -> None:
    storage = _metered(0.25, 0.5)
    pulse = storage.pulse()
    assert not pulse.beat(executor="e", ttl=1, now=1).alive
    with pytest.raises(InvalidArgumentError):
        pulse.beat(executor="", ttl=1, now=1)
    beats = storage.metrics()["pulse_beat"]
    assert (beats.count, beats.total, beats.errors) == (2, 0.75, {"InvalidArgumentError": 1})


def test_no_call_of_any_thread_is_lost() -> None:
    storage = Metered(MemoryStorage())

    async def work() -> None:
        for _ in range(500):
            await storage.clock()

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(asyncio.run, work()) for _ in range(4)]:
            done.result(30)
    assert storage.metrics()["clock"].count == 2_000


durations = st.floats(1e-7, 9_000)


@given(st.lists(durations, min_size=1, max_size=200), st.floats(0, 1))
def test_a_quantile_is_at_most_one_per_cent_off(values: list[float], part: float) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    exact = sorted(values)[max(0, math.ceil(part * len(values)) - 1)]
    assert histogram.quantiles(part) == [pytest.approx(exact, rel=0.0101)]
    assert (histogram.min, histogram.max) == (min(values), max(values))
    assert histogram.total == pytest.approx(sum(values))


@given(st.lists(durations, min_size=1), st.lists(st.floats(0, 1), min_size=1).map(sorted))
def test_several_quantiles_are_those_asked_for_one_by_one(
    values: list[float], parts: list[float]
) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    assert histogram.quantiles(*parts) == [histogram.quantiles(part)[0] for part in parts]


@pytest.mark.parametrize("value", [0.0, 1e-12, 1e5])
def test_what_lies_outside_the_range_is_still_counted(value: float) -> None:
    histogram = Histogram()
    histogram.add(value)
    assert histogram.quantiles(0.5, 0.99) == [value, value]


def test_a_histogram_without_durations_has_no_quantiles() -> None:
    with pytest.raises(ValueError, match="no durations"):
        Histogram().quantiles(0.5)
