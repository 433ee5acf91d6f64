"""Rows that a transaction has locked: changed in memory one after the other, written back once.

What a statement over many rows cannot say in order (a row and its parent in one batch, a message
that ends a sleeper, children that are born ended) is decided here, row by row, as the protocol
words it. The number of statements does not depend on the number of rows.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from durable_core.storage import WAITING, Head, Phase

from .records import Row, by_column, head, is_duty, lane
from .session import Session
from .statements import LOCK, WRITE_BACK

_STATE: Final = 1
_OUTPUT: Final = 2


class Work:
    """The locked rows of one transaction.

    Args:
        session: The transaction.
        rows: The locked rows.
        now: Decides what is due.
    """

    def __init__(self, session: Session, rows: Iterable[Head], now: int) -> None:
        self._session = session
        self._now = now
        self._rows = {row.id: row for row in rows}
        self._sleepers = {
            (row.task, row.wake_key): row.id
            for row in self._rows.values()
            if row.wake_key is not None and not row.finished
        }
        self._payloads: dict[str, dict[str, bytes | None]] = {}
        self._changed: dict[str, None] = {}

    @classmethod
    async def lock(cls, session: Session, ids: Collection[str], now: int) -> "Work":
        """Lock rows and their parents, in the order of their ids."""
        rows = await session.rows(LOCK, list(ids)) if ids else ()
        return cls(session, [head(row) for row in rows], now)

    def get(self, id: str | None) -> Head | None:  # noqa: A002
        """Return a row as it is by now, None if it does not exist."""
        return None if id is None else self._rows.get(id)

    def asleep(self, task: str, wake_key: str) -> Head | None:
        """Return the unfinished sleeper of a key, if it is among the rows."""
        id_ = self._sleepers.get((task, wake_key))
        row = self.get(id_)
        return None if row is None or row.finished else row

    def change(self, row: Head, values: Mapping[str, Any]) -> Head:
        """Give a row other values; `state` and `output` may be among them."""
        copy = object.__new__(Head)
        for name in _FIELDS:
            object.__setattr__(copy, name, values[name] if name in values else getattr(row, name))
        for name in ("state", "output"):
            if name in values:
                self._payloads.setdefault(row.id, {})[name] = values[name]
        self._rows[row.id] = copy
        self._changed[row.id] = None
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
        """Store what was changed, and take note of it for the hints after the commit."""
        if not self._changed:
            return
        rows = [self._stored(self._rows[id_]) for id_ in sorted(self._changed)]
        await self._session.write(WRITE_BACK, *by_column(rows))
        told = self._session.told
        told.rows += len(rows)
        for id_ in self._changed:
            row = self._rows[id_]
            if row.finished_at is not None:
                told.finished = True
            if row.due is not None and row.owner is None:
                told.ready.add(row.queue)

    def _stored(self, row: Head) -> Row:
        payloads = self._payloads.get(row.id, {})
        flags = _STATE * ("state" in payloads) + _OUTPUT * ("output" in payloads)
        duty = is_duty(row.task, row.phase)
        return (
            row.id,
            row.priority,
            row.phase.value,
            row.due,
            lane(due=row.due, owner=row.owner, duty=duty, now=self._now),
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
            payloads.get("state"),
            payloads.get("output"),
        )


_FIELDS: Final[Sequence[str]] = tuple(Head.__dataclass_fields__)
