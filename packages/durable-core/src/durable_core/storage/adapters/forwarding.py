"""A storage that hands every call to another one, through one place where a wrapper acts."""

from collections.abc import Collection, Mapping, Sequence

from ..protocol import Storage
from ..records import Checkpoint, Head, Page
from ..requests import (
    Applied,
    Beat,
    Cancelled,
    Claimed,
    CountBy,
    Inserted,
    NewExecution,
    Query,
    Reaped,
    SchemaReport,
    Transition,
    Wake,
    Woken,
)
from .wrapper import Wrapper


class Forwarding(Wrapper):
    """Hands every call to the inner storage; adapters override `around` and `around_blocking`.

    Args:
        storage: The storage that does the work. Whoever closes the wrapper closes it.
    """

    def __init__(self, storage: Storage) -> None:
        super().__init__(storage)
        self._inner = storage

    @property
    def inner(self) -> Storage:
        """The storage that does the work."""
        return self._inner

    async def setup(self, *, migrate: bool = True) -> SchemaReport:
        """See `Storage.setup`."""
        return await self.around("setup", self._inner.setup, migrate=migrate)

    async def close(self) -> None:
        """See `Storage.close`."""
        await self.around("close", self._inner.close)

    async def clock(self) -> int:
        """See `Storage.clock`."""
        return await self.around("clock", self._inner.clock)

    async def insert(self, *, items: Sequence[NewExecution], now: int) -> Sequence[Inserted]:
        """See `Storage.insert`."""
        return await self.around("insert", self._inner.insert, items=items, now=now)

    async def claim(
        self,
        *,
        executor: str,
        tasks: Collection[str],
        queues: Collection[str],
        limit: int,
        now: int,
        ids: Sequence[str] | None = None,
        claim_id: str | None = None,
        gates: object | None = None,
    ) -> Claimed:
        """See `Storage.claim`."""
        return await self.around(
            "claim",
            self._inner.claim,
            executor=executor,
            tasks=tasks,
            queues=queues,
            limit=limit,
            now=now,
            ids=ids,
            claim_id=claim_id,
            gates=gates,
        )

    async def apply(self, *, items: Sequence[Transition], now: int) -> Sequence[Applied]:
        """See `Storage.apply`."""
        return await self.around("apply", self._inner.apply, items=items, now=now)

    async def wake(self, *, items: Sequence[Wake], now: int) -> Sequence[Woken]:
        """See `Storage.wake`."""
        return await self.around("wake", self._inner.wake, items=items, now=now)

    async def cancel(self, *, ids: Sequence[str], request: str, now: int) -> Sequence[Cancelled]:
        """See `Storage.cancel`."""
        return await self.around("cancel", self._inner.cancel, ids=ids, request=request, now=now)

    async def heartbeat(
        self, *, executor: str, ttl: int, now: int, register: bool = False, info: bytes = b""
    ) -> Beat:
        """See `Storage.heartbeat`."""
        return await self.around(
            "heartbeat",
            self._inner.heartbeat,
            executor=executor,
            ttl=ttl,
            now=now,
            register=register,
            info=info,
        )

    async def reap(self, *, now: int, limit: int) -> Reaped:
        """See `Storage.reap`."""
        return await self.around("reap", self._inner.reap, now=now, limit=limit)

    async def get(self, *, ids: Sequence[str], payload: bool = True) -> Sequence[Head | None]:
        """See `Storage.get`."""
        return await self.around("get", self._inner.get, ids=ids, payload=payload)

    async def find(
        self, *, query: Query, limit: int, cursor: str | None = None, payload: bool = False
    ) -> Page[Head]:
        """See `Storage.find`."""
        return await self.around(
            "find", self._inner.find, query=query, limit=limit, cursor=cursor, payload=payload
        )

    async def count(
        self, *, query: Query, by: CountBy | None = None, cap: int | None = None
    ) -> Mapping[str, int]:
        """See `Storage.count`."""
        return await self.around("count", self._inner.count, query=query, by=by, cap=cap)

    async def checkpoints(
        self, *, execution_id: str, limit: int, cursor: str | None = None
    ) -> Page[Checkpoint]:
        """See `Storage.checkpoints`."""
        return await self.around(
            "checkpoints",
            self._inner.checkpoints,
            execution_id=execution_id,
            limit=limit,
            cursor=cursor,
        )

    async def purge(self, *, finished_before: int, now: int, limit: int) -> int:
        """See `Storage.purge`."""
        return await self.around(
            "purge", self._inner.purge, finished_before=finished_before, now=now, limit=limit
        )
