"""Rows as records, records as rows, and the place of a row in the claim queues."""

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from durable_core.storage import FINISHED, Head, NewExecution, OnCancel, Phase, Record

from .drivers import Row
from .literals import blob, name, number, text

HEADS: Final = (
    "id", "task", "queue", "`group`", "`key`", "wake_key", "root_id", "parent_id", "child_index",
    "on_cancel", "tags", "priority", "phase", "due", "owner", "gen", "crashes", "attempt", "error",
    "pending", "join_at", "cancel_requested", "ended_by", "created_at", "started_at", "finished_at",
)  # fmt: skip
"""In the order of `Head`."""

PAYLOADS: Final = ("options", "meta", "input", "state", "output")
"""What `Record` has more, in its order."""

HEAD_COLUMNS: Final = ", ".join(HEADS)
RECORD_COLUMNS: Final = ", ".join((*HEADS, *PAYLOADS))

BIRTH: Final = (
    "id", "task", "queue", "`group`", "`key`", "wake_key", "asleep", "root_id", "parent_id",
    "child_index", "on_cancel", "tags", "priority", "phase", "due", "slot", "turn", "owner", "gen",
    "ended_by", "created_at", "started_at", "finished_at", "options", "meta", "input", "state",
    "output", "error",
)  # fmt: skip
"""What `birth` gives; a new row's other columns have their defaults."""

DUTIES: Final = -2
"""The claim queue of rows that any executor may claim."""

_PHASES: Final[Mapping[str, Phase]] = {phase.value: phase for phase in Phase}
_ON_CANCEL: Final[Mapping[str, OnCancel]] = {mode.value: mode for mode in OnCancel}
_NO_TAGS: Final[frozenset[str]] = frozenset()


def head(row: Row, at: int = 0) -> Head:
    """Return the head that a row of `HEAD_COLUMNS` holds, from column `at` on."""
    group, key, wake_key, tags = row[at + 3], row[at + 4], row[at + 5], row[at + 10]
    return Head(
        id=row[at],
        task=row[at + 1].decode(),
        queue=row[at + 2].decode(),
        group=None if group is None else group.decode(),
        key=None if key is None else key.decode(),
        wake_key=None if wake_key is None else wake_key.decode(),
        root_id=row[at + 6],
        parent_id=row[at + 7],
        child_index=row[at + 8],
        on_cancel=_ON_CANCEL[row[at + 9]],
        tags=_NO_TAGS if tags is None else _tags(tags),
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
        cancel_requested=row[at + 21] != 0,
        ended_by=row[at + 22],
        created_at=row[at + 23],
        started_at=row[at + 24],
        finished_at=row[at + 25],
    )


def record(row: Row, at: int = 0) -> Record:
    """Return the record that a row of `RECORD_COLUMNS` holds, from column `at` on."""
    group, key, wake_key, tags = row[at + 3], row[at + 4], row[at + 5], row[at + 10]
    return Record(
        id=row[at],
        task=row[at + 1].decode(),
        queue=row[at + 2].decode(),
        group=None if group is None else group.decode(),
        key=None if key is None else key.decode(),
        wake_key=None if wake_key is None else wake_key.decode(),
        root_id=row[at + 6],
        parent_id=row[at + 7],
        child_index=row[at + 8],
        on_cancel=_ON_CANCEL[row[at + 9]],
        tags=_NO_TAGS if tags is None else _tags(tags),
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
        cancel_requested=row[at + 21] != 0,
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


def _tags(stored: bytes) -> frozenset[str]:
    return frozenset(stored.decode()[1:-1].split("\0"))


def tag_bytes(tag: str) -> bytes:
    """Return a tag as it is found in the stored ones: no tag holds a NUL."""
    return f"\0{tag}\0".encode()


def _tags_literal(tags: frozenset[str]) -> str:
    return blob("\0".join(("", *sorted(tags), "")).encode()) if tags else "NULL"


@lru_cache(maxsize=4096)
def slot_of(queue: str, task: str) -> int:
    """Return the number of the claim queue of due rows; the next one has those to become due.

    The index over the claim queues holds this number instead of two long names. Names that meet
    in one number are still told apart: a claim also compares the names.
    """
    digest = hashlib.blake2b(f"{queue}\0{task}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 2 << 1


def place(
    *,
    due: int | None,
    owner: str | None,
    duty: bool,
    queue: str,
    task: str,
    priority: int,
    now: int,
) -> tuple[int | None, int]:
    """Return a row's claim queue and its turn there.

    Args:
        due: Its due time.
        owner: Who holds it.
        duty: Whether any executor may claim it, whatever tasks it knows.
        queue: Its queue.
        task: Its task.
        priority: Its priority.
        now: Decides what is due.

    Returns:
        `slot` and `turn`: rows of a slot are taken by turn, then by due time. Slot None if no claim
        may take it.
    """
    if due is None or owner is not None:
        return None, -priority
    slot = DUTIES if duty else slot_of(queue, task)
    return (slot, -priority) if due <= now else (slot + 1, 0)


def is_duty(task: str, phase: Phase) -> bool:
    """Whether any executor may claim such a row, whatever tasks it knows."""
    return phase in FINISHED or task.startswith("$")


def birth(item: NewExecution, born: Record, now: int) -> str:
    """Return a new row as it stands in a statement, in the order of `BIRTH`."""
    slot, turn = place(
        due=born.due,
        owner=born.owner,
        duty=is_duty(born.task, born.phase),
        queue=born.queue,
        task=born.task,
        priority=born.priority,
        now=now,
    )
    wake_key = name(item.wake_key)
    asleep = wake_key if born.finished_at is None else "NULL"
    return (
        f"({text(born.id)}, {name(born.task)}, {name(born.queue)}, {name(born.group)}, "
        f"{name(born.key)}, {wake_key}, {asleep}, {text(born.root_id)}, {text(born.parent_id)}, "
        f"{born.child_index}, '{born.on_cancel.value}', {_tags_literal(born.tags)}, "
        f"{born.priority}, '{born.phase.value}', {number(born.due)}, {number(slot)}, {turn}, "
        f"{text(born.owner)}, {born.gen}, {text(born.ended_by)}, {born.created_at}, "
        f"{number(born.started_at)}, {number(born.finished_at)}, {blob(born.options)}, "
        f"{blob(born.meta)}, {blob(born.input)}, {blob(born.state)}, {blob(born.output)}, "
        f"{blob(born.error)})"
    )
