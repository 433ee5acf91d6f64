"""Rows that a transaction has: changed in memory one after the other, written back once.

What one statement over many rows cannot say in order (a row and its parent in one batch, a message
that ends a sleeper, children that are born ended) is decided here, row by row, as the protocol
words it. A storage reads the rows in a transaction that nobody can get in the way of, because it
has locked them or is undone, and then writes what has changed: as many statements for a thousand
rows as for one.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ..quick import changed
from ..records import WAITING, Head, Phase


class Rows:
    """The rows of one transaction, with the parents of those that may end in it.

    Args:
        rows: As they are stored.
        now: The call's time, µs.

    Attributes:
        now: The call's time, µs.
        changes: By id, what was given to each changed row, in order; also what a `Head` does not
            have, such as payloads.
    """

    def __init__(self, rows: Iterable[Head], now: int) -> None:
        self.now = now
        self.changes: dict[str, dict[str, Any]] = {}
        self._rows: dict[str, Head] = {}
        self._sleepers: dict[tuple[str, str], str] = {}
        for row in rows:
            self.add(row)

    def add(self, row: Head) -> None:
        """Take a row that was read later."""
        self._rows[row.id] = row
        if row.wake_key is not None and not row.finished:
            self._sleepers[row.task, row.wake_key] = row.id

    def get(self, id: str | None) -> Head | None:  # noqa: A002
        """Return a row as it is by now, None if it does not exist."""
        return None if id is None else self._rows.get(id)

    def parents(self) -> set[str]:
        """Return the ids of the parents of all rows, whether they are among the rows or not."""
        return {row.parent_id for row in self._rows.values() if row.parent_id is not None}

    def asleep(self, task: str, wake_key: str) -> Head | None:
        """Return the unfinished sleeper of a key, if it is among the rows."""
        row = self.get(self._sleepers.get((task, wake_key)))
        return None if row is None or row.finished else row

    def changed_rows(self) -> list[Head]:
        """Return the rows that were changed, as they are by now, in the order of their ids."""
        return [self._rows[id_] for id_ in sorted(self.changes)]

    def change(self, row: Head, values: Mapping[str, Any]) -> Head:
        """Give a row other values, and return it.

        Args:
            row: One of the rows.
            values: By name of a field of `Head`, or of what is stored beside it.
        """
        after = changed(row, **{name: values[name] for name in values if name in _FIELDS})
        self._rows[row.id] = after
        self.changes.setdefault(row.id, {}).update(values)
        return after

    def finish(
        self, row: Head, phase: Phase, ended_by: str, values: Mapping[str, Any]
    ) -> tuple[Head, list[str]]:
        """End a row and count it down at its parent.

        Args:
            row: One of the rows; its parent is another one, if there is one.
            phase: How it ends.
            ended_by: The token or request that ends it.
            values: What else it is given.

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
                "finished_at": self.now,
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


_FIELDS: Final = frozenset(Head.__dataclass_fields__)
