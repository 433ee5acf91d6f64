"""The least that an author writes for a new storage, lifted to the whole protocol."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Protocol, TypeVar

from ..capabilities import Capabilities
from ..errors import OutcomeUnknownError, StorageError, TemporaryError
from ..kit import (
    check_apply,
    check_cancel,
    check_claim,
    check_executor,
    check_insert,
    check_wake,
    in_chunks,
    split_families,
)
from ..records import Checkpoint, Head, Page, Record
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

ItemT = TypeVar("ItemT")
AnswerT = TypeVar("AnswerT")

_HEAD_FIELDS = tuple(field.name for field in fields(Head))


class SingleItemStorage(Protocol):
    """A storage whose writes take one item: every method means what its namesake in `Storage` does.

    Each call is one atomic commit. `OneByOne` has checked items and executors against the limits
    and the capabilities before it calls.
    """

    @property
    def capabilities(self) -> Capabilities:
        """See `Storage.capabilities`."""
        ...

    async def setup(self, *, migrate: bool = True) -> SchemaReport:
        """See `Storage.setup`."""
        ...

    async def close(self) -> None:
        """See `Storage.close`."""
        ...

    async def clock(self) -> int:
        """See `Storage.clock`."""
        ...

    async def insert_one(self, *, item: NewExecution, now: int) -> Inserted:
        """Insert one root, as `Storage.insert`."""
        ...

    async def claim_one(
        self,
        *,
        executor: str,
        tasks: Collection[str],
        queues: Collection[str],
        now: int,
        id: str | None = None,  # noqa: A002
    ) -> Record | None:
        """Claim the first row in the order of `Storage.claim`, or the one named.

        Returns:
            The row after the claim; None if no row qualifies.
        """
        ...

    async def apply_one(self, *, item: Transition, now: int) -> Applied:
        """Write one transition, as `Storage.apply`."""
        ...

    async def wake_one(self, *, item: Wake, now: int) -> Woken:
        """Carry out one wake-up, as `Storage.wake`."""
        ...

    async def cancel_one(self, *, id: str, request: str, now: int) -> Cancelled:  # noqa: A002
        """End or mark one execution, as `Storage.cancel`."""
        ...

    async def heartbeat(
        self, *, executor: str, ttl: int, now: int, register: bool = False, info: bytes = b""
    ) -> Beat:
        """See `Storage.heartbeat`."""
        ...

    async def reap(self, *, now: int, limit: int) -> Reaped:
        """See `Storage.reap`."""
        ...

    async def get_one(self, *, id: str) -> Record | None:  # noqa: A002
        """Read one execution; None if there is none."""
        ...

    async def find(
        self, *, query: Query, limit: int, cursor: str | None = None, payload: bool = False
    ) -> Page[Head]:
        """See `Storage.find`."""
        ...

    async def count(
        self, *, query: Query, by: CountBy | None = None, cap: int | None = None
    ) -> Mapping[str, int]:
        """See `Storage.count`."""
        ...

    async def checkpoints(
        self, *, execution_id: str, limit: int, cursor: str | None = None
    ) -> Page[Checkpoint]:
        """See `Storage.checkpoints`."""
        ...

    async def purge(self, *, finished_before: int, now: int, limit: int) -> int:
        """See `Storage.purge`."""
        ...


class OneByOne(Wrapper):
    """Lifts a storage of one-item methods to the whole protocol.

    Every item costs a round trip: enough to begin with and to be certified, and to be replaced
    method by method. After an item that fails no other is begun. Its error is raised, a temporary
    one as `OutcomeUnknownError` if anything was written before.

    Optional Protocols of the inner storage stay usable.

    Args:
        storage: The storage of one-item methods.
        parallel: At most so many items of an insert, apply or get travel at the same time. Items
            that concern the same row go one after the other in any case; wakes, cancels and
            claims always do, because their order shows.

    Raises:
        ValueError: `parallel` is less than 1.
    """

    def __init__(self, storage: SingleItemStorage, *, parallel: int = 1) -> None:
        if parallel < 1:
            msg = f"parallel must be at least 1, not {parallel}"
            raise ValueError(msg)
        super().__init__(storage)
        self._one = storage
        self._parallel = parallel

    async def setup(self, *, migrate: bool = True) -> SchemaReport:
        """See `Storage.setup`."""
        return await self._one.setup(migrate=migrate)

    async def close(self) -> None:
        """See `Storage.close`."""
        await self._one.close()

    async def clock(self) -> int:
        """See `Storage.clock`."""
        return await self._one.clock()

    async def insert(self, *, items: Sequence[NewExecution], now: int) -> Sequence[Inserted]:
        """See `Storage.insert`."""
        check_insert(items, self.capabilities)

        async def one(item: NewExecution) -> Inserted:
            return await self._one.insert_one(item=item, now=now)

        return await self._each(_split_names(items), one)

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
        """See `Storage.claim`: rows taken before an error are answered."""
        check_claim(executor, limit, gates, self.capabilities)
        records: list[Record] = []
        named = None if ids is None else iter(dict.fromkeys(ids))
        while len(records) < limit:
            id_ = None if named is None else next(named, None)
            if named is not None and id_ is None:
                return Claimed(records=records, exhausted=True)
            try:
                record = await self._one.claim_one(
                    executor=executor, tasks=tasks, queues=queues, now=now, id=id_
                )
            except OutcomeUnknownError:
                raise
            except StorageError:
                if records:
                    break
                raise
            if record is not None:
                records.append(record)
            elif named is None:
                return Claimed(records=records, exhausted=True)
        return Claimed(records=records, exhausted=False)

    async def apply(self, *, items: Sequence[Transition], now: int) -> Sequence[Applied]:
        """See `Storage.apply`."""
        check_apply(items, self.capabilities)

        async def one(item: Transition) -> Applied:
            return await self._one.apply_one(item=item, now=now)

        return await self._each(split_families(items), one)

    async def wake(self, *, items: Sequence[Wake], now: int) -> Sequence[Woken]:
        """See `Storage.wake`."""
        check_wake(items, self.capabilities)

        async def one(item: Wake) -> Woken:
            return await self._one.wake_one(item=item, now=now)

        return await self._each(in_chunks(items, 1), one)

    async def cancel(self, *, ids: Sequence[str], request: str, now: int) -> Sequence[Cancelled]:
        """See `Storage.cancel`."""
        check_cancel(ids, request, self.capabilities)

        async def one(item: str) -> Cancelled:
            return await self._one.cancel_one(id=item, request=request, now=now)

        return await self._each(in_chunks(ids, 1), one)

    async def heartbeat(
        self, *, executor: str, ttl: int, now: int, register: bool = False, info: bytes = b""
    ) -> Beat:
        """See `Storage.heartbeat`."""
        check_executor(executor)
        return await self._one.heartbeat(
            executor=executor, ttl=ttl, now=now, register=register, info=info
        )

    async def reap(self, *, now: int, limit: int) -> Reaped:
        """See `Storage.reap`."""
        return await self._one.reap(now=now, limit=limit)

    async def get(self, *, ids: Sequence[str], payload: bool = True) -> Sequence[Head | None]:
        """See `Storage.get`."""

        async def one(item: str) -> Record | None:
            return await self._one.get_one(id=item)

        found = await self._each([ids], one, reads=True)
        return found if payload else [None if row is None else _head_of(row) for row in found]

    async def find(
        self, *, query: Query, limit: int, cursor: str | None = None, payload: bool = False
    ) -> Page[Head]:
        """See `Storage.find`."""
        return await self._one.find(query=query, limit=limit, cursor=cursor, payload=payload)

    async def count(
        self, *, query: Query, by: CountBy | None = None, cap: int | None = None
    ) -> Mapping[str, int]:
        """See `Storage.count`."""
        return await self._one.count(query=query, by=by, cap=cap)

    async def checkpoints(
        self, *, execution_id: str, limit: int, cursor: str | None = None
    ) -> Page[Checkpoint]:
        """See `Storage.checkpoints`."""
        return await self._one.checkpoints(execution_id=execution_id, limit=limit, cursor=cursor)

    async def purge(self, *, finished_before: int, now: int, limit: int) -> int:
        """See `Storage.purge`."""
        return await self._one.purge(finished_before=finished_before, now=now, limit=limit)

    async def _each(
        self,
        pieces: Iterable[Sequence[ItemT]],
        one: Callable[[ItemT], Awaitable[AnswerT]],
        *,
        reads: bool = False,
    ) -> list[AnswerT]:
        """Call `one` for every item, piece after piece, the items of a piece in parallel."""
        answers: list[AnswerT] = []
        for piece in pieces:
            for some in in_chunks(piece, self._parallel):
                failures: list[StorageError] = []
                for outcome in await asyncio.gather(*map(one, some), return_exceptions=True):
                    if isinstance(outcome, StorageError):
                        failures.append(outcome)
                    elif isinstance(outcome, BaseException):
                        raise outcome
                    else:
                        answers.append(outcome)
                if failures:
                    raise _gravest(failures, written=bool(answers) and not reads)
        return answers


def _gravest(failures: Sequence[StorageError], *, written: bool) -> StorageError:
    def gravity(failure: StorageError) -> int:
        if isinstance(failure, TemporaryError):
            return 0
        return 1 if isinstance(failure, OutcomeUnknownError) else 2

    failure = max(failures, key=gravity)
    if gravity(failure) or not written:
        return failure
    msg = f"a part of the call was written before it failed ({failure}): send it again unchanged"
    unknown = OutcomeUnknownError(msg)
    unknown.__cause__ = failure
    return unknown


def _split_names(items: Sequence[NewExecution]) -> list[list[NewExecution]]:
    """Cut an insert so that no piece holds an id, a key or a wake key twice; order is kept."""
    pieces: list[list[NewExecution]] = []
    names: set[tuple[str, ...]] = set()
    for item in items:
        own: set[tuple[str, ...]] = {(item.id,)}
        if item.key is not None:
            own.add(("key", item.task, item.key))
        if item.wake_key is not None:
            own.add(("wake", item.task, item.wake_key))
        if not pieces or not names.isdisjoint(own):
            pieces.append([])
            names.clear()
        pieces[-1].append(item)
        names |= own
    return pieces


def _head_of(record: Record) -> Head:
    return Head(**{name: getattr(record, name) for name in _HEAD_FIELDS})
