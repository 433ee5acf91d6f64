"""What is seen of a kill run from outside, by a handle of its own on the storage."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from durable_core.storage import (
    FINISHED_STATUSES,
    Head,
    OutcomeUnknownError,
    Query,
    Record,
    Status,
    Storage,
    TemporaryError,
)

T = TypeVar("T")

_PAGE: Final = 500
_PAUSE: Final = 0.05


def now_us() -> int:
    """Return the machine's time, which servers and workers on it share."""
    return time.time_ns() // 1_000


class Watch:
    """Reads the storage patiently while its server comes and goes.

    What has ended once must never change again: whatever is seen ended is kept, and compared with
    what is there at the end.

    Args:
        storage: Set up; closed by the caller.
        patience: Seconds for one read.
    """

    def __init__(self, storage: Storage, patience: float) -> None:
        self._storage = storage
        self._patience = patience
        self._cursor: str | None = None
        self.seen: dict[str, str] = {}

    async def read(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call that only reads, again until it is answered."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return await call()
            except (TemporaryError, OutcomeUnknownError):
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(_PAUSE)

    async def unfinished(self) -> int:
        """Return how many executions have not ended."""
        query = Query(statuses=frozenset(Status) - FINISHED_STATUSES)
        counts = await self.read(lambda: self._storage.count(query=query))
        return counts.get("*", 0)

    async def held_by(self, name: str) -> list[Head]:
        """Return what an executor of this name holds."""
        query = Query(statuses=frozenset({Status.RUNNING}))
        return [
            head for head in await self._all(query) if (head.owner or "").startswith(f"{name}.")
        ]

    async def taken_over(self, held: Sequence[Head]) -> None:
        """Return when all of these have ended, or are held by nobody or somebody else."""
        left = {head.id: head.owner for head in held}
        while left:
            ids = list(left)
            heads = await self.read(partial(self._storage.get, ids=ids, payload=False))
            for id_, head in zip(ids, heads, strict=True):
                if head is None or head.owner != left[id_]:
                    del left[id_]
            await asyncio.sleep(_PAUSE)

    async def look(self) -> None:
        """Look at one more page of executions, from the oldest to the newest and again."""
        page = await self.read(
            partial(
                self._storage.find, query=Query(), limit=_PAGE, cursor=self._cursor, payload=True
            )
        )
        self._cursor = page.cursor
        for head in page.items:
            if isinstance(head, Record) and head.finished:
                self.seen.setdefault(head.id, signature(head))

    async def everything(self) -> list[Record]:
        """Return all executions."""
        return [head for head in await self._all(Query(), payload=True) if isinstance(head, Record)]

    async def _all(self, query: Query, *, payload: bool = False) -> list[Head]:
        found: list[Head] = []
        cursor: str | None = None
        while True:
            page = await self.read(
                partial(
                    self._storage.find, query=query, limit=_PAGE, cursor=cursor, payload=payload
                )
            )
            found += page.items
            cursor = page.cursor
            if cursor is None:
                return found


def signature(row: Record) -> str:
    """Return what never changes again once a row has ended."""
    parts = (row.phase.value, row.ended_by, row.finished_at, row.output, row.error)
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()
