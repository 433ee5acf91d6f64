"""Calls that failed for a moment are repeated, and only those that may be."""

from random import Random

import pytest

from durable_core.storage import (
    ApplyOutcome,
    Finish,
    InsertOutcome,
    InvalidArgumentError,
    MemoryStorage,
    NewExecution,
    OutcomeUnknownError,
    Phase,
    StorageError,
    TemporaryError,
    Token,
)
from durable_core.storage.adapters import Backoff, Retrying
from durable_core.testing.faults import Fault, FaultyStorage, On

ITEM = NewExecution(id="a", task="t")
STEADY = Backoff(attempts=4, delay=1, multiplier=2, max_delay=3, jitter=0)


class Retried:
    """A retrying storage whose pauses are noted instead of waited for."""

    def __init__(self, *plans: On, backoff: Backoff = STEADY) -> None:
        self.pauses: list[float] = []
        self.faulty = FaultyStorage(MemoryStorage(), *plans)
        self.storage = Retrying(
            self.faulty,
            backoff,
            sleep=self._sleep,
            random=Random(1),
        )

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


async def test_a_call_that_succeeds_is_made_once() -> None:
    retried = Retried()
    assert await retried.storage.get(ids=["a"]) == [None]
    assert len(retried.faulty.log) == 1
    assert retried.pauses == []


async def test_a_temporary_error_is_repeated_after_growing_pauses() -> None:
    retried = Retried(On("insert", Fault.failure(), times=3))
    (answer,) = await retried.storage.insert(items=[ITEM], now=1)
    assert answer.outcome is InsertOutcome.CREATED
    assert retried.pauses == [1, 2, 3]
    assert {call.arguments["now"] for call in retried.faulty.log} == {1}


async def test_the_last_error_is_raised() -> None:
    retried = Retried(On("insert", Fault.failure()))
    with pytest.raises(TemporaryError, match="injected"):
        await retried.storage.insert(items=[ITEM], now=1)
    assert len(retried.faulty.log) == 4
    assert retried.pauses == [1, 2, 3]


async def test_a_write_of_unknown_outcome_is_sent_again() -> None:
    retried = Retried(
        On("insert", Fault.lost_answer(), nth=1), On("apply", Fault.lost_answer(), nth=1)
    )
    held = NewExecution(id="a", task="t", owner="e")
    (inserted,) = await retried.storage.insert(items=[held], now=1)
    assert inserted.outcome is InsertOutcome.EXISTING_ID
    end = Finish(id="a", token=Token("e", 1), phase=Phase.COMPLETED)
    (applied,) = await retried.storage.apply(items=[end], now=2)
    assert applied.outcome is ApplyOutcome.ALREADY


async def test_once_unknown_the_outcome_stays_unknown() -> None:
    retried = Retried(On("insert", Fault.lost_answer(), nth=1), On("insert", Fault.failure()))
    with pytest.raises(OutcomeUnknownError) as caught:
        await retried.storage.insert(items=[ITEM], now=1)
    assert len(retried.faulty.log) == 4
    assert caught.value is retried.faulty.log[0].error


@pytest.mark.parametrize("claim_id", [None, "c"])
async def test_a_claim_of_unknown_outcome_is_told_at_once(claim_id: str | None) -> None:
    retried = Retried(On("claim", Fault.failure(), nth=1), On("claim", Fault.lost_answer(), nth=1))
    await retried.storage.insert(items=[ITEM, NewExecution(id="b", task="t")], now=1)
    with pytest.raises(OutcomeUnknownError):
        await retried.storage.claim(
            executor="e", tasks=["t"], queues=["default"], limit=1, now=1, claim_id=claim_id
        )
    assert len(retried.faulty.calls("claim")) == 2
    rows = await retried.storage.get(ids=["a", "b"])
    assert [row and row.owner for row in rows] == ["e", None]


@pytest.mark.parametrize("error", [InvalidArgumentError("bad"), ValueError("a bug")])
async def test_any_other_error_is_raised_at_once(error: Exception) -> None:
    retried = Retried(On("clock", Fault.failure(lambda: error)))
    with pytest.raises(type(error)):
        await retried.storage.clock()
    assert len(retried.faulty.log) == 1


async def test_a_thread_that_beats_is_not_held_up() -> None:
    retried = Retried(On("pulse_beat", Fault.failure()))
    pulse = retried.storage.pulse()
    with pytest.raises(StorageError):
        pulse.beat(executor="e", ttl=1, now=1)
    assert len(retried.faulty.log) == 1


def test_pauses_grow_to_the_longest_and_shrink_by_chance() -> None:
    backoff = Backoff(attempts=6, delay=1, multiplier=3, max_delay=10, jitter=0.5)
    longest = [1, 3, 9, 10, 10]
    for seed in range(50):
        pauses = list(backoff.pauses(Random(seed)))
        assert len(pauses) == 5
        assert all(most / 2 <= pause <= most for pause, most in zip(pauses, longest, strict=True))
    first = {round(next(backoff.pauses(Random(seed))), 6) for seed in range(50)}
    assert len(first) == 50


def test_one_attempt_never_pauses() -> None:
    assert list(Backoff(attempts=1).pauses(Random(1))) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"attempts": 0}, "attempts must be at least 1, not 0"),
        ({"delay": -1}, "delays must not be negative"),
        ({"max_delay": -1}, "delays must not be negative"),
        ({"multiplier": 0.5}, "multiplier must be at least 1, not 0.5"),
        ({"jitter": 1.5}, "jitter must be between 0 and 1, not 1.5"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(values: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Backoff(**values)
