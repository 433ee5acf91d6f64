"""The sketch's storage in memory: a dictionary."""

from collections.abc import Sequence

from .store import Row

_HELD, _WAITING, _SCHEDULED, _COMPLETED = "held", "waiting", "scheduled", "completed"


class _Stored:
    """One execution."""

    __slots__ = ("gen", "output", "owner", "pending", "phase", "row", "state")

    def __init__(self, row: Row, phase: str, owner: str | None) -> None:
        self.row = row
        self.phase = phase
        self.owner = owner
        self.gen = 1
        self.pending = 0
        self.state: bytes | None = None
        self.output: bytes | None = None


class MemoryStore:
    """Executions in a dictionary: nothing to batch, nothing to wait for."""

    def __init__(self) -> None:
        self._rows: dict[str, _Stored] = {}

    @property
    def durable(self) -> bool:
        """Everything ends with the process."""
        return False

    def counts(self) -> None:
        """There is no database."""

    async def open(self) -> None:
        """There is nothing to create."""

    async def close(self) -> None:
        """There is nothing to release."""

    async def insert(self, row: Row) -> None:
        """Store a new execution, held."""
        self._rows[row.id] = _Stored(row, _HELD, "me")

    async def progress(self, execution_id: str, state: bytes) -> None:
        """Store what a held execution has reached."""
        self._held(execution_id).state = state

    async def spread(self, parent_id: str, children: Sequence[Row]) -> None:
        """Store the children, held, and let their parent wait for all of them."""
        parent = self._held(parent_id)
        parent.phase, parent.pending = _WAITING, len(children)
        for child in children:
            self._rows[child.id] = _Stored(child, _HELD, "me")

    async def finish(self, execution_id: str, output: bytes, parent_id: str | None = None) -> None:
        """Store the result of a held execution and count down its parent's children."""
        row = self._held(execution_id)
        row.phase, row.output, row.owner = _COMPLETED, output, None
        if parent_id is not None:
            self._rows[parent_id].pending -= 1

    async def fill(self, finished: int, scheduled: int) -> None:
        """Store executions that ended, and others that are due next week."""
        for number in range(finished + scheduled):
            row = Row(f"there-{number}", "noop", b'{"number": 1}')
            phase = _COMPLETED if number < finished else _SCHEDULED
            self._rows[row.id] = _Stored(row, phase, None)

    def _held(self, execution_id: str) -> _Stored:
        row = self._rows[execution_id]
        if row.owner != "me" or row.gen != 1:
            raise RuntimeError(f"execution {execution_id} is not held: the sketch lost a write")
        return row
