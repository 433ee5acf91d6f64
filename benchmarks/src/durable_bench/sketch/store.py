"""What the sketch needs of a storage."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from ..sample import Counts


class Row(NamedTuple):
    """A new execution, claimed by its maker."""

    id: str
    task: str
    input: bytes
    parent_id: str | None = None
    child_index: int = 0


class Store(Protocol):
    """Raw writes; each call returns when its commit is durable, and may share it with others."""

    @property
    def durable(self) -> bool:
        """Whether what was filled is still there in the next process."""
        ...

    def counts(self) -> Counts | None:
        """Return what reached the database so far; None if there is none."""
        ...

    async def open(self) -> None:
        """Create the tables if there are none."""
        ...

    async def close(self) -> None:
        """Release the driver."""
        ...

    async def insert(self, row: Row) -> None:
        """Store a new execution, held."""
        ...

    async def progress(self, execution_id: str, state: bytes) -> None:
        """Store what a held execution has reached."""
        ...

    async def spread(self, parent_id: str, children: Sequence[Row]) -> None:
        """Store the children, held, and let their parent wait for all of them."""
        ...

    async def finish(self, execution_id: str, output: bytes, parent_id: str | None = None) -> None:
        """Store the result of a held execution and count down its parent's children."""
        ...

    async def fill(self, finished: int, scheduled: int) -> None:
        """Store executions that ended, and others that are due next week."""
        ...


class SharedStore(Store, Protocol):
    """A store that two processes share: one enqueues and waits, the other one works."""

    async def offer(self, row: Row) -> None:
        """Store a new execution that anybody may claim."""
        ...

    async def take(self, limit: int) -> Sequence[tuple[str, bytes]]:
        """Claim what is there, at most so many; return their ids and inputs."""
        ...

    async def ended(self, ids: Sequence[str]) -> Sequence[tuple[str, bytes]]:
        """Return ids and outputs of those that have ended."""
        ...

    async def heard(self) -> None:
        """Return when the other process may have written since this returned; at first at once."""
        ...
