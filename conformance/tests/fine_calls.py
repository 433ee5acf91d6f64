"""Finer faults: what the coarse ones leave to a second check of the same promise, all the rest."""

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from broken_base import Broken, pause
from broken_others import Wire

from durable_core.storage import (
    Applied,
    Beat,
    Cancelled,
    Claimed,
    Head,
    Inserted,
    InvalidArgumentError,
    Keep,
    NewExecution,
    OutcomeUnknownError,
    Page,
    Phase,
    Query,
    Reaped,
    Release,
    SchemaReport,
    Transition,
    Wake,
    WakeOutcome,
    Woken,
)
from durable_core.storage.adapters import MethodName


class WakesCountOnce(Broken):
    promise, fault = "WAKE-1", "several wake-ups in one call are counted once at their parent"

    async def wake(self, *, items: Sequence[Wake], now: int) -> Sequence[Woken]:
        before = {id_: row.pending for id_, row in self.tables().rows.items()}
        answers = await super().wake(items=items, now=now)
        woken = [answer.id for answer in answers if answer.outcome is WakeOutcome.WOKEN]
        for id_ in woken:
            parent = self.tables().rows[id_ or ""].parent_id
            if parent is not None and len(woken) > 1:
                self.spoil(parent, pending=before[parent] - 1)
        return answers


class WakesByKeyAlone(Broken):
    promise, fault = "WAKE-1", "the task of a wake-up is ignored"

    async def wake(self, *, items: Sequence[Wake], now: int) -> Sequence[Woken]:
        tasks = {key: task for task, key in self.tables().sleepers}
        return await super().wake(
            items=[replace(item, task=tasks.get(item.wake_key or "", item.task)) for item in items],
            now=now,
        )


class CountsTheBornFinished(Broken):
    promise, fault = "WAKE-2", "a child that is born finished is counted"

    async def apply(self, *, items: Sequence[Transition], now: int) -> Sequence[Applied]:
        known = set(self.tables().rows)
        answers = await super().apply(items=items, now=now)
        for item in items:
            if isinstance(item, Keep | Release):
                ids = [child.id for child in item.children if child.id not in known]
                extra = sum(self.tables().rows[id_].finished for id_ in ids)
                self.spoil(item.id, pending=self.tables().rows[item.id].pending + extra)
        return answers


class DeliversToABatch(Broken):
    promise, fault = "WAKE-2", "a message is used up at the end of a batch"

    async def insert(self, *, items: Sequence[NewExecution], now: int) -> Sequence[Inserted]:
        kept = {key: box.message for key, box in self.tables().mailboxes.items()}
        answers: list[Inserted] = []
        for item in items:
            for key, message in kept.items():
                self.tables().mailboxes[key].message = message
            answers += await super().insert(items=[item], now=now)
        return answers


class KeepsEverything(Broken):
    promise, fault = "WAKE-6", "a message is kept although it must not be"

    async def wake(self, *, items: Sequence[Wake], now: int) -> Sequence[Woken]:
        kept = [item if item.keep_until else replace(item, keep_until=2**62) for item in items]
        return await super().wake(items=kept, now=now)


class ForgetsRequestsById(Broken):
    promise, fault = "WAKE-8", "a wake-up by id that is sent again finds nobody"

    async def wake(self, *, items: Sequence[Wake], now: int) -> Sequence[Woken]:
        answers: list[Woken] = []
        for item in items:
            for box in self.tables().mailboxes.values():
                if item.id is not None:
                    box.request = None
            answers += await super().wake(items=[item], now=now)
        return answers


class MarksTheFinished(Broken):
    promise, fault = "CANCEL-5", "a cancel looks first and marks later"

    async def cancel(self, *, ids: Sequence[str], request: str, now: int) -> Sequence[Cancelled]:
        held = [id_ for id_ in ids if (row := self.tables().rows.get(id_)) and row.owner]
        await pause()
        answers = await super().cancel(ids=ids, request=request, now=now)
        for id_ in held:
            self.spoil(id_, cancel_requested=True)
        return answers


class ReapEndsTheFinished(Broken):
    promise, fault = "LEASE-8", "a reap cancels what was marked once and has finished"

    async def reap(self, *, now: int, limit: int) -> Reaped:
        held = [id_ for id_, row in self.tables().rows.items() if row.owner]
        answer = await super().reap(now=now, limit=limit)
        for id_ in held:
            row = self.tables().rows[id_]
            if row.finished and row.cancel_requested and row.owner is None:
                self.spoil(id_, phase=Phase.CANCELLED)
        return answer


class NeverMoreOrders(Broken):
    promise, fault = "LEASE-9", "that there are more orders is not said"

    async def heartbeat(self, **request: Any) -> Beat:
        return replace(await super().heartbeat(**request), more_orders=False)


class ReapsByItsOwnClock(Broken):
    promise, fault = "TIME-1", "a reap reads the storage's own clock"

    async def reap(self, *, now: int, limit: int) -> Reaped:
        return await super().reap(now=await self.clock(), limit=limit)


class NothingAtZero(Broken):
    promise, fault = "TIME-3", "for a clock at 0 nothing is due"

    async def claim(self, **request: Any) -> Claimed:
        if not request["now"]:
            return Claimed(records=[], exhausted=True)
        return await super().claim(**request)


class ReadsFromACache(Broken):
    promise, fault = "READ-1", "a handle answers what it has read before"

    async def get(self, *, ids: Sequence[str], payload: bool = True) -> Sequence[Head | None]:
        if not payload:
            return await super().get(ids=ids, payload=payload)
        cache: dict[str, Head] = vars(self).setdefault("cache", {})
        for id_, row in zip(ids, await super().get(ids=ids), strict=True):
            if row is not None:
                cache.setdefault(id_, row)
        return [cache.get(id_) for id_ in ids]


class FindsTheYoungestFirst(Broken):
    promise, fault = "READ-2", "among rows of one time the last id comes first"

    async def find(
        self, *, query: Query, limit: int, cursor: str | None = None, payload: bool = False
    ) -> Page[Head]:
        page = await super().find(query=query, limit=limit, cursor=cursor, payload=payload)
        if query.parent_id is not None:
            return page
        by_id = sorted(page.items, key=lambda row: row.id, reverse=True)
        return replace(page, items=sorted(by_id, key=lambda row: row.created_at))


class PrefixIsAPattern(Broken):
    promise, fault = "READ-3", "a prefix is taken for a pattern"

    async def find(
        self, *, query: Query, limit: int, cursor: str | None = None, payload: bool = False
    ) -> Page[Head]:
        if query.id_prefix is None:
            return await super().find(query=query, limit=limit, cursor=cursor, payload=payload)
        wide = replace(query, id_prefix=None)
        page = await super().find(query=wide, limit=limit, cursor=cursor, payload=payload)
        pattern = f"{query.id_prefix}*"
        return replace(page, items=[row for row in page.items if fnmatchcase(row.id, pattern)])


class ClipsPriorities(Broken):
    promise, fault = "READ-3", "priorities are clipped"

    async def insert(self, *, items: Sequence[NewExecution], now: int) -> Sequence[Inserted]:
        clipped = [replace(item, priority=max(-128, min(127, item.priority))) for item in items]
        return await super().insert(items=clipped, now=now)


class CutsAtNul(Broken):
    promise, fault = "READ-3", "a payload ends at the first NUL"

    async def insert(self, *, items: Sequence[NewExecution], now: int) -> Sequence[Inserted]:
        cut = [replace(item, input=item.input.partition(b"\0")[0]) for item in items]
        return await super().insert(items=cut, now=now)


class CutsTheLong(Broken):
    promise, fault = "READ-3", "what is longer than a megabyte is cut"

    async def insert(self, *, items: Sequence[NewExecution], now: int) -> Sequence[Inserted]:
        cut = [replace(item, input=item.input[: 1024 * 1024]) for item in items]
        return await super().insert(items=cut, now=now)


class HintsTheEndTooEarly(Broken):
    promise, fault = "HINT-1", "the hint of an end is sent before the commit"

    async def apply(self, *, items: Sequence[Transition], now: int) -> Sequence[Applied]:
        self._space.listeners.tell((), finished=True)
        await pause()
        return await super().apply(items=items, now=now)


class AppliesAlways(Broken):
    promise, fault = "SCHEMA-1", "every set-up applies the migration"

    async def setup(self, *, migrate: bool = True) -> SchemaReport:
        return SchemaReport(version=1, applied=("0001",) if migrate else ())


class EachHandleForItself(Broken):
    promise, fault = "SCHEMA-3", "handles share nothing"

    def __init__(self, **_: Any) -> None:
        super().__init__()


class ReadsAreUnknown(Wire):
    promise, fault = "ERROR-2", "the outcome of a read is called unknown"

    def said(self, method: MethodName, error: Exception, *, sent: bool, **request: Any) -> object:
        if not sent:
            return super().said(method, error, sent=sent)
        raise OutcomeUnknownError(f"{method}: the connection was lost") from error


class UncheckedWakes(Broken):
    promise, fault = "ERROR-5", "wake-ups that are not valid are left out silently"

    async def wake(self, *, items: Sequence[Wake], now: int) -> Sequence[Woken]:
        try:
            return await super().wake(items=items, now=now)
        except InvalidArgumentError:
            return []
