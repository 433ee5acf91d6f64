"""One item of an apply: checks first, then effects, so that a refused item changes nothing."""

from ..quick import changed
from ..records import FINISHED, Checkpoint, Record
from ..requests import (
    Applied,
    ApplyOutcome,
    Finish,
    Keep,
    NewExecution,
    Release,
    Settle,
    Transition,
    Unset,
)
from .rows import head_of
from .tables import Tables


def apply_item(tables: Tables, item: Transition, now: int) -> Applied:
    """Carry out one transition, as `Storage.apply` says."""
    row = tables.rows.get(item.id)
    if row is None:
        return Applied(outcome=ApplyOutcome.MISSING)
    refused = _refusal(row, item)
    if refused is not None:
        return Applied(outcome=refused, head=head_of(row))
    if isinstance(item, Settle):
        tables.put(changed(row, owner=None, due=item.due))
        return Applied(outcome=ApplyOutcome.APPLIED)
    if isinstance(item, Finish):
        _write_checkpoints(tables, item, now)
        woken = tables.finish(row, item.phase, str(item.token), now, **_values(item))
        return Applied(outcome=ApplyOutcome.APPLIED, woken=woken)
    fresh = _fresh_children(tables, item)
    if isinstance(fresh, int):
        return Applied(outcome=ApplyOutcome.CHILD_CONFLICT, head=head_of(row), conflict=fresh)
    return _keep_or_release(tables, row, item, fresh, now)


def _keep_or_release(
    tables: Tables, row: Record, item: Keep | Release, children: list[NewExecution], now: int
) -> Applied:
    _write_checkpoints(tables, item, now)
    born = [tables.add(child, now) for child in children]
    unfinished = sum(child.phase not in FINISHED for child in born)
    held = [child.id for child in born if child.owner is not None]
    row = changed(row, pending=row.pending + unfinished, **_values(item))
    if isinstance(item, Keep):
        tables.put(row)
        return Applied(outcome=ApplyOutcome.APPLIED, held=held)
    released = tables.joined(changed(row, owner=None, phase=item.phase, due=item.due))
    tables.put(released)
    woken = [item.id] if released.due is not None and released.due <= now else []
    return Applied(outcome=ApplyOutcome.APPLIED, woken=woken, held=held)


def _refusal(row: Record, item: Transition) -> ApplyOutcome | None:
    token = item.token
    if row.owner != token.owner or row.gen != token.gen:
        done = (row.owner is None and row.gen == token.gen) or row.ended_by == str(token)
        return ApplyOutcome.ALREADY if done else ApplyOutcome.SUPERSEDED
    if isinstance(item, Settle) is not row.finished:
        return ApplyOutcome.SUPERSEDED
    if isinstance(item, Keep | Release) and row.cancel_requested and not item.cancel_seen:
        return ApplyOutcome.CANCEL_REQUESTED
    return None


def _fresh_children(tables: Tables, item: Keep | Release) -> list[NewExecution] | int:
    """Return the children to insert, or the place of the first that belongs to another."""
    fresh: dict[str, NewExecution] = {}
    wake_keys: set[tuple[str, str]] = set()
    for place, child in enumerate(item.children):
        there = tables.rows.get(child.id)
        if there is not None:
            if there.parent_id != item.id:
                return place
            continue
        if child.id in fresh:
            continue
        if child.wake_key is not None:
            key = (child.task, child.wake_key)
            if key in wake_keys or key in tables.sleepers:
                return place
            wake_keys.add(key)
        fresh[child.id] = child
    return list(fresh.values())


def _write_checkpoints(tables: Tables, item: Keep | Release | Finish, now: int) -> None:
    if item.checkpoints:
        stored = tables.checkpoints.setdefault(item.id, {})
        for name, value in item.checkpoints.items():
            stored.setdefault(name, Checkpoint(name=name, value=value, created_at=now))


def _values(item: Keep | Release | Finish) -> dict[str, object]:
    given: dict[str, object] = {
        "state": item.state,
        "attempt": item.attempt,
        "join_at": item.join_at,
        "priority": item.priority,
        "output": item.output,
        "error": item.error,
    }
    values = {name: value for name, value in given.items() if not isinstance(value, Unset)}
    if item.reset_crashes:
        values["crashes"] = 0
    return values
