"""Rows as records, and which claim queue a row belongs to."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from durable_core.storage import FINISHED, Head, NewExecution, OnCancel, Phase, Record

Row: TypeAlias = Sequence[Any]
"""A row as the driver gives it."""

HEADS: Final = (
    "id", "task", "queue", '"group"', '"key"', "wake_key", "root_id", "parent_id", "child_index",
    "on_cancel", "tags", "priority", "phase", "due", "owner", "gen", "crashes", "attempt", "error",
    "pending", "join_at", "cancel_requested", "ended_by", "created_at", "started_at", "finished_at",
)  # fmt: skip
"""In the order of `Head`."""

PAYLOADS: Final = ("options", "meta", "input", "state", "output")
"""What `Record` has more, in its order."""


def columns(*names: str, of: str = "") -> str:
    """Return a list of columns, qualified by the name of a table.

    Args:
        names: The columns.
        of: The table's name in the statement; none by default.
    """
    return ", ".join(f"{of}.{name}" if of else name for name in names)


HEAD_COLUMNS: Final = columns(*HEADS)
RECORD_COLUMNS: Final = columns(*HEADS, *PAYLOADS)
HEAD_WIDTH: Final = len(HEADS)

_PHASES: Final[Mapping[str, Phase]] = {phase.value: phase for phase in Phase}
_ON_CANCEL: Final[Mapping[str, OnCancel]] = {mode.value: mode for mode in OnCancel}
_NO_TAGS: Final[frozenset[str]] = frozenset()


def head(row: Row, at: int = 0) -> Head:
    """Return the head that a row of `HEAD_COLUMNS` holds, from column `at` on."""
    tags = row[at + 10]
    return Head(
        id=row[at],
        task=row[at + 1],
        queue=row[at + 2],
        group=row[at + 3],
        key=row[at + 4],
        wake_key=row[at + 5],
        root_id=row[at + 6],
        parent_id=row[at + 7],
        child_index=row[at + 8],
        on_cancel=_ON_CANCEL[row[at + 9]],
        tags=_NO_TAGS if tags is None else frozenset(tags),
        priority=row[at + 11],
        phase=_PHASES[row[at + 12]],
        due=row[at + 13],
        owner=row[at + 14],
        gen=row[at + 15],
        crashes=row[at + 16],
        attempt=row[at + 17],
        error=row[at + 18],
        pending=row[at + 19],
        join_at=row[at + 20],
        cancel_requested=row[at + 21],
        ended_by=row[at + 22],
        created_at=row[at + 23],
        started_at=row[at + 24],
        finished_at=row[at + 25],
    )


def record(row: Row, at: int = 0) -> Record:
    """Return the record that a row of `RECORD_COLUMNS` holds, from column `at` on."""
    tags = row[at + 10]
    return Record(
        id=row[at],
        task=row[at + 1],
        queue=row[at + 2],
        group=row[at + 3],
        key=row[at + 4],
        wake_key=row[at + 5],
        root_id=row[at + 6],
        parent_id=row[at + 7],
        child_index=row[at + 8],
        on_cancel=_ON_CANCEL[row[at + 9]],
        tags=_NO_TAGS if tags is None else frozenset(tags),
        priority=row[at + 11],
        phase=_PHASES[row[at + 12]],
        due=row[at + 13],
        owner=row[at + 14],
        gen=row[at + 15],
        crashes=row[at + 16],
        attempt=row[at + 17],
        error=row[at + 18],
        pending=row[at + 19],
        join_at=row[at + 20],
        cancel_requested=row[at + 21],
        ended_by=row[at + 22],
        created_at=row[at + 23],
        started_at=row[at + 24],
        finished_at=row[at + 25],
        options=row[at + 26],
        meta=row[at + 27],
        input=row[at + 28],
        state=row[at + 29],
        output=row[at + 30],
    )


def lane(*, due: int | None, owner: str | None, duty: bool, now: int) -> int | None:
    """Return which claim queue a row belongs to.

    Args:
        due: Its due time.
        owner: Who holds it.
        duty: Whether any executor may claim it, whatever tasks it knows.
        now: Decides what is due.

    Returns:
        1 claimable, 2 scheduled, 3 and 4 the same of duties, None if no claim may take it.
    """
    if due is None or owner is not None:
        return None
    return (1 if due <= now else 2) + (2 if duty else 0)


def is_duty(task: str, phase: Phase) -> bool:
    """Whether any executor may claim such a row, whatever tasks it knows."""
    return phase in FINISHED or task.startswith("$")


def by_column(rows: Iterable[Row], filled: Collection[int] = ()) -> list[list[Any]]:
    """Return rows as statements take them, column by column.

    The driver looks at each value of an array twice, which for many rows takes longer than to send
    them. So a column of nothing but nulls is empty, because `unnest` fills it up beside others, and
    one that says the same of all rows may say it once.

    Args:
        rows: At least one; of each, the first value is not null.
        filled: Places of columns that the statement itself fills up with their first value.
    """
    columns = [list(column) for column in zip(*rows, strict=True)]
    return [_shortened(column, place in filled) for place, column in enumerate(columns)]


def _shortened(column: list[Any], filled: bool) -> list[Any]:  # noqa: FBT001
    first = column[0]
    if (first is None or filled) and column.count(first) == len(column):
        return [] if first is None else [first]
    return column


def birth_row(item: NewExecution, born: Record, now: int) -> Row:
    """Return what `batches.INSERT` takes of a record made of a request, column by column."""
    duty = is_duty(born.task, born.phase)
    return (
        item.id,
        item.task,
        item.queue,
        item.group,
        item.key,
        item.wake_key,
        None if born.root_id == item.id else born.root_id,
        item.parent_id,
        item.child_index,
        born.on_cancel.value,
        json.dumps(sorted(item.tags), ensure_ascii=False) if item.tags else None,
        item.priority,
        born.phase.value,
        born.due,
        lane(due=born.due, owner=born.owner, duty=duty, now=now),
        born.owner,
        born.gen,
        born.ended_by,
        born.started_at,
        born.finished_at,
        item.options,
        item.meta,
        item.input,
        item.state,
        born.output,
        born.error,
    )
