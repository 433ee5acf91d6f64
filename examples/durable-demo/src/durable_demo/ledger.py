"""What the storage says about one run: its executions, read without the engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from durable_core.storage import CountBy, Head, Phase, Query, Record, Storage

_PAGE = 500


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """All executions of one run at one moment.

    Attributes:
        rows: Id -> execution.
        names: The files, by the index of the execution that studies each.
    """

    rows: Mapping[str, Head]
    names: Sequence[str]

    def subject(self, row: Head) -> str:
        """Return the file that an execution works on; empty for the folder's own executions."""
        while row.parent_id is not None and row.task != "study_page":
            row = self.rows[row.parent_id]
        return self.names[row.child_index] if row.task == "study_page" else ""

    def held(self) -> list[Head]:
        """Return the unfinished executions that a worker holds."""
        return [row for row in self.rows.values() if row.owner is not None and not row.finished]

    def finished(self) -> list[Head]:
        """Return the executions that have ended."""
        return [row for row in self.rows.values() if row.finished]

    def of(self, task: str) -> list[Head]:
        """Return the executions of a task."""
        return [row for row in self.rows.values() if row.task == task]

    def asleep(self) -> bool:
        """Whether an execution sleeps until somebody wakes it."""
        return any(row.phase is Phase.SLEEPING and row.wake_key for row in self.rows.values())


async def read_ledger(storage: Storage, root: str, names: Sequence[str]) -> Ledger:
    """Read all executions of a run, without their payloads: cheap enough to watch a run with."""
    return Ledger(rows=await _rows(storage, root, payload=False), names=names)


async def read_records(storage: Storage, root: str, names: Sequence[str]) -> Ledger:
    """Read all executions of a run with their payloads; each row is a `Record`."""
    return Ledger(rows=await _rows(storage, root, payload=True), names=names)


def output_of(row: Head) -> tuple[bytes | None, bytes | None]:
    """Return output and error of a row that `read_records` read."""
    return cast("Record", row).output, row.error


async def count_statuses(storage: Storage, root: str) -> dict[str, int]:
    """Let the storage count a run's executions by status."""
    return dict(await storage.count(query=Query(root_id=root), by=CountBy.STATUS))


async def _rows(storage: Storage, root: str, *, payload: bool) -> dict[str, Head]:
    rows: dict[str, Head] = {}
    cursor: str | None = None
    while True:
        page = await storage.find(
            query=Query(root_id=root), limit=_PAGE, cursor=cursor, payload=payload
        )
        for row in page.items:
            if row.id in rows:
                raise LookupError(f"the storage lists execution {row.id} twice")
            rows[row.id] = row
        cursor = page.cursor
        if cursor is None:
            return rows
