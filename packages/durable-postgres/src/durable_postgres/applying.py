"""Transitions of held executions: one statement, or a transaction if there are children."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from durable_core.storage import (
    Applied,
    ApplyOutcome,
    Finish,
    Keep,
    Release,
    Settle,
    Transition,
    Unset,
)

from .batches import ALIKE, APPLY
from .records import Row, by_column, head
from .session import Session

_OUTCOMES: Final = (
    ApplyOutcome.APPLIED,
    ApplyOutcome.ALREADY,
    ApplyOutcome.SUPERSEDED,
    ApplyOutcome.CANCEL_REQUESTED,
    ApplyOutcome.CHILD_CONFLICT,
    ApplyOutcome.MISSING,
)
"""By the number that the statement answers."""

_KEEP, _RELEASE, _FINISH, _SETTLE = range(4)

_STATE: Final = 1
_OUTPUT: Final = 2
_ERROR: Final = 4
_RESET_CRASHES: Final = 8
_CANCEL_SEEN: Final = 16

_HEAD: Final = 8
"""The column of the answer at which the head of a refused row begins."""


async def apply_plain(session: Session, items: Sequence[Transition], now: int) -> list[Applied]:
    """Carry out transitions without children, as `Storage.apply` says, by one statement."""
    answers = await session.write(APPLY, now, *plain_values(items))
    return _answers(session, items, answers, now)


def plain_values(items: Sequence[Transition]) -> list[list[Any]]:
    """Return transitions and their checkpoints as the statement takes them, column by column."""
    points = [
        (item.id, name, value)
        for item in items
        if not isinstance(item, Settle)
        for name, value in item.checkpoints.items()
    ]
    columns = by_column([_row(item) for item in items], ALIKE)
    return [*columns, *(by_column(points) if points else ([], [], []))]


def _row(item: Transition) -> Row:
    """Return an item as the statement takes it, column by column."""
    start = (item.id, item.parent_id, item.token.owner, item.token.gen)
    if isinstance(item, Settle):
        return (*start, _SETTLE, None, item.due, 0, None, None, None, None, None, None)
    kind, phase, due, flags = _FINISH, None, None, 0
    if isinstance(item, Finish):
        phase = item.phase.value
    else:
        flags = _CANCEL_SEEN * item.cancel_seen
        if isinstance(item, Release):
            kind, phase, due = _RELEASE, item.phase.value, item.due
        else:
            kind = _KEEP
    values: list[Any] = []
    for flag, value in ((_STATE, item.state), (_OUTPUT, item.output), (_ERROR, item.error)):
        if isinstance(value, Unset):
            values.append(None)
        else:
            flags |= flag
            values.append(value)
    if item.reset_crashes:
        flags |= _RESET_CRASHES
    numbers = [
        None if isinstance(number, Unset) else number
        for number in (item.attempt, item.join_at, item.priority)
    ]
    return (*start, kind, phase, due, flags, *numbers, *values)


def _answers(
    session: Session, items: Sequence[Transition], rows: Sequence[Row], now: int
) -> list[Applied]:
    parents: list[str] = [row[3] for row in rows if row[3] is not None]
    left = Counter(parents)
    told = session.told
    answers: list[Applied] = []
    for item, row in zip(items, rows, strict=True):
        refused: int = row[0]
        _, due, queue, parent, parent_queue, pending, join_at, waits = row[:_HEAD]
        if refused:
            there = None if row[_HEAD] is None else head(row, _HEAD)
            answers.append(Applied(outcome=_OUTCOMES[refused], head=there))
            continue
        told.rows += 1
        woken: list[str] = []
        if isinstance(item, Finish):
            told.finished = True
        elif isinstance(item, Release) and due is not None and due <= now:
            woken = [item.id]
        if due is not None:
            told.ready.add(queue)
        if parent is not None:
            left[parent] -= 1
            # Each sibling of the batch that ends in a moment at which the parent waits no more.
            if waits and pending + left[parent] <= join_at:
                woken = [parent]
                told.ready.add(parent_queue)
        answers.append(Applied(outcome=ApplyOutcome.APPLIED, woken=woken))
    return answers


def has_children(item: Transition) -> bool:
    """Whether a transition inserts executions."""
    return isinstance(item, Keep | Release) and bool(item.children)
