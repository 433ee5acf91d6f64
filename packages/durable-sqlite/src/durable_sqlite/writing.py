"""What all calls of one write transaction share."""

import sqlite3
from collections.abc import Callable

from durable_core.storage import Head

from .session import Session, Tally


class Writing(Session):
    """The connection that writes, and what the current transaction has to tell afterwards.

    Attributes:
        ready: Queues in which something may have become claimable.
        finished: Whether something finished.
        changes: Rows changed on this connection before the transaction.
        updates: Statements of `change_row` by the names of their columns.
        finishing: Statements of `finish_rows` by shape and size.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        prefix: str,
        tally: Tally,
        open_leases: Callable[[], Session] | None = None,
    ) -> None:
        super().__init__(connection, prefix, tally, open_leases)
        self.ready: set[str] = set()
        self.finished = False
        self.changes = 0
        self.updates: dict[tuple[str, ...], str] = {}
        self.finishing: dict[tuple[int, int], str] = {}

    def tell(self, row: Head) -> None:
        """Take note of a row's new state for the hints after the commit."""
        if row.finished_at is not None:
            self.finished = True
        if row.due is not None and row.owner is None:
            self.ready.add(row.queue)

    def forget(self) -> None:
        """Drop what was to be told: it was, or the transaction was rolled back."""
        self.ready.clear()
        self.finished = False
