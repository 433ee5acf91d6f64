"""Executions, their indexes, and the effects that every method is made of."""

import heapq
from collections import defaultdict
from collections.abc import Iterator

from ..kit import Mailbox, born
from ..quick import changed
from ..records import FINISHED, WAITING, Checkpoint, Lease, Phase, Record
from ..requests import InsertOutcome, NewExecution
from .queues import ClaimQueues


class Tables:
    """All data of one namespace. Not safe by itself: the storage holds a lock around it."""

    def __init__(self) -> None:
        self.rows: dict[str, Record] = {}
        self.checkpoints: dict[str, dict[str, Checkpoint]] = {}
        self.mailboxes: dict[tuple[str, str], Mailbox] = {}
        self.leases: dict[str, Lease] = {}
        self.keys: dict[tuple[str, str], str] = {}
        self.sleepers: dict[tuple[str, str], str] = {}
        self.children: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self.held: defaultdict[str, set[str]] = defaultdict(set)
        self.marked: defaultdict[str, set[str]] = defaultdict(set)
        self.finished: list[tuple[int, str]] = []
        self.queues = ClaimQueues()

    def put(self, record: Record) -> None:
        """Store a row's new state and bring every index up to date."""
        before = self.rows.get(record.id)
        self.rows[record.id] = record
        if before is None:
            self._index_new(record)
        elif before.owner is not None and before.owner != record.owner:
            self._drop_held(before.owner, record.id)
        if record.owner is not None:
            self.held[record.owner].add(record.id)
            if record.cancel_requested and record.phase not in FINISHED:
                self.marked[record.owner].add(record.id)
        if record.phase in FINISHED and (before is None or before.phase not in FINISHED):
            assert record.finished_at is not None  # noqa: S101 - set by `finish`
            heapq.heappush(self.finished, (record.finished_at, record.id))
            if record.wake_key is not None:
                self.sleepers.pop((record.task, record.wake_key), None)
        self.queues.update(record)

    def _index_new(self, record: Record) -> None:
        if record.key is not None:
            self.keys[record.task, record.key] = record.id
        if record.wake_key is not None and record.phase not in FINISHED:
            self.sleepers[record.task, record.wake_key] = record.id
        if record.parent_id is not None:
            self.children[record.parent_id][record.id] = None

    def _drop_held(self, owner: str, id: str) -> None:  # noqa: A002
        for index in (self.held, self.marked):
            ids = index.get(owner)
            if ids is not None:
                ids.discard(id)
                if not ids:
                    del index[owner]

    def remove(self, record: Record) -> None:
        """Delete a finished row with its checkpoints; its id and key are free again."""
        del self.rows[record.id]
        self.checkpoints.pop(record.id, None)
        self.queues.forget(record.id)
        if record.key is not None:
            del self.keys[record.task, record.key]
        if record.parent_id is not None:
            siblings = self.children[record.parent_id]
            del siblings[record.id]
            if not siblings:
                del self.children[record.parent_id]

    def existing(self, item: NewExecution) -> tuple[InsertOutcome, Record] | None:
        """Return the row that an insert of this item meets, by id, then key, then wake key."""
        if (row := self.rows.get(item.id)) is not None:
            return InsertOutcome.EXISTING_ID, row
        if item.key is not None and (id_ := self.keys.get((item.task, item.key))) is not None:
            return InsertOutcome.EXISTING_KEY, self.rows[id_]
        if item.wake_key is not None:
            id_ = self.sleepers.get((item.task, item.wake_key))
            if id_ is not None:
                return InsertOutcome.EXISTING_WAKE_KEY, self.rows[id_]
        return None

    def add(self, item: NewExecution, now: int) -> Record:
        """Insert a new row; a sleeper with a fresh kept message is born finished with it."""
        record = born(item, now)
        if item.wake_key is not None:
            box = self.mailboxes.setdefault((item.task, item.wake_key), Mailbox())
            box.execution_id = item.id
            message, box.message = box.message, None
            if message is not None and message.until > now:
                record = changed(
                    record,
                    phase=message.phase,
                    due=None,
                    ended_by=message.request,
                    finished_at=now,
                    output=message.payload if message.phase is Phase.COMPLETED else None,
                    error=message.payload if message.phase is Phase.FAILED else None,
                )
        self.put(record)
        return record

    def finish(
        self, record: Record, phase: Phase, ended_by: str, now: int, **values: object
    ) -> list[str]:
        """End a row and count it down at its parent.

        Returns:
            The parent's id if that made it claimable.
        """
        self.put(
            changed(
                record,
                phase=phase,
                owner=None,
                due=0 if record.pending > 0 else None,
                ended_by=ended_by,
                finished_at=now,
                **values,
            )
        )
        parent = None if record.parent_id is None else self.rows.get(record.parent_id)
        if parent is None:
            return []
        parent = changed(parent, pending=parent.pending - 1)
        joined = self.joined(parent)
        self.put(joined)
        return [joined.id] if joined is not parent else []

    @staticmethod
    def joined(record: Record) -> Record:
        """Return the row due at once if it waits, un-held, for no more children than are left."""
        if record.owner is None and record.phase in WAITING and record.pending <= record.join_at:
            return changed(record, due=0)
        return record

    def in_order(self) -> Iterator[Record]:
        """Yield all rows by (created_at, id)."""
        yield from sorted(self.rows.values(), key=lambda row: (row.created_at, row.id))
