"""Rows that a transaction has locked."""

from collections.abc import Collection
from typing import Final

from durable_core.storage import Head
from durable_core.storage.kit import Rows

from .records import Row, by_column, head, is_duty, lane
from .session import Session
from .statements import LOCK, WRITE_BACK

_STATE: Final = 1
_OUTPUT: Final = 2


class Work(Rows):
    """The locked rows of one transaction: whoever else wants them waits for its end."""

    @classmethod
    async def lock(cls, session: Session, ids: Collection[str], now: int) -> "Work":
        """Lock rows and their parents, in the order of their ids."""
        rows = await session.rows(LOCK, list(ids)) if ids else ()
        return cls(map(head, rows), now)

    async def write(self, session: Session) -> None:
        """Store what was changed, and take note of it for the hints after the commit."""
        rows = self.changed_rows()
        if not rows:
            return
        await session.write(WRITE_BACK, *by_column(map(self._stored, rows)))
        session.told.rows += len(rows)
        for row in rows:
            if row.finished_at is not None:
                session.told.finished = True
            if row.due is not None and row.owner is None:
                session.told.ready.add(row.queue)

    def _stored(self, row: Head) -> Row:
        values = self.changes[row.id]
        flags = _STATE * ("state" in values) + _OUTPUT * ("output" in values)
        duty = is_duty(row.task, row.phase)
        return (
            row.id,
            row.priority,
            row.phase.value,
            row.due,
            lane(due=row.due, owner=row.owner, duty=duty, now=self.now),
            row.owner,
            row.gen,
            row.crashes,
            row.attempt,
            row.pending,
            row.join_at,
            row.cancel_requested,
            row.ended_by,
            row.finished_at,
            row.error,
            flags,
            values.get("state"),
            values.get("output"),
        )
