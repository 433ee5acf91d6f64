"""Children of a durable function: inserted, looked up, watched, cancelled when given up."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from ...storage import CancelOutcome, NewExecution, Record, Status
from ..ids import child_id
from ..run import Run
from ..waiters import Ended
from .operations import ChildOperation, Operation, entry_of
from .record import INLINE, Entry, How, how_of

_PAGE_BYTES: Final = 128 * 1024


class Children:
    """The children of one activation.

    Args:
        run: The activation.
        happened: Called with what a child has ended with.

    Attributes:
        new: Those that are not inserted yet, in order.
        strays: Those that the function has given up and that may not have ended, by id.
        large: Results that are too large for the record, by position.
    """

    def __init__(self, run: Run, happened: Callable[[Entry], None]) -> None:
        self._run = run
        self._happened = happened
        self._watched: dict[str, ChildOperation] = {}
        self._told: set[str] = set()
        self.new: list[ChildOperation] = []
        self.strays: dict[str, ChildOperation] = {}
        self.large: dict[int, bytes] = {}

    async def read_stored(self, entries: Iterable[Entry]) -> None:
        """Read the rows of children whose results are not in the record."""
        record = self._run.record
        positions = [entry.position for entry in entries if entry.how is How.STORED]
        ids = [child_id(record.id, record.created_at, position) for position in positions]
        rows = await self._run.services.writer.records(ids)
        for position, row in zip(positions, rows, strict=True):
            if row is not None:
                self.large[position] = _result(row)

    async def look(self, operations: Sequence[ChildOperation]) -> None:
        """Find out which of these, and of the strays, exist, and which have ended."""
        everyone = [*operations, *self.strays.values()]
        if not everyone:
            return
        rows = await self._run.services.writer.records([one.row.id for one in everyone])
        for operation, row in zip(everyone, rows, strict=True):
            operation.inserted = row is not None
            if row is None or row.finished:
                self.strays.pop(operation.row.id, None)
            if row is not None and row.finished and operation in operations:
                self._tell(operation, how_of(row.status), _result(row))

    def add(self, operation: ChildOperation) -> None:
        """Take in a child that the function waits for."""
        if not operation.inserted:
            self.new.append(operation)

    def drop(self, operation: ChildOperation, *, perhaps_inserted: bool) -> None:
        """Take note that the function has given a child up.

        Args:
            operation: The child.
            perhaps_inserted: Whether a predecessor may have inserted it.
        """
        if operation in self.new:
            self.new.remove(operation)
        elif operation.inserted or perhaps_inserted:
            self.strays[operation.row.id] = operation
        self._unwatch(operation.row.id)

    async def cancel_strays(self) -> list[Entry]:
        """Cancel what was given up; returns entries that say so, to be looked up no more."""
        ids = [id_ for id_ in self.strays if id_ not in self._told]
        if not ids:
            return []
        self._told.update(ids)
        entries: list[Entry] = []
        answers = await self._run.services.writer.cancel(ids)
        for id_, answer in zip(ids, answers, strict=True):
            if answer.outcome is not CancelOutcome.MARKED:
                operation = self.strays.pop(id_)
                entries.append(entry_of(operation, How.CANCELLED, 0))
        return entries

    def page(self) -> list[ChildOperation]:
        """Return the next children to insert: as many as fit into one call."""
        capabilities = self._run.services.writer.storage.capabilities
        most_rows = max(1, capabilities.max_batch_rows - 1)
        most_bytes = min(_PAGE_BYTES, capabilities.max_payload // 4)
        page: list[ChildOperation] = []
        size = 0
        for child in self.new:
            row = child.row
            bytes_ = len(row.input) + len(row.options) + len(row.meta)
            if page and (len(page) >= most_rows or size + bytes_ > most_bytes):
                break
            page.append(child)
            size += bytes_
        return page

    def inserted(self, children: Sequence[ChildOperation]) -> None:
        """Take note that these exist now."""
        for child in children:
            child.inserted = True
        del self.new[: len(children)]

    def conflict(self, row: NewExecution, now: int) -> Entry:
        """Return the entry of a child that cannot be inserted, and forget it."""
        operation = next(child for child in self.new if child.row.id == row.id)
        self.new.remove(operation)
        return entry_of(operation, How.CONFLICT, now)

    def join_at(self, operations: Iterable[Operation]) -> int | None:
        """Return how many children may be unfinished when the function wants to go on.

        Args:
            operations: What it waits for.

        Returns:
            None: it waits for no child.
        """
        waiting = [one for one in operations if isinstance(one, ChildOperation)]
        if not waiting:
            return None
        everybody = len(waiting) + len(self.strays)
        groups = {one.together for one in waiting}
        if len(groups) == 1 and groups.pop():
            return everybody - len(waiting)
        return everybody - 1

    def watch(self, operations: Iterable[Operation]) -> None:
        """Ask to be told when children end while the function is held."""
        for operation in operations:
            if not isinstance(operation, ChildOperation) or not operation.inserted:
                continue
            id_ = operation.row.id
            if id_ not in self._watched:
                self._watched[id_] = operation
                self._run.services.watch(id_, self)

    def ended(self, execution_id: str, how: Ended) -> None:
        """See `Waiter`."""
        operation = self._watched.pop(execution_id, None)
        if operation is not None and how.status is not None:
            result = how_of(how.status)
            self._tell(operation, result, (how.output if result is How.OK else how.error) or b"")

    def close(self) -> None:
        """Watch nothing any more."""
        for id_ in tuple(self._watched):
            self._unwatch(id_)

    def _unwatch(self, execution_id: str) -> None:
        if self._watched.pop(execution_id, None) is not None:
            self._run.services.unwatch(execution_id, self)

    def _tell(self, operation: ChildOperation, how: How, payload: bytes) -> None:
        now = self._run.services.time.now()
        if len(payload) > INLINE:
            self.large[operation.position] = payload
            how, payload = How.STORED, how.encode()
        self._happened(entry_of(operation, how, now, payload))


def _result(row: Record) -> bytes:
    return (row.output if row.status is Status.COMPLETED else row.error) or b""
