"""Faults happen where they were planned, the same for the same seed, and are logged."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import cast

import pytest

from durable_core.storage import (
    Finished,
    Hint,
    InsertOutcome,
    MemoryStorage,
    NewExecution,
    OutcomeUnknownError,
    Ready,
    Reconnected,
    TemporaryError,
)
from durable_core.testing.faults import (
    WRITES,
    Fault,
    FaultyStorage,
    Gate,
    KilledError,
    On,
    Plan,
    Randomly,
)

ITEM = NewExecution(id="a", task="t")


async def _there(storage: FaultyStorage) -> bool:
    return (await storage.inner.get(ids=["a"]))[0] is not None


@pytest.mark.parametrize(
    ("fault", "error", "landed"),
    [
        (Fault.failure(), TemporaryError, 0),
        (Fault.failure(lambda: OSError("gone")), OSError, 0),
        (Fault.lost_request(), OutcomeUnknownError, 0),
        (Fault.lost_answer(), OutcomeUnknownError, 1),
        (Fault.stop(), KilledError, 0),
        (Fault.stop(landed=True), KilledError, 1),
        (Fault.stop(SystemExit), SystemExit, 0),
    ],
)
async def test_an_error_before_or_after_the_call(
    fault: Fault, error: type[BaseException], landed: int
) -> None:
    storage = FaultyStorage(MemoryStorage(), On("insert", fault))
    with pytest.raises(error):
        await storage.insert(items=[ITEM], now=1)
    assert await _there(storage) is bool(landed)
    (call,) = storage.log
    assert (call.method, call.arguments) == ("insert", {"items": [ITEM], "now": 1})
    assert (call.number, call.landed, call.fault, call.answer) == (1, landed, fault, None)
    assert isinstance(call.error, error)


async def test_a_doubled_call_is_carried_out_twice() -> None:
    storage = FaultyStorage(MemoryStorage(), On("insert", Fault.twice()))
    (answer,) = await storage.insert(items=[ITEM], now=1)
    assert answer.outcome is InsertOutcome.EXISTING_ID
    (call,) = storage.log
    assert call.landed == 2
    assert call.answer == [answer]


async def test_delays_are_slept_before_and_after_the_call() -> None:
    slept: list[tuple[float, bool]] = []

    async def sleep(seconds: float) -> None:
        slept.append((seconds, await _there(storage)))

    storage = FaultyStorage(
        MemoryStorage(), On("insert", Fault.delay(before=0.5, after=2)), sleep=sleep
    )
    await storage.insert(items=[ITEM], now=1)
    assert slept == [(0.5, False), (2, True)]


async def test_a_gate_holds_the_request_or_the_answer() -> None:
    for fault, landed in ((Fault.gate(before=Gate()), False), (Fault.gate(after=Gate()), True)):
        storage = FaultyStorage(MemoryStorage(), On("insert", fault))
        gate = fault.gate_before or fault.gate_after
        assert gate is not None
        call = asyncio.ensure_future(storage.insert(items=[ITEM], now=1))
        await gate.reached.wait()
        assert await _there(storage) is landed
        assert not call.done()
        gate.open()
        await call
        await storage.insert(items=[ITEM], now=1)


async def test_after_a_stop_nothing_reaches_the_storage_until_it_is_healed() -> None:
    storage = FaultyStorage(MemoryStorage(), On("clock", Fault.stop(), nth=2))
    await storage.clock()
    before = storage.stopped
    for _ in range(2):
        with pytest.raises(KilledError):
            await storage.clock()
    with pytest.raises(KilledError):
        await storage.insert(items=[ITEM], now=1)
    assert (before, storage.stopped) == (False, True)
    assert not await _there(storage)
    storage.heal()
    (answer,) = await storage.insert(items=[ITEM], now=1)
    assert answer.outcome is InsertOutcome.CREATED


async def test_what_is_under_way_when_the_process_dies_is_answered_to_nobody() -> None:
    gate = Gate()
    storage = FaultyStorage(
        MemoryStorage(), On("insert", Fault.gate(after=gate)), On("clock", Fault.stop())
    )
    call = asyncio.ensure_future(storage.insert(items=[ITEM], now=1))
    await gate.reached.wait()
    with pytest.raises(KilledError):
        await storage.clock()
    gate.open()
    with pytest.raises(KilledError):
        await call
    assert await _there(storage)


async def test_a_plan_counts_the_calls_that_it_is_meant_for() -> None:
    plans = [
        On("clock", Fault.failure(), nth=3),
        On("get", Fault.failure(), where=lambda call: call.arguments["ids"] == ["b"], nth=2),
        On(None, Fault.failure(), where=lambda call: call.method == "purge", times=1),
    ]
    storage = FaultyStorage(MemoryStorage(), *plans)

    async def fails(method: str, **arguments: object) -> bool:
        try:
            await getattr(storage, method)(**arguments)
        except TemporaryError:
            return True
        return False

    assert [await fails("clock") for _ in range(5)] == [False, False, True, False, False]
    ids = ["a", "b", "a", "b", "b"]
    assert [await fails("get", ids=[id_]) for id_ in ids] == [False, False, False, True, False]
    purge = {"finished_before": 1, "now": 1, "limit": 1}
    assert [await fails("purge", **purge) for _ in range(3)] == [True, False, False]
    assert [call.number for call in storage.calls("purge", "get")] == list(range(6, 14))


async def test_the_latest_plan_is_asked_first_and_the_first_answer_counts() -> None:
    storage = FaultyStorage(MemoryStorage(), On("clock", Fault.lost_answer()))
    storage.inject(Plan(), On("clock", Fault.failure(), times=1))
    with pytest.raises(TemporaryError):
        await storage.clock()
    with pytest.raises(OutcomeUnknownError):
        await storage.clock()


def _random(seed: int) -> Randomly:
    return Randomly(
        seed, failure=0.1, lost_request=0.1, lost_answer=0.1, twice=0.1, delayed=0.2, max_delay=3
    )


async def _history(seed: int) -> list[tuple[object, ...]]:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    storage = FaultyStorage(MemoryStorage(), _random(seed), sleep=sleep)
    for number in range(300):
        for call in (
            storage.insert(items=[NewExecution(id=f"x{number}", task="t")], now=1),
            storage.get(ids=["x0"]),
        ):
            with suppress(TemporaryError, OutcomeUnknownError):
                await call
    assert all(0 < seconds <= 3 for seconds in slept)
    return [
        (call.method, call.landed, type(call.error).__name__, call.fault) for call in storage.log
    ]


async def test_chance_is_the_same_for_the_same_seed() -> None:
    assert await _history(7) == await _history(7)
    assert await _history(7) != await _history(8)


async def test_chance_brings_about_everything_it_was_asked_for() -> None:
    history = await _history(7)
    kinds = Counter((method, landed, error) for method, landed, error, _ in history)
    for write in (
        ("insert", 1, "NoneType"),
        ("insert", 0, "TemporaryError"),
        ("insert", 0, "OutcomeUnknownError"),
        ("insert", 1, "OutcomeUnknownError"),
        ("insert", 2, "NoneType"),
    ):
        assert kinds[write] > 10, write
    assert {kind for kind in kinds if kind[0] == "get"} == {
        ("get", 1, "NoneType"),
        ("get", 0, "TemporaryError"),
    }


async def test_chance_leaves_other_methods_alone() -> None:
    storage = FaultyStorage(MemoryStorage(), Randomly(1, failure=1, methods=["clock"]))
    await storage.insert(items=[ITEM], now=1)
    with pytest.raises(TemporaryError):
        await storage.clock()
    storage = FaultyStorage(MemoryStorage(), Randomly(1, failure=1))
    await storage.setup()
    await storage.close()


@pytest.mark.parametrize("part", [-0.1, 1.1])
def test_a_part_is_between_nothing_and_all(part: float) -> None:
    with pytest.raises(ValueError, match="must be between 0 and 1"):
        Randomly(1, twice=part)


def test_a_read_never_has_an_unknown_outcome() -> None:
    assert not WRITES & {"get", "find", "count", "checkpoints", "clock", "leases"}


def test_a_thread_that_beats_meets_faults_too() -> None:
    slept: list[float] = []
    storage = FaultyStorage(
        MemoryStorage(),
        On("pulse_beat", Fault.lost_answer(), nth=1),
        On("pulse_beat", Fault.failure(), nth=1),
        On("pulse_beat", Fault.delay(before=1, after=2), nth=1),
        On("pulse_beat", Fault.twice(), nth=1),
        On("pulse_beat", Fault.stop(), nth=1),
        blocking_sleep=slept.append,
    )
    pulse = storage.pulse()

    def beat() -> bool:
        return pulse.beat(executor="e", ttl=1, now=1).alive

    with pytest.raises(OutcomeUnknownError):
        beat()
    with pytest.raises(TemporaryError):
        beat()
    assert not beat()
    assert slept == [1, 2]
    assert not beat()
    for _ in range(2):
        with pytest.raises(KilledError):
            beat()
    assert [call.landed for call in storage.log] == [1, 0, 1, 2, 0, 0]


class _Told(Plan):
    """Lets all hints pass and knows when both kinds have."""

    def __init__(self) -> None:
        self.everything = asyncio.Event()
        self._kinds: set[type[Hint]] = set()

    def deliveries(self, hint: Hint) -> int:
        self._kinds.add(type(hint))
        if len(self._kinds) == 2:
            self.everything.set()
        return 1


@pytest.mark.parametrize(
    ("plan", "times"),
    [(Plan(), 1), (Randomly(1, dropped_hint=1), 0), (Randomly(1, doubled_hint=1), 2)],
)
async def test_hints_are_dropped_or_doubled(plan: Plan, times: int) -> None:
    memory = MemoryStorage()
    told = _Told()
    storage = FaultyStorage(memory, told, plan)
    hints = cast("AsyncGenerator[Hint]", storage.listen(queues=["default"]))
    heard: list[Hint] = [await anext(hints)]

    async def listen() -> None:
        async with aclosing(hints):
            async for hint in hints:
                heard.append(hint)  # noqa: PERF401 - there is no end to wait for

    listener = asyncio.ensure_future(listen())
    await storage.insert(items=[ITEM], now=1)
    await storage.cancel(ids=["a"], request="r", now=2)
    async with asyncio.timeout(5):
        await told.everything.wait()
    listener.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listener
    assert Counter(heard) == +Counter(
        {Reconnected(): 1, Ready(queue="default"): times, Finished(): times}
    )
    assert not memory._space.listeners._open
