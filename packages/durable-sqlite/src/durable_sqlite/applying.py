"""Transitions of held executions: checks first, then effects, so that a refusal changes nothing."""

import json
from collections.abc import Sequence
from typing import Any

from durable_core.storage import (
    UNFINISHED,
    Applied,
    ApplyOutcome,
    Finish,
    Head,
    Keep,
    NewExecution,
    Release,
    Settle,
    Transition,
    Unset,
)

from .records import changed
from .rows import add_row, change_row, finish_row, read_head, waits_no_more
from .statements import CHECKPOINT, OF_CHILDREN, SLEEPER_ID
from .writing import Writing

_FIELDS = ("state", "attempt", "join_at", "priority", "output", "error")


def apply_all(writing: Writing, items: Sequence[Transition], now: int) -> list[Applied]:
    """Carry out transitions, as `Storage.apply` says."""
    return [_apply_one(writing, item, now) for item in items]


def _apply_one(writing: Writing, item: Transition, now: int) -> Applied:
    row = read_head(writing, item.id)
    if row is None:
        return Applied(outcome=ApplyOutcome.MISSING)
    refused = _refusal(row, item)
    if refused is not None:
        return Applied(outcome=refused, head=row)
    if isinstance(item, Settle):
        change_row(writing, row, now, {"owner": None, "due": item.due})
        return Applied(outcome=ApplyOutcome.APPLIED)
    if isinstance(item, Finish):
        _write_checkpoints(writing, item, now)
        _, woken = finish_row(writing, row, item.phase, str(item.token), now, _values(item))
        return Applied(outcome=ApplyOutcome.APPLIED, woken=woken)
    fresh = _fresh_children(writing, item) if item.children else []
    if isinstance(fresh, int):
        return Applied(outcome=ApplyOutcome.CHILD_CONFLICT, head=row, conflict=fresh)
    return _keep_or_release(writing, row, item, fresh, now)


def _keep_or_release(
    writing: Writing, row: Head, item: Keep | Release, children: list[NewExecution], now: int
) -> Applied:
    _write_checkpoints(writing, item, now)
    born = [add_row(writing, child, now) for child in children]
    unfinished = sum(child.phase in UNFINISHED for child in born)
    held = [child.id for child in born if child.owner is not None]
    values = _values(item)
    if unfinished:
        values["pending"] = row.pending + unfinished
    if isinstance(item, Keep):
        if values:
            change_row(writing, row, now, values)
        return Applied(outcome=ApplyOutcome.APPLIED, held=held)
    values |= {"owner": None, "phase": item.phase, "due": item.due}
    if waits_no_more(changed(row, values)):
        values["due"] = 0
    after = change_row(writing, row, now, values)
    woken = [item.id] if after.due is not None and after.due <= now else []
    return Applied(outcome=ApplyOutcome.APPLIED, woken=woken, held=held)


def _refusal(row: Head, item: Transition) -> ApplyOutcome | None:
    token = item.token
    if row.owner != token.owner or row.gen != token.gen:
        done = (row.owner is None and row.gen == token.gen) or row.ended_by == str(token)
        return ApplyOutcome.ALREADY if done else ApplyOutcome.SUPERSEDED
    if isinstance(item, Settle) is not row.finished:
        return ApplyOutcome.SUPERSEDED
    if isinstance(item, Keep | Release) and row.cancel_requested and not item.cancel_seen:
        return ApplyOutcome.CANCEL_REQUESTED
    return None


def _fresh_children(writing: Writing, item: Keep | Release) -> list[NewExecution] | int:
    """Return the children to insert, or the place of the first that belongs to another."""
    ids = json.dumps([child.id for child in item.children])
    there = dict[str, str | None](writing.rows(OF_CHILDREN, (ids,)))
    fresh: dict[str, NewExecution] = {}
    wake_keys: set[tuple[str, str]] = set()
    for place, child in enumerate(item.children):
        if child.id in there:
            if there[child.id] != item.id:
                return place
            continue
        if child.id in fresh:
            continue
        if child.wake_key is not None:
            key = (child.task, child.wake_key)
            if key in wake_keys or writing.row(SLEEPER_ID, key) is not None:
                return place
            wake_keys.add(key)
        fresh[child.id] = child
    return list(fresh.values())


def _write_checkpoints(writing: Writing, item: Keep | Release | Finish, now: int) -> None:
    for name, value in item.checkpoints.items():
        writing.run(CHECKPOINT, (item.id, name, value, now))


def _values(item: Keep | Release | Finish) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in _FIELDS:
        value = getattr(item, name)
        if not isinstance(value, Unset):
            values[name] = value
    if item.reset_crashes:
        values["crashes"] = 0
    return values
