"""Natural batching for drivers of asyncio: what comes during a write shares the next one."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_LARGEST: Final = 1_000


class Group(Generic[T]):
    """Writes of one kind, one of them under way at a time.

    Args:
        send: Writes a batch and returns when it is durable.
        largest: So many items go together at most.

    Attributes:
        sent: How many batches were written.
    """

    def __init__(self, send: Callable[[list[T]], Awaitable[None]], largest: int = _LARGEST) -> None:
        self.sent = 0
        self._send = send
        self._largest = largest
        self._waiting: list[tuple[T, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    def write(self, item: T) -> asyncio.Future[None]:
        """Write an item with the next batch; the answer comes when it is durable."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._task is None:
            # Begins after what is ready to run now: it may have something to write, too.
            self._task = asyncio.create_task(self._run())
        return future

    async def _run(self) -> None:
        while self._waiting:
            batch = self._waiting[: self._largest]
            del self._waiting[: self._largest]
            self.sent += 1
            try:
                await self._send([item for item, _ in batch])
            except Exception as error:  # noqa: BLE001  # whoever waits must hear of it
                for _, future in batch:
                    future.set_exception(error)
            else:
                for _, future in batch:
                    future.set_result(None)
        self._task = None
