"""One item of an apply: checks first, then effects, so that a refused item changes nothing."""

from ..kit.transitions import fresh_children, refusal, values_of
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
)
from .rows import head_of
from .tables import Tables


def apply_item(tables: Tables, item: Transition, now: int) -> Applied:
    """Carry out one transition, as `Storage.apply` says."""
    row = tables.rows.get(item.id)
    if row is None:
        return Applied(outcome=ApplyOutcome.MISSING)
    refused = refusal(row, item)
    if refused is not None:
        return Applied(outcome=refused, head=head_of(row))
    if isinstance(item, Settle):
        tables.put(changed(row, owner=None, due=item.due))
        return Applied(outcome=ApplyOutcome.APPLIED)
    if isinstance(item, Finish):
        _write_checkpoints(tables, item, now)
        woken = tables.finish(row, item.phase, str(item.token), now, **values_of(item))
        return Applied(outcome=ApplyOutcome.APPLIED, woken=woken)
    parents = {
        child.id: tables.rows[child.id].parent_id
        for child in item.children
        if child.id in tables.rows
    }
    fresh = fresh_children(item, parents, tables.sleepers)
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
    row = changed(row, pending=row.pending + unfinished, **values_of(item))
    if isinstance(item, Keep):
        tables.put(row)
        return Applied(outcome=ApplyOutcome.APPLIED, held=held)
    released = tables.joined(changed(row, owner=None, phase=item.phase, due=item.due))
    tables.put(released)
    woken = [item.id] if released.due is not None and released.due <= now else []
    return Applied(outcome=ApplyOutcome.APPLIED, woken=woken, held=held)


def _write_checkpoints(tables: Tables, item: Keep | Release | Finish, now: int) -> None:
    if item.checkpoints:
        stored = tables.checkpoints.setdefault(item.id, {})
        for name, value in item.checkpoints.items():
            stored.setdefault(name, Checkpoint(name=name, value=value, created_at=now))
