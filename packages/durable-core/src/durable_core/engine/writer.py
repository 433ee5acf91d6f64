"""The one way to the storage: grouped writes, patient reads, unknown outcomes resolved."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

from ..storage import (
    Applied,
    Cancelled,
    Head,
    Inserted,
    Keep,
    NewExecution,
    OutcomeUnknownError,
    Query,
    Record,
    Release,
    Settle,
    Storage,
    TemporaryError,
    Transition,
    Unset,
    Wake,
    Woken,
)
from .channel import Channel, Sender
from .clock import Clock, StorageTime, sleep
from .ids import new_request

T = TypeVar("T")

_PAGE = 500


class Writer:
    """Every call of the engine to its storage, but claims and heartbeats.

    Args:
        storage: Where to.
        clock: For backoff.
        time: The storage's time, for `now`.
        jitter: Returns a number in [0, 1).
        patience: Seconds for which a caller's call is repeated while the storage is away.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        clock: Clock,
        time: StorageTime,
        jitter: Callable[[], float],
        patience: float,
    ) -> None:
        self.storage = storage
        self._clock = clock
        self._time = time
        self._jitter = jitter
        self._patience = patience
        self._applied_at = 0
        self._inserts = Channel[NewExecution, Inserted](
            "insert", send=self._send_inserts, cut=self._cut_inserts, clock=clock, jitter=jitter
        )
        self._applies = Channel[Transition, Applied](
            "apply", send=self._send_applies, cut=self._cut_applies, clock=clock, jitter=jitter
        )
        self._wakes = Channel[Wake, Woken](
            "wake", send=self._send_wakes, cut=self._cut_wakes, clock=clock, jitter=jitter
        )

    def insert(
        self, item: NewExecution, sender: Sender[NewExecution, Inserted] | None = None
    ) -> "asyncio.Future[Inserted]":
        """Insert a root; gives up after `patience`."""
        return self._inserts.submit(item, sender, self._patience_ends())

    def apply(
        self, item: Transition, sender: Sender[Transition, Applied] | None = None
    ) -> "asyncio.Future[Applied]":
        """Write a transition; repeated until answered, or until its sender ends that."""
        return self._applies.submit(item, sender)

    def post(self, item: Transition, sender: Sender[Transition, Applied]) -> None:
        """Write a transition as `apply` does; its sender alone is told of the answer."""
        self._applies.post(item, sender)

    def wake(self, item: Wake) -> "asyncio.Future[Woken]":
        """Wake a sleeper; gives up after `patience`."""
        return self._wakes.submit(item, ends=self._patience_ends())

    async def cancel(self, ids: Sequence[str], request: str | None = None) -> Sequence[Cancelled]:
        """Cancel executions under one request; gives up after `patience`.

        Args:
            ids: Any number; sent in pieces that the storage takes.
            request: For a repetition that must get the same answer; a new one by default.
        """
        request = request or new_request()
        size = self.storage.capabilities.max_batch_rows
        answers: list[Cancelled] = []
        for start in range(0, len(ids), size):
            piece = ids[start : start + size]
            answers += await self.patiently(partial(self._send_cancel, piece, request))
        return answers

    async def records(self, ids: Sequence[str]) -> list[Record | None]:
        """Read whole executions, in request order; gives up after `patience`."""
        size = self.storage.capabilities.max_batch_rows
        found: list[Record | None] = []
        for start in range(0, len(ids), size):
            piece = ids[start : start + size]
            page = await self.patiently(partial(self.storage.get, ids=piece))
            found += [row if isinstance(row, Record) else None for row in page]
        return found

    async def found(self, query: Query) -> list[Record]:
        """Read all executions of a query, page by page; gives up after `patience`."""
        rows: list[Record] = []
        cursor: str | None = None
        while True:
            page = await self.patiently(
                partial(self.storage.find, query=query, limit=_PAGE, cursor=cursor, payload=True)
            )
            rows += [row for row in page.items if isinstance(row, Record)]
            cursor = page.cursor
            if cursor is None:
                return rows

    async def heads(self, query: Query) -> list[Head]:
        """Read the heads of all executions of a query; gives up after `patience`."""
        rows: list[Head] = []
        cursor: str | None = None
        while True:
            page = await self.patiently(
                partial(self.storage.find, query=query, limit=_PAGE, cursor=cursor)
            )
            rows += page.items
            cursor = page.cursor
            if cursor is None:
                return rows

    async def recorded(self, execution_id: str) -> dict[str, bytes]:
        """Read an execution's checkpoints, in order of writing; gives up after `patience`."""
        values: dict[str, bytes] = {}
        cursor: str | None = None
        while True:
            page = await self.patiently(
                partial(
                    self.storage.checkpoints,
                    execution_id=execution_id,
                    limit=_PAGE,
                    cursor=cursor,
                )
            )
            values |= {point.name: point.value for point in page.items}
            cursor = page.cursor
            if cursor is None:
                return values

    async def patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call that is safe to repeat, again after temporary errors and lost replies.

        Raises:
            TemporaryError: It still failed after `patience`; `OutcomeUnknownError` likewise.
        """
        ends = self._patience_ends()
        pause = 0.025
        while True:
            try:
                return await call()
            except (TemporaryError, OutcomeUnknownError):
                if self._clock.monotonic() >= ends:
                    raise
            await sleep(self._clock, pause * (0.5 + self._jitter() / 2))
            pause = min(2.0, pause * 2)

    async def flushed(self) -> None:
        """Wait until every write submitted so far has been answered."""
        for channel in (self._inserts, self._applies, self._wakes):
            await channel.flushed()

    @property
    def idle(self) -> bool:
        """Whether no write is queued or in flight."""
        return self._inserts.idle and self._applies.idle and self._wakes.idle

    def _patience_ends(self) -> float:
        return self._clock.monotonic() + self._patience

    async def _send_inserts(self, items: Sequence[NewExecution]) -> Sequence[Inserted]:
        return await self.storage.insert(items=items, now=self._time.now())

    async def _send_applies(self, items: Sequence[Transition]) -> Sequence[Applied]:
        now = self._time.now()
        answers = await self.storage.apply(items=items, now=now)
        self._applied_at = now
        return answers

    def applied_at(self) -> int:
        """Return the time that the answered `apply` was called with; to be asked by its `then`."""
        return self._applied_at

    async def _send_cancel(self, ids: Sequence[str], request: str) -> Sequence[Cancelled]:
        return await self.storage.cancel(ids=ids, request=request, now=self._time.now())

    async def _send_wakes(self, items: Sequence[Wake]) -> Sequence[Woken]:
        return await self.storage.wake(items=items, now=self._time.now())

    def _cut_inserts(self, items: Sequence[NewExecution]) -> int:
        return self._fitting((1, _new_size(item)) for item in items)

    def _cut_wakes(self, items: Sequence[Wake]) -> int:
        return self._fitting((1, len(item.payload or b"")) for item in items)

    def _cut_applies(self, items: Sequence[Transition]) -> int:
        """Return how many go together: within the limits, no row twice or beside its parent."""
        ids: set[str] = set()
        parents: set[str] = set()
        apart = 0
        for item in items:
            if item.id in ids or item.id in parents or item.parent_id in ids:
                break
            ids.add(item.id)
            if item.parent_id is not None:
                parents.add(item.parent_id)
            apart += 1
        return self._fitting(_transition_size(item) for item in items[:apart])

    def _fitting(self, sizes: Iterable[tuple[int, int]]) -> int:
        capabilities = self.storage.capabilities
        rows_left, bytes_left = capabilities.max_batch_rows, capabilities.max_batch_bytes
        if capabilities.best_batch_rows is not None:
            rows_left = min(rows_left, capabilities.best_batch_rows)
        count = 0
        for rows, size in sizes:
            rows_left -= rows
            bytes_left -= size
            if rows_left < 0 or bytes_left < 0:
                break
            count += 1
        return count


def _new_size(item: NewExecution) -> int:
    return len(item.input) + len(item.options) + len(item.meta) + len(item.state or b"")


def _transition_size(item: Transition) -> tuple[int, int]:
    if isinstance(item, Settle):
        return 1, 0
    size = sum(
        len(value)
        for value in (item.state, item.output, item.error)
        if value is not None and not isinstance(value, Unset)
    )
    if item.checkpoints:
        size += sum(map(len, item.checkpoints.values()))
    if not isinstance(item, Keep | Release) or not item.children:
        return 1, size
    return 1 + len(item.children), size + sum(map(_new_size, item.children))
