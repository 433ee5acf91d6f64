"""Taking hold of due rows: the heads of many claim queues, merged in order."""

import heapq
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from sqlite3 import Cursor
from typing import Final, TypeAlias

from durable_core.storage import Claimed, Record

from .records import Row, claimed
from .statements import (
    CLAIM,
    CLAIMABLE_BY_ID,
    DUTIES,
    EARLY,
    EARLY_DUTIES,
    POSTPONED,
    PROMOTE,
    READY,
    RECORDS,
    SCHEDULED,
    WAITING,
)
from .writing import Writing

Place: TypeAlias = tuple[int, int]
"""Where a row stands in the order of a claim: minus its priority, and its due time."""

_PRIORITY: Final = 11
_DUE: Final = 13
"""Columns of a row of `RECORD_COLUMNS`."""

_PROMOTED: Final = 1_000
"""How many scheduled rows a claim sorts into the ready ones at most."""

# Each open cursor needs a statement of its own; the driver keeps prepared ones by their text.
_READY: Final = tuple(READY + " " * slot for slot in range(64))


@dataclass(slots=True)
class _Found:
    """What a claim may choose from.

    Attributes:
        streams: Rows in claim order, each stream by itself.
        ready: (queue, task) of each stream, nothing for that of the duties.
        due: Scheduled rows whose time has come: (due, priority, id).
        next_due: The earliest scheduled row whose time has not come.
        cut: Whether some scheduled rows whose time has come were not looked at.
    """

    streams: list[Cursor] = field(default_factory=list[Cursor])
    ready: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    due: list[tuple[int, int, str]] = field(default_factory=list[tuple[int, int, str]])
    next_due: int | None = None
    cut: bool = False

    def later(self, due: int) -> None:
        """Take note of a scheduled row whose time has not come."""
        if self.next_due is None or due < self.next_due:
            self.next_due = due


def claim_due(
    writing: Writing,
    executor: str,
    tasks: Collection[str],
    queues: Collection[str],
    *,
    limit: int,
    now: int,
) -> Claimed:
    """Claim by task and queue, as `Storage.claim` says."""
    found = _look(writing, tasks, queues, limit, now)
    taken, left = _choose(writing, found, limit)
    records = _hold(writing, taken, executor, now)
    if not left:
        _note_early(writing, found)
    return Claimed(
        records=records,
        exhausted=not left and not found.cut,
        next_due=found.next_due,
    )


def claim_ids(writing: Writing, executor: str, ids: Sequence[str], limit: int, now: int) -> Claimed:
    """Claim by id, in the order of the ids."""
    wanted = list(dict.fromkeys(ids))
    free = {row[0]: row for row in writing.rows(CLAIMABLE_BY_ID, (json.dumps(wanted), now))}
    rows = [free[id_] for id_ in wanted if id_ in free]
    return Claimed(
        records=_hold(writing, rows[:limit], executor, now), exhausted=len(rows) <= limit
    )


def _look(
    writing: Writing, tasks: Collection[str], queues: Collection[str], limit: int, now: int
) -> _Found:
    found = _Found()
    keys = (_json(queues), _json(tasks))
    waiting = [row for row in writing.rows(WAITING, keys) if row[2] or row[3] is not None]
    bound = max(limit, _PROMOTED // max(len(waiting), 1))
    for queue, task, ready, scheduled in waiting:
        duties = queue is None
        if ready and duties:
            found.ready.append(())
            found.streams.append(writing.run(DUTIES, (now,)))
        elif ready:
            found.ready.append((queue, task))
            text = _READY[len(found.streams) % len(_READY)]
            found.streams.append(writing.run(text, (queue, task, now)))
        if scheduled is not None:
            text, key = (POSTPONED, ()) if duties else (SCHEDULED, (queue, task))
            rows = partial(writing.run, text, key)
            _scheduled(found, scheduled, rows, bound=bound, now=now)
    return found


def _note_early(writing: Writing, found: _Found) -> None:
    """Remember when rows come due whose writer's clock is ahead of the claimer's."""
    for lane in found.ready:
        row = writing.row(EARLY if lane else EARLY_DUTIES, lane)
        if row is not None and row[0] is not None:
            found.later(row[0])


def _scheduled(
    found: _Found,
    first: int,
    cursor: Callable[[], Iterator[Row]],
    *,
    bound: int,
    now: int,
) -> None:
    """Sort scheduled rows into what is due and what is not, without going far beyond `now`."""
    if first > now:
        found.later(first)
        return
    rows = cursor()
    for due, priority, id_ in islice(rows, bound):
        if due > now:
            found.later(due)
            return
        found.due.append((due, priority, id_))
    after = next(rows, None)
    if after is not None:
        if after[0] > now:
            found.later(after[0])
        else:
            found.cut = True


def _choose(writing: Writing, found: _Found, limit: int) -> tuple[list[Row], bool]:
    """Return the first rows in claim order, and whether there are more."""
    streams: list[Iterable[Row]] = [*found.streams]
    found.due.sort(key=lambda row: (-row[1], row[0]))
    ids = [id_ for _, _, id_ in found.due]
    if ids:
        arrived = writing.rows(RECORDS, (json.dumps(ids[:limit]),))
        streams.append(sorted(arrived, key=_place))
    merged = heapq.merge(*streams, key=_place)
    taken = list(islice(merged, limit))
    left = len(ids) > limit or next(merged, None) is not None
    for cursor in found.streams:
        cursor.close()
    if len(ids) > limit:
        # What had to be sorted once need not be sorted by the next claim again.
        writing.run(PROMOTE, (json.dumps(ids[limit:]),))
    return taken, left


def _place(row: Row) -> Place:
    return (-row[_PRIORITY], row[_DUE])


def _hold(writing: Writing, rows: Sequence[Row], executor: str, now: int) -> list[Record]:
    if rows:
        ids = json.dumps([row[0] for row in rows])
        writing.run(CLAIM, (executor, now, ids))
    return [claimed(row, executor, now) for row in rows]


def _json(names: Collection[str]) -> str:
    return json.dumps(list(dict.fromkeys(names)), ensure_ascii=False)
