"""Transitions of held executions: checks first, then effects, so that a refusal changes nothing."""

import json
from collections.abc import Sequence
from itertools import groupby
from typing import cast

from durable_core.storage import (
    Applied,
    ApplyOutcome,
    Finish,
    Head,
    Keep,
    NewExecution,
    Release,
    Settle,
    Transition,
)
from durable_core.storage.kit import born_held, fresh_children, refusal, values_of

from .bulk import finish_rows, finish_shape, pieces
from .records import changed_head
from .rows import (
    add_rows,
    add_sleeper,
    change_row,
    children_ended,
    finish_row,
    read_head,
    waits_no_more,
)
from .statements import CHECKPOINT, OF_CHILDREN, SLEEPER_ID
from .writing import Writing

_APPLIED = Applied(outcome=ApplyOutcome.APPLIED)


def apply_all(writing: Writing, items: Sequence[Transition], now: int) -> list[Applied]:
    """Carry out transitions, as `Storage.apply` says."""
    answers: list[Applied] = []
    for shape, group in groupby(items, _shape):
        if shape is None:
            answers += [_apply_one(writing, item, now) for item in group]
        else:
            # All of this shape are plain finishes.
            answers += _finish_many(writing, cast(list[Finish], [*group]), shape, now)
    return answers


def _shape(item: Transition) -> int | None:
    """Return what plain finishes must have in common, None for everything else."""
    return finish_shape(item) if isinstance(item, Finish) and not item.checkpoints else None


def _finish_many(writing: Writing, items: Sequence[Finish], shape: int, now: int) -> list[Applied]:
    answers: list[Applied] = []
    for piece in pieces(items):
        if finish_rows(writing, piece, shape, now):
            writing.finished = True
            answers += _count_down(writing, piece)
        else:
            answers += [_apply_one(writing, item, now) for item in piece]
    return answers


def _count_down(writing: Writing, items: Sequence[Finish]) -> list[Applied]:
    """Count finished rows down at their parents, each parent once."""
    answers = [_APPLIED] * len(items)
    families: dict[str, list[int]] = {}
    for place, item in enumerate(items):
        if item.parent_id is not None:
            families.setdefault(item.parent_id, []).append(place)
    for parent_id, places in families.items():
        woke = children_ended(writing, parent_id, len(places))
        for place, woken in zip(places, woke, strict=True):
            if woken:
                answers[place] = Applied(outcome=ApplyOutcome.APPLIED, woken=[parent_id])
    return answers


def _apply_one(writing: Writing, item: Transition, now: int) -> Applied:
    row = read_head(writing, item.id)
    if row is None:
        return Applied(outcome=ApplyOutcome.MISSING)
    refused = refusal(row, item)
    if refused is not None:
        return Applied(outcome=refused, head=row)
    if isinstance(item, Settle):
        change_row(writing, row, now, {"owner": None, "due": item.due})
        return Applied(outcome=ApplyOutcome.APPLIED)
    if isinstance(item, Finish):
        _write_checkpoints(writing, item, now)
        _, woken = finish_row(
            writing, row, item.phase, str(item.token), now, values=values_of(item)
        )
        return Applied(outcome=ApplyOutcome.APPLIED, woken=woken)
    fresh = _fresh_children(writing, item) if item.children else []
    if isinstance(fresh, int):
        return Applied(outcome=ApplyOutcome.CHILD_CONFLICT, head=row, conflict=fresh)
    return _keep_or_release(writing, row, item, fresh, now)


def _keep_or_release(
    writing: Writing, row: Head, item: Keep | Release, children: list[NewExecution], now: int
) -> Applied:
    _write_checkpoints(writing, item, now)
    unfinished, held = _add_children(writing, children, now) if children else (0, [])
    values = values_of(item)
    if unfinished:
        values["pending"] = row.pending + unfinished
    if isinstance(item, Keep):
        if values:
            change_row(writing, row, now, values)
        return Applied(outcome=ApplyOutcome.APPLIED, held=held)
    values |= {"owner": None, "phase": item.phase, "due": item.due}
    if waits_no_more(changed_head(row, values)):
        values["due"] = 0
    after = change_row(writing, row, now, values)
    woken = [item.id] if after.due is not None and after.due <= now else []
    return Applied(outcome=ApplyOutcome.APPLIED, woken=woken, held=held)


def _add_children(
    writing: Writing, children: list[NewExecution], now: int
) -> tuple[int, list[str]]:
    """Insert children; return how many are unfinished, and the ids of those that are held."""
    plain = [child for child in children if child.wake_key is None]
    add_rows(writing, plain, now)
    sleepers = [
        add_sleeper(writing, child, now) for child in children if child.wake_key is not None
    ]
    unfinished = len(plain) + sum(not child.finished for child in sleepers)
    return unfinished, [child.id for child in plain if born_held(child, now)]


def _fresh_children(writing: Writing, item: Keep | Release) -> list[NewExecution] | int:
    """Return the children to insert, or the place of the first that belongs to another."""
    ids = json.dumps([child.id for child in item.children])
    parents = dict[str, str | None](writing.rows(OF_CHILDREN, (ids,)))
    keys = [(child.task, child.wake_key) for child in item.children if child.wake_key is not None]
    sleepers = {key for key in keys if writing.row(SLEEPER_ID, key) is not None}
    return fresh_children(item, parents, sleepers)


def _write_checkpoints(writing: Writing, item: Keep | Release | Finish, now: int) -> None:
    for name, value in item.checkpoints.items():
        writing.run(CHECKPOINT, (item.id, name, value, now))
