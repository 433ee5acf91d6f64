"""Each rule's check catches an engine that breaks just this rule."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest

from . import broken, rules_running as running, rules_writing as writing
from .world import World

Check: TypeAlias = Callable[[World], Awaitable[None]]
Breach: TypeAlias = Callable[[pytest.MonkeyPatch], None]


async def _caught(check: Check, breach: Breach, world: World, patch: pytest.MonkeyPatch) -> None:
    breach(patch)
    with pytest.raises(AssertionError):
        await check(world)


async def test_engine_1_catches_a_transition_decided_again_on_resend(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = writing.one_releasing_transition_per_token
    await _caught(check, broken.decide_again_on_resend, world, monkeypatch)


async def test_engine_4_catches_an_engine_that_does_not_reconcile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _caught(writing.what_is_held_is_compared, broken.never_reconcile, world, monkeypatch)


async def test_engine_5_catches_poison_judged_after_decoding(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = running.poison_is_judged_before_decoding
    await _caught(check, broken.decode_before_judging, world, monkeypatch)


async def test_engine_6_catches_random_child_ids_on_retry(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = writing.child_ids_are_deterministic
    await _caught(check, broken.random_child_ids_on_retry, world, monkeypatch)


async def test_engine_8_catches_a_beat_that_ignores_a_stuck_loop(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = running.a_stuck_loop_loses_its_lease
    await _caught(check, broken.beat_for_a_stuck_loop, world, monkeypatch)


@pytest.mark.parametrize(
    ("check", "breach"),
    [
        (writing.all_writes_through_one_shielded_writer, broken.write_where_the_caller_is),
        (writing.answers_of_an_earlier_incarnation_are_dropped, broken.start_whatever_is_answered),
        (writing.what_was_let_go_is_not_adopted, broken.adopt_what_was_let_go),
        (running.suspects_run_one_at_a_time, broken.suspect_nobody),
        (running.nothing_begins_without_a_valid_lease, broken.trust_an_old_lease),
        (running.time_is_the_storages, broken.trust_every_clock),
        (running.what_does_not_fit_is_handed_back_with_a_pause, broken.hand_back_at_once),
        (running.progress_clears_the_crashes, broken.remember_crashes),
        (writing.no_child_and_parent_in_one_batch, broken.mix_families),
    ],
    ids=lambda function: function.__name__,
)
async def test_every_other_check_catches_a_breach_of_its_rule(
    world: World, monkeypatch: pytest.MonkeyPatch, check: Check, breach: Breach
) -> None:
    await _caught(check, breach, world, monkeypatch)
