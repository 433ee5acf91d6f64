"""Rows that a transaction has read: changed in memory one after the other, written back once.

What is decided here, row by row, is as the protocol words it. It is safe because a transaction
reads one snapshot, and because a row on which a decision depends is written: if somebody else has
written it meanwhile, the server undoes this transaction, and it is begun again.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from pymongo import UpdateOne

from durable_core.storage import WAITING, Head, Phase
from durable_core.storage.kit import changed

from .records import NO_PAYLOADS, Doc, head, waits_in
from .session import Session
from .settings import EXECUTIONS


class Work:
    """The rows of one transaction.

    Args:
        session: In the transaction.
        docs: What was read of them.
        now: Decides what is due.
    """

    def __init__(self, session: Session, docs: Iterable[Doc], now: int) -> None:
        self._session = session
        self._now = now
        self._rows: dict[str, Head] = {}
        self._points: dict[str, int] = {}
        self._sleepers: dict[tuple[str, str], str] = {}
        self._changes: dict[str, dict[str, Any]] = {}
        for doc in docs:
            self._add(doc)

    def _add(self, doc: Doc) -> None:
        row = head(doc)
        self._rows[row.id] = row
        self._points[row.id] = doc.get("points", 0)
        if row.wake_key is not None and not row.finished:
            self._sleepers[row.task, row.wake_key] = row.id

    @classmethod
    async def read(
        cls,
        session: Session,
        ids: Collection[str],
        now: int,
        *,
        parents: Iterable[str] = (),
        keys: Iterable[tuple[str, str]] = (),
    ) -> "Work":
        """Read rows and their parents.

        Args:
            session: In the transaction.
            ids: Of the rows.
            now: Decides what is due.
            parents: Of parents that are known already, which saves a command.
            keys: Of the sleepers to read, too: (task, wake key).
        """
        wanted = {*ids, *parents}
        any_of: list[Mapping[str, Any]] = [{"_id": {"$in": sorted(wanted)}}]
        by_task: defaultdict[str, list[str]] = defaultdict(list)
        for task, key in keys:
            by_task[task].append(key)
        any_of += [{"task": task, "asleep": {"$in": some}} for task, some in by_task.items()]
        where = {"$or": any_of} if len(any_of) > 1 else any_of[0]
        work = cls(session, await session.find(EXECUTIONS, where, fields=NO_PAYLOADS), now)
        above = {row.parent_id for row in work._rows.values() if row.parent_id is not None}
        missing = above - wanted - set(work._rows)
        if missing:
            where = {"_id": {"$in": sorted(missing)}}
            for doc in await session.find(EXECUTIONS, where, fields=NO_PAYLOADS):
                work._add(doc)
        return work

    def get(self, id: str | None) -> Head | None:  # noqa: A002
        """Return a row as it is by now, None if it does not exist."""
        return None if id is None else self._rows.get(id)

    def asleep(self, task: str, wake_key: str) -> Head | None:
        """Return the unfinished sleeper of a key, if it is among the rows."""
        row = self.get(self._sleepers.get((task, wake_key)))
        return None if row is None or row.finished else row

    def points(self, id: str) -> int:  # noqa: A002
        """Return how many checkpoints a row has at most."""
        return self._points[id]

    def change(self, row: Head, values: Mapping[str, Any]) -> Head:
        """Give a row other values; payloads and `points` may be among them."""
        copy = changed(row, **{name: values[name] for name in values if name in _FIELDS})
        self._rows[row.id] = copy
        self._changes.setdefault(row.id, {}).update(values)
        return copy

    def finish(
        self, row: Head, phase: Phase, ended_by: str, values: Mapping[str, Any]
    ) -> tuple[Head, list[str]]:
        """End a row and count it down at its parent.

        Returns:
            The row as it is now, and the parent's id if that made it claimable.
        """
        after = self.change(
            row,
            {
                **values,
                "phase": phase,
                "owner": None,
                "due": 0 if row.pending > 0 else None,
                "ended_by": ended_by,
                "finished_at": self._now,
            },
        )
        parent = self.get(row.parent_id)
        if parent is None:
            return after, []
        pending = parent.pending - 1
        if parent.owner is None and parent.phase in WAITING and pending <= parent.join_at:
            self.change(parent, {"pending": pending, "due": 0})
            return after, [parent.id]
        self.change(parent, {"pending": pending})
        return after, []

    async def write(self) -> None:
        """Store what was changed: parents last, because others are most likely to want them."""
        mark = self._session.line.stamp()
        parents = {self._rows[id_].parent_id for id_ in self._changes}
        order = sorted(self._changes, key=lambda id_: (id_ in parents, id_))
        updates: list[UpdateOne] = []
        for id_ in order:
            row = self._rows[id_]
            values = {**self._changes[id_], **waits_in(row, self._now)}
            if row.owner is None:
                values["stamp"] = mark
            if "phase" in values:
                values["phase"] = row.phase.value
            if row.finished:
                values["asleep"] = None
            updates.append(UpdateOne({"_id": id_}, {"$set": values}))
        self._changes.clear()
        await self._session.update_each(EXECUTIONS, updates)


_FIELDS: Final = frozenset(Head.__dataclass_fields__)
