"""The rules of the engine that the storage protocol counts on, ENGINE-1 to ENGINE-12."""

from . import rules_running as running, rules_writing as writing
from .world import World


async def test_engine_1_one_releasing_transition_per_token(world: World) -> None:
    await writing.one_releasing_transition_per_token(world)


async def test_engine_2_all_writes_through_one_shielded_writer(world: World) -> None:
    await writing.all_writes_through_one_shielded_writer(world)


async def test_engine_3_answers_of_an_earlier_incarnation_are_dropped(world: World) -> None:
    await writing.answers_of_an_earlier_incarnation_are_dropped(world)


async def test_engine_4_what_is_held_is_compared(world: World) -> None:
    await writing.what_is_held_is_compared(world)


async def test_engine_4_what_was_let_go_is_not_adopted(world: World) -> None:
    await writing.what_was_let_go_is_not_adopted(world)


async def test_engine_5_poison_is_judged_before_decoding(world: World) -> None:
    await running.poison_is_judged_before_decoding(world)


async def test_engine_6_child_ids_are_deterministic(world: World) -> None:
    await writing.child_ids_are_deterministic(world)


async def test_engine_7_suspects_run_one_at_a_time(world: World) -> None:
    await running.suspects_run_one_at_a_time(world)


async def test_engine_8_nothing_begins_without_a_valid_lease(world: World) -> None:
    await running.nothing_begins_without_a_valid_lease(world)


async def test_engine_8_a_stuck_loop_loses_its_lease(world: World) -> None:
    await running.a_stuck_loop_loses_its_lease(world)


async def test_engine_9_time_is_the_storages(world: World) -> None:
    await running.time_is_the_storages(world)


async def test_engine_10_what_does_not_fit_is_handed_back_with_a_pause(world: World) -> None:
    await running.what_does_not_fit_is_handed_back_with_a_pause(world)


async def test_engine_11_progress_clears_the_crashes(world: World) -> None:
    await running.progress_clears_the_crashes(world)


async def test_engine_12_no_child_and_parent_in_one_batch(world: World) -> None:
    await writing.no_child_and_parent_in_one_batch(world)
