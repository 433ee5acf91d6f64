"""Rows that a transaction has read, and all that it changes written back."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pymongo import UpdateOne

from durable_core.storage.kit import Rows

from .records import NO_PAYLOADS, Doc, head, waits_in
from .session import Session
from .settings import EXECUTIONS


class Work(Rows):
    """The rows of one transaction.

    It reads one snapshot, and a row on which a decision depends is written: if somebody else has
    written it meanwhile, the server undoes this transaction, and it is begun again.

    Args:
        docs: What was read of them.
        now: Decides what is due.
    """

    def __init__(self, docs: Iterable[Doc], now: int) -> None:
        super().__init__((), now)
        self._points: dict[str, int] = {}
        for doc in docs:
            self._add(doc)

    def _add(self, doc: Doc) -> None:
        row = head(doc)
        self.add(row)
        self._points[row.id] = doc.get("points", 0)

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
        work = cls(await session.find(EXECUTIONS, where, fields=NO_PAYLOADS), now)
        missing = {id_ for id_ in work.parents() - wanted if work.get(id_) is None}
        if missing:
            where = {"_id": {"$in": sorted(missing)}}
            for doc in await session.find(EXECUTIONS, where, fields=NO_PAYLOADS):
                work._add(doc)
        return work

    def points(self, id: str) -> int:  # noqa: A002
        """Return how many checkpoints a row has at most."""
        return self._points[id]

    async def write(self, session: Session) -> None:
        """Store what was changed: parents last, because others are most likely to want them."""
        mark = session.line.stamp()
        rows = self.changed_rows()
        parents = {row.parent_id for row in rows}
        updates: list[UpdateOne] = []
        for row in sorted(rows, key=lambda row: row.id in parents):
            values = {**self.changes[row.id], **waits_in(row, self.now)}
            if row.owner is None:
                values["stamp"] = mark
            if "phase" in values:
                values["phase"] = row.phase.value
            if row.finished:
                values["asleep"] = None
            updates.append(UpdateOne({"_id": row.id}, {"$set": values}))
        await session.update_each(EXECUTIONS, updates)
