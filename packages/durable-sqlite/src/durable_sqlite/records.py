"""Rows as records, and records as rows."""

import json
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from durable_core.storage import FINISHED, Head, NewExecution, OnCancel, Phase, Record
from durable_core.storage.kit import born_held, changed

Row: TypeAlias = tuple[Any, ...]
"""A row as the driver gives it."""

HEAD_COLUMNS: Final = (
    'id, task, queue, "group", "key", wake_key, root_id, parent_id, child_index, on_cancel, tags, '
    "priority, phase, due, owner, gen, crashes, attempt, error, pending, join_at, "
    "cancel_requested, ended_by, created_at, started_at, finished_at"
)
"""In the order of `Head`."""

RECORD_COLUMNS: Final = f"{HEAD_COLUMNS}, options, meta, input, state, output"
"""In the order of `Record`."""

HEAD_WIDTH: Final = 26

_PHASES: Final[Mapping[str, Phase]] = {phase.value: phase for phase in Phase}
_ON_CANCEL: Final[Mapping[str, OnCancel]] = {mode.value: mode for mode in OnCancel}
_NO_TAGS: Final[frozenset[str]] = frozenset()


def tags_of(text: str | None) -> frozenset[str]:
    """Return the tags that a row holds as a JSON array."""
    return _NO_TAGS if text is None else frozenset(json.loads(text))


def tags_text(tags: frozenset[str]) -> str | None:
    """Return tags as a row holds them."""
    return json.dumps(sorted(tags), ensure_ascii=False) if tags else None


def head(row: Row) -> Head:
    """Return the head that a row of `HEAD_COLUMNS` holds."""
    return Head(
        id=row[0],
        task=row[1],
        queue=row[2],
        group=row[3],
        key=row[4],
        wake_key=row[5],
        root_id=row[6],
        parent_id=row[7],
        child_index=row[8],
        on_cancel=_ON_CANCEL[row[9]],
        tags=tags_of(row[10]),
        priority=row[11],
        phase=_PHASES[row[12]],
        due=row[13],
        owner=row[14],
        gen=row[15],
        crashes=row[16],
        attempt=row[17],
        error=row[18],
        pending=row[19],
        join_at=row[20],
        cancel_requested=row[21] == 1,
        ended_by=row[22],
        created_at=row[23],
        started_at=row[24],
        finished_at=row[25],
    )


def record(row: Row) -> Record:
    """Return the record that a row of `RECORD_COLUMNS` holds."""
    return Record(
        id=row[0],
        task=row[1],
        queue=row[2],
        group=row[3],
        key=row[4],
        wake_key=row[5],
        root_id=row[6],
        parent_id=row[7],
        child_index=row[8],
        on_cancel=_ON_CANCEL[row[9]],
        tags=tags_of(row[10]),
        priority=row[11],
        phase=_PHASES[row[12]],
        due=row[13],
        owner=row[14],
        gen=row[15],
        crashes=row[16],
        attempt=row[17],
        error=row[18],
        pending=row[19],
        join_at=row[20],
        cancel_requested=row[21] == 1,
        ended_by=row[22],
        created_at=row[23],
        started_at=row[24],
        finished_at=row[25],
        options=row[26],
        meta=row[27],
        input=row[28],
        state=row[29],
        output=row[30],
    )


def claimed(row: Row, executor: str, now: int) -> Record:
    """Return the record that a claim makes of a row of `RECORD_COLUMNS`."""
    phase = _PHASES[row[12]]
    return Record(
        id=row[0],
        task=row[1],
        queue=row[2],
        group=row[3],
        key=row[4],
        wake_key=row[5],
        root_id=row[6],
        parent_id=row[7],
        child_index=row[8],
        on_cancel=_ON_CANCEL[row[9]],
        tags=tags_of(row[10]),
        priority=row[11],
        phase=phase,
        due=None,
        owner=executor,
        gen=row[15] + 1,
        crashes=row[16],
        attempt=row[17],
        error=row[18],
        pending=row[19],
        join_at=row[20],
        cancel_requested=row[21] == 1,
        ended_by=row[22],
        created_at=row[23],
        started_at=now if phase is Phase.READY else row[24],
        finished_at=row[25],
        options=row[26],
        meta=row[27],
        input=row[28],
        state=row[29],
        output=row[30],
    )


def changed_head(row: Head, values: Mapping[str, Any]) -> Head:
    """Return a copy of a head with other values; payloads among them are passed over."""
    return changed(row, **{name: values[name] for name in values if name not in _PAYLOADS})


_PAYLOADS: Final = frozenset(Record.__dataclass_fields__) - frozenset(Head.__dataclass_fields__)


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


def birth_row(item: NewExecution, now: int) -> Row:
    """Return the parameters of `statements.INSERT` for an item."""
    held = born_held(item, now)
    due = None if held else item.due
    owner = item.owner if held else None
    return (
        item.id,
        item.task,
        item.queue,
        item.group,
        item.key,
        item.wake_key,
        item.root_id or item.id,
        item.parent_id,
        item.child_index,
        "end" if item.on_cancel is OnCancel.END else "deliver",
        tags_text(item.tags) if item.tags else None,
        item.priority,
        "ready" if item.phase is Phase.READY else "sleeping",
        due,
        lane(due=due, owner=owner, duty=item.task.startswith("$"), now=now),
        owner,
        int(held),
        now,
        now if held else None,
        item.options,
        item.meta,
        item.input,
        item.state,
    )
