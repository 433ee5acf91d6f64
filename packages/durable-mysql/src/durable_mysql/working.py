"""Rows that a transaction has locked, and all that it changes written with the commit.

MySQL has no statement that changes many rows and says of each what became of it. So everything is
decided in memory: two round trips, whatever the number of rows.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from durable_core.storage import Head
from durable_core.storage.kit import Rows

from .drivers import Row
from .errors import AgainError
from .literals import blob, name, number, text, texts
from .records import head, is_duty, place
from .session import Session
from .statements import CHANGES, LOCK, PARENTS, write_back

_PAYLOADS: Final = ("state", "output", "error")


class Work(Rows):
    """The locked rows of one transaction: whoever else wants them waits for its end."""

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
        return cls.of(rows, ids, parents, now)

    @classmethod
    def of(cls, rows: Sequence[Row], ids: Collection[str], parents: set[str], now: int) -> "Work":
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
        return cls(heads, now)

    def write(self, session: Session) -> None:
        """Write what was changed with the commit, and note it for the hints after it."""
        groups: dict[tuple[str, ...], list[str]] = {}
        told = session.told
        for row in self.changed_rows():
            values = self.changes[row.id]
            names: tuple[str, ...] = tuple(one for one in _PAYLOADS if one in values)
            groups.setdefault(names, []).append(self._stored(row, [values[n] for n in names]))
            told.rows += 1
            if row.finished_at is not None:
                told.finished = True
            if row.due is not None and row.owner is None:
                told.ready.add(row.queue)
        for names, rows in groups.items():
            start, row_start = write_back(names)
            end = session.server.flavor.upsert((*CHANGES[1:], *names))
            session.later_rows(session.texts[start], (f"{row_start}{row}" for row in rows), end)

    def _stored(self, row: Head, payloads: Iterable[Any]) -> str:
        """Return a row as it stands in the statement, in the order of `CHANGES`."""
        slot, turn = place(
            due=row.due,
            owner=row.owner,
            duty=is_duty(row.task, row.phase),
            queue=row.queue,
            task=row.task,
            priority=row.priority,
            now=self.now,
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
