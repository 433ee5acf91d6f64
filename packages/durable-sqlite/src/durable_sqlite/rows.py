"""Effects on single rows, inside a write transaction."""

# ruff: noqa: S608 - texts are made of names of columns; values are always parameters

from collections.abc import Mapping, Sequence
from typing import Any

from durable_core.storage import WAITING, Head, NewExecution, Phase, Record
from durable_core.storage.kit import born, born_held

from .bulk import insert_rows
from .mailboxes import delivery
from .records import changed_head, head, is_duty, lane
from .statements import CHILD_ENDED, HEAD
from .writing import Writing


def read_head(writing: Writing, id: str) -> Head | None:  # noqa: A002
    """Return a row's head."""
    row = writing.row(HEAD, (id,))
    return None if row is None else head(row)


def change_row(writing: Writing, row: Head, now: int, values: Mapping[str, Any]) -> Head:
    """Write other values to a row and keep its claim queue right.

    Args:
        writing: The transaction.
        row: The row as it is.
        now: Decides what is due.
        values: By field of `Record`.

    Returns:
        The row as it is now.
    """
    after = changed_head(row, values)
    place = lane(due=after.due, owner=after.owner, duty=is_duty(after.task, after.phase), now=now)
    names = tuple(values)
    writing.run(_update(writing, names), (*map(_stored, values.values()), place, row.id))
    writing.tell(after)
    return after


def _update(writing: Writing, names: tuple[str, ...]) -> str:
    text = writing.updates.get(names)
    if text is None:
        columns = "".join(f'"{name}" = ?, ' for name in names)
        text = "UPDATE ~executions SET " + columns + "lane = ? WHERE id = ?"
        writing.updates[names] = text
    return text


def _stored(value: Any) -> Any:
    return value.value if isinstance(value, Phase) else value


def add_rows(writing: Writing, items: Sequence[NewExecution], now: int) -> list[bool]:
    """Insert rows that wait for no message, unless their id or key exists.

    Args:
        writing: The transaction.
        items: With distinct ids, and without wake keys.
        now: Becomes `created_at`.

    Returns:
        For each item in turn whether it was inserted.
    """
    created = insert_rows(writing, items, now)
    for item in items:
        if item.due is not None and not born_held(item, now):
            writing.ready.add(item.queue)
    return created


def add_sleeper(writing: Writing, item: NewExecution, now: int) -> Record:
    """Insert a row with a wake key; if a fresh message is kept for it, it is born finished.

    The caller has made sure that neither id, key nor wake key exists.
    """
    row = born(item, now)
    insert_rows(writing, [item], now)
    row = writing.carry_out(delivery(row, now))
    writing.tell(row)
    return row


def finish_row(
    writing: Writing,
    row: Head,
    phase: Phase,
    ended_by: str,
    now: int,
    *,
    values: Mapping[str, Any] | None = None,
) -> tuple[Head, list[str]]:
    """End a row and count it down at its parent.

    Returns:
        The row as it is now, and the parent's id if that made it claimable.
    """
    after = change_row(
        writing,
        row,
        now,
        {
            **(values or {}),
            "phase": phase,
            "owner": None,
            "due": 0 if row.pending > 0 else None,
            "ended_by": ended_by,
            "finished_at": now,
        },
    )
    return after, child_ended(writing, row.parent_id)


def child_ended(writing: Writing, parent_id: str | None) -> list[str]:
    """Count one child down; return the parent's id if that made it claimable."""
    return [parent_id] * children_ended(writing, parent_id, 1)[0] if parent_id else []


def children_ended(writing: Writing, parent_id: str, number: int) -> list[bool]:
    """Count children down.

    Args:
        writing: The transaction.
        parent_id: Their parent.
        number: How many.

    Returns:
        For each of them in turn whether its end made the parent claimable.
    """
    row = writing.row(CHILD_ENDED, (number, parent_id))
    if row is None:
        return [False] * number
    pending, join_at, owner, phase, queue = row
    if owner is not None or phase not in WAITING or pending > join_at:
        return [False] * number
    writing.ready.add(queue)
    return [pending + left <= join_at for left in range(number - 1, -1, -1)]


def waits_no_more(row: Head) -> bool:
    """Whether an un-held row waits for no more children than are left."""
    return row.owner is None and row.phase in WAITING and row.pending <= row.join_at
