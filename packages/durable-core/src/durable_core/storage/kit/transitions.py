"""What becomes of one item of an apply, decided from the row as it is locked."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from ..records import Head
from ..requests import (
    ApplyOutcome,
    Finish,
    Keep,
    NewExecution,
    Release,
    Settle,
    Transition,
    Unset,
)

_VALUES: Final = ("state", "attempt", "join_at", "priority", "output", "error")


def refusal(row: Head, item: Transition) -> ApplyOutcome | None:
    """Return why an item may not be applied to its row, children aside; None if it may.

    Args:
        row: As it stands, locked.
        item: What its sender wants.
    """
    token = item.token
    if row.owner != token.owner or row.gen != token.gen:
        done = (row.owner is None and row.gen == token.gen) or row.ended_by == str(token)
        return ApplyOutcome.ALREADY if done else ApplyOutcome.SUPERSEDED
    if isinstance(item, Settle) is not row.finished:
        return ApplyOutcome.SUPERSEDED
    if isinstance(item, Keep | Release) and row.cancel_requested and not item.cancel_seen:
        return ApplyOutcome.CANCEL_REQUESTED
    return None


def fresh_children(
    item: Keep | Release,
    parents: Mapping[str, str | None],
    sleepers: Collection[tuple[str, str]],
) -> list[NewExecution] | int:
    """Return the children that are to be inserted, each id once.

    Args:
        item: Whose children.
        parents: Of those of its children that exist, id -> parent.
        sleepers: (task, wake key) of unfinished sleepers; only the children's keys are asked for.

    Returns:
        The children, or the place of the first one that belongs to another execution.
    """
    fresh: dict[str, NewExecution] = {}
    keys: set[tuple[str, str]] = set()
    for place, child in enumerate(item.children):
        if child.id in parents:
            if parents[child.id] != item.id:
                return place
            continue
        if child.id in fresh:
            continue
        if child.wake_key is not None:
            key = (child.task, child.wake_key)
            if key in keys or key in sleepers:
                return place
            keys.add(key)
        fresh[child.id] = child
    return list(fresh.values())


def values_of(item: Keep | Release | Finish) -> dict[str, Any]:
    """Return the fields of a row that an item sets, beside its phase, due and owner."""
    values: dict[str, Any] = {}
    for name in _VALUES:
        value = getattr(item, name)
        if not isinstance(value, Unset):
            values[name] = value
    if item.reset_crashes:
        values["crashes"] = 0
    return values
