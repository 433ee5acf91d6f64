"""Storages broken on purpose: wake-ups, leases, time, purging, hints and errors."""

import asyncio
import heapq
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar, NoReturn, ParamSpec, TypeVar, cast

from broken_base import Broken, pause

from durable_conformance import Cut, StorageConformance
from durable_core.storage import (
    FINISHED,
    WAITING,
    Applied,
    Beat,
    Hint,
    Inserted,
    InsertOutcome,
    Lease,
    MemoryStorage,
    NewExecution,
    OutcomeUnknownError,
    Phase,
    Reaped,
    Reconnected,
    Storage,
    TemporaryError,
    Transition,
    Wake,
    WakeOutcome,
    Woken,
)
from durable_core.storage.adapters import Forwarding, MethodName
from durable_core.storage.kit import Mailbox, Message, born

P = ParamSpec("P")
T = TypeVar("T")


class ReapFromDeadList(Broken):
    promise, fault = "LEASE-3", "a reap frees only what the just-died held"

    async def reap(self, *, now: int, limit: int) -> Reaped:
        leases = self.tables().leases
        spared = [owner for owner in self.tables().held if owner not in leases]
        for owner in spared:
            leases[owner] = Lease(executor=owner, started_at=0, expires_at=now, info=b"")
        answer = await super().reap(now=now, limit=limit)
        for owner in spared:
            leases.pop(owner)
        return answer


class ReapTakesSleepers(Broken):
    promise, fault = "LEASE-4", "a reap takes whatever seems to run, sleepers too"

    async def reap(self, *, now: int, limit: int) -> Reaped:
        answer = await super().reap(now=now, limit=limit)
        for id_, row in list(self.tables().rows.items()):
            if row.phase is Phase.SLEEPING and row.owner is None:
                self.spoil(id_, gen=row.gen + 1, crashes=row.crashes + 1, due=0)
        return answer


class HeartbeatResurrects(Broken):
    promise, fault = "LEASE-5", "a heartbeat makes the lease that is missing"

    async def heartbeat(
        self, *, executor: str, ttl: int, now: int, register: bool = False, info: bytes = b""
    ) -> Beat:
        return await super().heartbeat(
            executor=executor, ttl=ttl, now=now, register=True, info=info
        )


class WakeSkew(Broken):
    promise, fault = "WAKE-3", "wake and insert each look before the other writes"

    async def wake(self, *, items: Sequence[Wake], now: int) -> Sequence[Woken]:
        nobody = [(item.task, item.wake_key) not in self.tables().sleepers for item in items]
        await pause()
        answers: list[Woken] = []
        for item, missing in zip(items, nobody, strict=True):
            key = (item.task, item.wake_key or "")
            box = self.tables().mailboxes.setdefault(key, Mailbox())
            if missing and item.keep_until is not None and box.message is None:
                box.message = Message(
                    phase=item.phase,
                    payload=item.payload,
                    until=item.keep_until,
                    request=item.request,
                )
                answers.append(Woken(outcome=WakeOutcome.KEPT))
            else:
                answers += await super().wake(items=[item], now=now)
        return answers

    async def insert(self, *, items: Sequence[NewExecution], now: int) -> Sequence[Inserted]:
        boxes = self.tables().mailboxes
        seen = {key: box.message for key, box in boxes.items()}
        await pause()
        late: dict[tuple[str, str], Message | None] = {}
        for key, box in boxes.items():
            if seen.get(key) is None:
                late[key], box.message = box.message, None
        answers = await super().insert(items=items, now=now)
        for key, message in late.items():
            boxes[key].message = message
        return answers


class DeliversTwice(Broken):
    promise, fault = "WAKE-2", "a kept message is not used up"

    async def insert(self, *, items: Sequence[NewExecution], now: int) -> Sequence[Inserted]:
        kept = {key: box.message for key, box in self.tables().mailboxes.items()}
        answers = await super().insert(items=items, now=now)
        for key, message in kept.items():
            self.tables().mailboxes[key].message = message
        return answers


class ForgetsRequests(Broken):
    promise, fault = "WAKE-8", "a wake-up that is sent again is kept again"

    async def wake(self, *, items: Sequence[Wake], now: int) -> Sequence[Woken]:
        for box in self.tables().mailboxes.values():
            box.request = None
        return await super().wake(items=items, now=now)


class JoinDueNow(Broken):
    promise, fault = "TIME-3", "a join is made due by the caller's clock"

    async def apply(self, *, items: Sequence[Transition], now: int) -> Sequence[Applied]:
        before = {id_: row.due for id_, row in self.tables().rows.items()}
        answers = await super().apply(items=items, now=now)
        for id_, row in list(self.tables().rows.items()):
            if row.phase in WAITING and row.due == 0 and before.get(id_) != 0:
                self.spoil(id_, due=now)
        return answers


class PurgesChildren(Broken):
    promise, fault = "PURGE-2", "a purge does not look at the parent"

    async def purge(self, *, finished_before: int, now: int, limit: int) -> int:
        gone = await super().purge(finished_before=finished_before, now=now, limit=limit)
        tables = self.tables()
        for row in list(tables.rows.values()):
            over = row.phase in FINISHED and row.owner is None and row.due is None
            old = row.finished_at is not None and row.finished_at < finished_before
            if over and old and not row.pending and gone < limit:
                tables.finished = [entry for entry in tables.finished if entry[1] != row.id]
                heapq.heapify(tables.finished)
                tables.remove(row)
                gone += 1
        return gone


class HintBeforeCommit(Broken):
    promise, fault = "HINT-1", "a hint is sent before the commit"

    async def insert(self, *, items: Sequence[NewExecution], now: int) -> Sequence[Inserted]:
        self._space.listeners.tell({item.queue for item in items}, finished=False)
        await pause()
        return await super().insert(items=items, now=now)


def _break_if(cut: bool) -> None:  # noqa: FBT001
    if cut:
        raise ConnectionResetError(104, "the connection was reset")


def _fail_strangely() -> NoReturn:
    raise LookupError("error 4711")


class Wire(Forwarding):
    """A memory storage behind a connection that can be cut; it says honestly what it knows."""

    promise: ClassVar[str]
    fault: ClassVar[str]
    spaces: ClassVar[dict[str, MemoryStorage]] = {}
    strange_is_unknown: ClassVar[bool] = True

    @classmethod
    def author(cls) -> type[StorageConformance]:
        """Return the class that tries to certify it."""

        class TestWire(StorageConformance):
            @asynccontextmanager
            async def open(self, namespace: str) -> AsyncGenerator[Storage]:
                storage = cls(namespace)
                yield storage
                await storage.close()

            async def drop(self, namespace: str) -> None:
                cls.spaces.pop(namespace, None)

            @asynccontextmanager
            async def cut(self, storage: Storage, where: Cut) -> AsyncGenerator[None]:
                assert isinstance(storage, Wire)
                if where is Cut.LISTENER:
                    storage.deaf.set()
                    yield
                else:
                    storage.cut = where
                    yield
                    storage.cut = None

        return TestWire

    def __init__(self, namespace: str) -> None:
        first = self.spaces.setdefault(namespace, MemoryStorage())
        super().__init__(MemoryStorage(sharing=first))
        self.cut: Cut | None = None
        self.deaf = asyncio.Event()

    async def around(
        self,
        method: MethodName,
        function: Callable[P, Awaitable[T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        where, self.cut = self.cut, None
        try:
            _break_if(where is Cut.BEFORE_SENDING)
            if where is Cut.STRANGELY:
                _fail_strangely()
            answer = await function(*args, **kwargs)
            _break_if(where is Cut.AFTER_SENDING)
        except ConnectionResetError as error:
            return cast("T", self.said(method, error, sent=where is Cut.AFTER_SENDING, **kwargs))
        except LookupError as error:
            return cast("T", self.said(method, error, sent=self.strange_is_unknown, **kwargs))
        return answer

    async def listen(self, *, queues: Collection[str]) -> AsyncIterator[Hint]:
        """Listen again whenever the connection was lost: that begins with `Reconnected`."""
        while True:
            self.deaf = asyncio.Event()
            lost = asyncio.ensure_future(self.deaf.wait())
            hints = super().listen(queues=queues)
            try:
                while not lost.done():
                    hint = asyncio.ensure_future(anext(hints))
                    await asyncio.wait([lost, hint], return_when=asyncio.FIRST_COMPLETED)
                    if not lost.done():
                        yield hint.result()
                    hint.cancel()
                    await asyncio.gather(hint, return_exceptions=True)
            finally:
                lost.cancel()

    def said(self, method: MethodName, error: Exception, *, sent: bool, **request: Any) -> object:
        """Translate the driver's error."""
        reads = method in {"get", "find", "count", "checkpoints", "clock"}
        kind = OutcomeUnknownError if sent and not reads else TemporaryError
        raise kind(f"{method}: the connection was lost") from error


class TemporaryForUnknown(Wire):
    promise, fault = "ERROR-2", "a lost reply is called temporary"

    def said(self, method: MethodName, error: Exception, *, sent: bool, **request: Any) -> object:
        return super().said(method, error, sent=False)


class SwallowsErrors(Wire):
    promise, fault = "ERROR-1", "the driver's error is swallowed"

    def said(self, method: MethodName, error: Exception, *, sent: bool, **request: Any) -> object:
        if method != "insert":
            return super().said(method, error, sent=sent)
        return [
            Inserted(outcome=InsertOutcome.CREATED, record=born(item, request["now"]))
            for item in request["items"]
        ]


class ReconnectsInSilence(Wire):
    promise, fault = "HINT-2", "a listener does not say that hints may have been lost"

    async def listen(self, *, queues: Collection[str]) -> AsyncIterator[Hint]:
        begun = False
        async for hint in super().listen(queues=queues):
            if not begun or hint != Reconnected():
                yield hint
            begun = True


class HidesCause(Wire):
    promise, fault = "ERROR-3", "the driver's error is lost"

    def said(self, method: MethodName, error: Exception, *, sent: bool, **request: Any) -> object:
        kind = OutcomeUnknownError if sent else TemporaryError
        raise kind(f"{method}: something went wrong") from None


class StrangeIsTemporary(Wire):
    promise, fault = "ERROR-3", "an error that nobody knows is called temporary"
    strange_is_unknown = False
