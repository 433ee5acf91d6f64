"""The memory storage and the engine's rules hold in every world; each rule is needed.

More seeds: ``DURABLE_MODEL_SEEDS=5000 pytest -n auto packages/durable-core/tests/model``, or
``python -m model`` (see there).
"""

import os

import pytest

from .life import live
from .steps import SECOND, BrokenError
from .weakness import Weakness
from .world import Rates

CHUNK = 50
SEEDS = int(os.environ.get("DURABLE_MODEL_SEEDS", "400"))
ENOUGH = 150


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_a_sound_world_breaks_nothing(first: int) -> None:
    for seed in range(first, min(first + CHUNK, SEEDS)):
        _live(seed)


@pytest.mark.parametrize("seed", range(0, 40, 10))
def test_clocks_that_are_a_minute_off_break_nothing(seed: int) -> None:
    for one in range(seed, seed + 10):
        _live(one, clock_error=60 * SECOND)


@pytest.mark.parametrize("seed", range(0, 40, 10))
def test_a_plague_of_deaths_and_losses_breaks_nothing(seed: int) -> None:
    rates = Rates(
        lost_request=0.1, lost_answer=0.2, delivered_twice=0.2, everybody_pauses=0.004, death=0.003
    )
    for one in range(seed, seed + 10):
        _live(one, rates=rates)


@pytest.mark.parametrize("weakness", Weakness, ids=lambda weakness: weakness.name.lower())
def test_each_weakness_is_found(weakness: Weakness) -> None:
    minute_off = weakness is Weakness.DUE_AT_CALLERS_NOW
    for seed in range(ENOUGH):
        try:
            live(seed, weakness, clock_error=(60 if minute_off else 1) * SECOND)
        except BrokenError:
            return
    pytest.fail(f"{ENOUGH} worlds without the rule {weakness.value!r} broke nothing")


def test_a_seed_always_leads_to_the_same_world() -> None:
    one, other = live(5), live(5)
    assert one.now == other.now
    assert one.rows == other.rows
    assert one.storage.dump() != live(6).storage.dump()


def _live(seed: int, *, clock_error: int = SECOND, rates: Rates | None = None) -> None:
    try:
        live(seed, clock_error=clock_error, rates=rates)
    except BrokenError as error:
        error.add_note(f"seed {seed}")
        raise
