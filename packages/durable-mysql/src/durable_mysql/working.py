"""Rows that a transaction has locked: changed in memory one after the other, written back once.

MySQL has no statement that changes many rows and says of each what became of it. So rows and their
parents are locked and read, everything is decided here, row by row, as the protocol words it, and
what has changed is written together with the commit: two round trips, whatever the number of rows.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from durable_core.storage import WAITING, Head, Phase
from durable_core.storage.kit import changed

from .drivers import Row
from .errors import AgainError
from .literals import blob, name, number, text, texts
from .records import head, is_duty, place
from .session import Session
from .statements import CHANGES, LOCK, PARENTS, write_back

_PAYLOADS: Final = ("state", "output", "error")
_OUTSIDE: Final = frozenset({"state", "output"})
"""Payloads that a head does not have."""


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
    async def lock(
        cls, session: Session, ids: Collection[str], parents: set[str], now: int
    ) -> "Work":
        """Lock rows and their parents, in the order of their ids.

        Args:
            session: The transaction.
            ids: The rows.
            parents: Their parents. What turns out to be missing is added to it: a transaction
                that is repeated then locks it in its turn, not out of it.
            now: Decides what is due.

        Raises:
            AgainError: A parent was missing.
        """
        rows: Sequence[Row] = ()
        if ids:
            wanted = sorted({*ids, *parents})
            rows = await session.rows(session.fill(LOCK, texts(wanted)))
        return cls.of(session, rows, ids, parents, now)

    @classmethod
    def of(
        cls,
        session: Session,
        rows: Sequence[Row],
        ids: Collection[str],
        parents: set[str],
        now: int,
    ) -> "Work":
        """Return the work on rows that were locked by `LOCK`; see `lock`."""
        heads = [head(row) for row in rows]
        asked = set(ids)
        locked = asked | parents
        missing = {
            row.parent_id
            for row in heads
            if row.id in asked and row.parent_id is not None and row.parent_id not in locked
        }
        if missing:
            parents |= missing
            raise AgainError("a parent was not known to be one; nothing was written")
        return cls(session, heads, now)

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
        payloads = {field: values[field] for field in _PAYLOADS if field in values}
        if payloads:
            self._payloads.setdefault(row.id, {}).update(payloads)
        copy = changed(row, **{field: values[field] for field in values if field not in _OUTSIDE})
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

    def write(self) -> None:
        """Write what was changed with the commit, and note it for the hints after it."""
        groups: dict[tuple[str, ...], list[str]] = {}
        told = self._session.told
        for id_ in sorted(self._changed):
            row = self._rows[id_]
            payloads = self._payloads.get(id_, {})
            names: tuple[str, ...] = tuple(one for one in _PAYLOADS if one in payloads)
            groups.setdefault(names, []).append(self._stored(row, [payloads[n] for n in names]))
            told.rows += 1
            if row.finished_at is not None:
                told.finished = True
            if row.due is not None and row.owner is None:
                told.ready.add(row.queue)
        flavor = self._session.server.flavor
        for names, rows in groups.items():
            start, row_start = write_back(names)
            end = flavor.upsert((*CHANGES[1:], *names))
            self._session.later_rows(
                self._session.texts[start], (f"{row_start}{row}" for row in rows), end
            )

    def _stored(self, row: Head, payloads: Iterable[bytes | None]) -> str:
        """Return a row as it stands in the statement, in the order of `CHANGES`."""
        slot, turn = place(
            due=row.due,
            owner=row.owner,
            duty=is_duty(row.task, row.phase),
            queue=row.queue,
            task=row.task,
            priority=row.priority,
            now=self._now,
        )
        asleep = name(row.wake_key) if row.finished_at is None else "NULL"
        last = "".join(f", {blob(payload)}" for payload in payloads)
        return (
            f"{text(row.id)}, {asleep}, {row.priority}, '{row.phase.value}', {number(row.due)}, "
            f"{number(slot)}, {turn}, {text(row.owner)}, {row.gen}, {row.crashes}, {row.attempt}, "
            f"{row.pending}, {row.join_at}, {row.cancel_requested:d}, {text(row.ended_by)}, "
            f"{number(row.finished_at)}{last})"
        )


async def parents_of(session: Session, ids: Iterable[str], parents: set[str]) -> None:
    """Add the parents of rows; locks nothing, because nobody changes them."""
    wanted = texts(ids)
    parents |= {row[0] for row in await session.rows(session.fill(PARENTS, wanted))}
