"""The memory storage moves only as the state machine's table allows, and uses all of it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from durable_core.storage import (
    RULES,
    Event,
    MemoryStorage,
    NewExecution,
    Phase,
    Record,
    Transition,
)
from durable_core.storage.kit import changed
from durable_core.storage.memory import apply, leases, storage
from durable_core.storage.memory.leases import claimed
from durable_core.storage.memory.tables import Tables

from .rules import CONDITIONS, Step, matching
from .walk import Walk
from .watcher import Watcher


@pytest.mark.parametrize("seed", range(25))
def test_every_change_is_allowed_by_exactly_one_rule(seed: int) -> None:
    _take_a_walk(seed)


def _take_a_walk(seed: int) -> Watcher:
    walk = Walk(seed)
    for _ in range(400):
        try:
            walk.step()
        except AssertionError as error:
            error.add_note("\n".join(["the last calls:", *walk.watcher.log[-8:]]))
            raise
    return walk.watcher


def test_every_rule_is_used() -> None:
    used = Counter[str]()
    for seed in range(10):
        used.update(f"{rule.event}: {rule.guard}" for rule in _take_a_walk(seed).used)
    assert set(used) == {f"{rule.event}: {rule.guard}" for rule in RULES}


def test_every_rule_has_a_condition_and_none_is_left_over() -> None:
    assert list(CONDITIONS) == [(rule.event, rule.guard) for rule in RULES]


def test_a_change_that_no_rule_allows_is_seen() -> None:
    watcher = Watcher(MemoryStorage())
    watcher.insert(NewExecution(id="a", task="t0", owner="e0"), now=5)
    before = watcher.rows["a"]
    by = str(before.token)
    facts = {"token": before.token, "by": by, "due": 7, "cancel_seen": False}
    released = replace(before, owner=None, due=7)
    finished = replace(before, owner=None, phase=Phase.FAILED, ended_by=by, finished_at=5)

    def rules(event: Event, after: object) -> int:
        assert after is None or isinstance(after, type(before))
        return len(matching(Step(event=event, before=before, after=after, now=5, facts=facts)))

    assert rules(Event.RELEASE, released) == 1
    assert rules(Event.RELEASE, replace(released, due=8)) == 0
    assert rules(Event.RELEASE, replace(released, gen=2)) == 0
    assert rules(Event.RELEASE, replace(released, phase=Phase.FAILED)) == 0
    assert rules(Event.RELEASE, finished) == 0
    assert rules(Event.FINISH, finished) == 1
    assert rules(Event.FINISH, replace(finished, due=0)) == 0
    assert rules(Event.FINISH, replace(finished, ended_by="e1/1")) == 0
    assert rules(Event.FINISH, replace(finished, pending=1)) == 0
    assert rules(Event.PURGE, None) == 0


def _writes_the_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    def claim(row: Record, executor: str, now: int) -> Record:
        taken = claimed(row, executor, now)
        return taken if row.finished else replace(taken, phase=Phase.READY)

    monkeypatch.setattr(storage, "claimed", claim)


def _forgets_to_join(monkeypatch: pytest.MonkeyPatch) -> None:
    def same(row: Record) -> Record:
        return row

    monkeypatch.setattr(Tables, "joined", staticmethod(same))


def _ignores_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    def accepted(_row: Record, _item: Transition) -> None:
        return None

    monkeypatch.setattr(apply, "refusal", accepted)


def _counts_children_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    finish = Tables.finish

    def twice(tables: Tables, record: Record, *args: Any, **values: Any) -> list[str]:
        woken = finish(tables, record, *args, **values)
        if record.parent_id in tables.rows:
            parent = tables.rows[record.parent_id]
            tables.put(replace(parent, pending=parent.pending - 1))
        return woken

    monkeypatch.setattr(Tables, "finish", twice)


def _leaves_no_duty(monkeypatch: pytest.MonkeyPatch) -> None:
    finish = Tables.finish

    def without(tables: Tables, record: Record, *args: Any, **values: Any) -> list[str]:
        woken = finish(tables, record, *args, **values)
        tables.put(replace(tables.rows[record.id], due=None))
        return woken

    monkeypatch.setattr(Tables, "finish", without)


def _keeps_the_gen_when_reaping(monkeypatch: pytest.MonkeyPatch) -> None:
    def same_gen(record: Record, **values: Any) -> Record:
        return changed(record, **{**values, "gen": record.gen})

    monkeypatch.setattr(leases, "changed", same_gen)


def _forgets_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    def keep(_tables: Tables, _owner: str, _id: str) -> None:
        pass

    monkeypatch.setattr(Tables, "_drop_held", keep)


@pytest.mark.parametrize(
    "fault",
    [
        _writes_the_phase,
        _forgets_to_join,
        _ignores_the_token,
        _counts_children_twice,
        _leaves_no_duty,
        _keeps_the_gen_when_reaping,
        _forgets_an_index,
    ],
)
def test_a_storage_that_breaks_a_rule_is_caught(
    fault: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(monkeypatch)
    with pytest.raises(AssertionError):
        _take_a_walk(0)
