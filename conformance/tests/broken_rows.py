"""Storages broken on purpose: claims, transitions and the counting of children."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from broken_base import Broken, pause

from durable_core.storage import (
    FINISHED,
    UNFINISHED,
    WAITING,
    Applied,
    ApplyOutcome,
    Cancelled,
    Claimed,
    Finish,
    Keep,
    Phase,
    Reaped,
    Release,
    Token,
    Transition,
)
from durable_core.storage.memory.leases import claimed


class ClaimWritesPhase(Broken):
    promise, fault = "CLAIM-4", "a claim writes the phase"

    async def claim(self, **request: Any) -> Claimed:
        answer = await super().claim(**request)
        for row in answer.records:
            if row.phase in UNFINISHED:
                self.spoil(row.id, phase=Phase.READY)
        rows = [self.tables().rows[row.id] for row in answer.records]
        return replace(answer, records=rows)


class ClaimNotExclusive(Broken):
    promise, fault = "CLAIM-3", "a claim looks first and takes later"

    async def claim(self, **request: Any) -> Claimed:
        if request.get("ids") is not None:
            return await super().claim(**request)
        tasks, queues, now = request["tasks"], request["queues"], request["now"]
        free = [
            row
            for row in self.tables().rows.values()
            if row.owner is None
            and row.due is not None
            and row.due <= now
            and (row.phase in FINISHED or (row.task in tasks and row.queue in queues))
        ]
        free.sort(key=lambda row: (-row.priority, row.due))
        await pause()
        limit = request["limit"]
        rows = [claimed(row, request["executor"], now) for row in free[:limit]]
        for row in rows:
            self.tables().put(row)
        return Claimed(records=rows, exhausted=len(free) <= limit)


class TimeIgnored(Broken):
    promise, fault = "TIME-1", "a claim reads the storage's own clock"

    async def claim(self, **request: Any) -> Claimed:
        request["now"] = await self.clock()
        return await super().claim(**request)


class NoTokenCheck(Broken):
    promise, fault = "APPLY-2", "whatever is held is written"

    async def apply(self, *, items: Sequence[Transition], now: int) -> Sequence[Applied]:
        return await super().apply(items=[self._let_in(item) for item in items], now=now)

    def _let_in(self, item: Transition) -> Transition:
        row = self.tables().rows.get(item.id)
        if row is None or row.owner is None:
            return item
        return replace(item, token=self._accepted(item.token, row.token))

    def _accepted(self, given: Token, stored: Token) -> Token:
        return stored


class OnlyGenCheck(NoTokenCheck):
    promise, fault = "APPLY-2", "the gen is compared, the owner is not"

    def _accepted(self, given: Token, stored: Token) -> Token:
        return Token(stored.owner, given.gen)


class BatchFailsAsOne(Broken):
    promise, fault = "APPLY-3", "one refused item fails its neighbours"

    async def apply(self, *, items: Sequence[Transition], now: int) -> Sequence[Applied]:
        before = copy.deepcopy(self.tables())
        answers = await super().apply(items=items, now=now)
        good = {ApplyOutcome.APPLIED, ApplyOutcome.ALREADY}
        refused = [answer for answer in answers if answer.outcome not in good]
        if not refused:
            return answers
        self._space.tables = before
        return [replace(refused[0]) for _ in items]


class ReapKeepsGen(Broken):
    promise, fault = "APPLY-6", "a reap does not raise gen"

    async def reap(self, *, now: int, limit: int) -> Reaped:
        before = {id_: row.gen for id_, row in self.tables().rows.items() if row.owner}
        answer = await super().reap(now=now, limit=limit)
        for id_, gen in before.items():
            if self.tables().rows[id_].owner is None:
                self.spoil(id_, gen=gen)
        return answer


class ReleaseIgnoresMark(Broken):
    promise, fault = "APPLY-8", "keep and release do not look at the cancellation"

    async def apply(self, *, items: Sequence[Transition], now: int) -> Sequence[Applied]:
        seen = [
            replace(item, cancel_seen=True) if isinstance(item, Keep | Release) else item
            for item in items
        ]
        return await super().apply(items=seen, now=now)


class ReleaseDoesNotLook(Broken):
    promise, fault = "PARENT-4", "a release into waiting does not look at the count"

    async def apply(self, *, items: Sequence[Transition], now: int) -> Sequence[Applied]:
        answers = await super().apply(items=items, now=now)
        for item, answer in zip(items, answers, strict=True):
            applied = answer.outcome is ApplyOutcome.APPLIED
            if applied and isinstance(item, Release) and item.phase in WAITING:
                self.spoil(item.id, due=item.due)
        return answers


class _CountsDown(Broken):
    """Counts a child down at its parent for answers that say that nothing happened."""

    outcome: ClassVar[ApplyOutcome]

    async def apply(self, *, items: Sequence[Transition], now: int) -> Sequence[Applied]:
        answers = await super().apply(items=items, now=now)
        for item, answer in zip(items, answers, strict=True):
            if isinstance(item, Finish) and answer.outcome is self.outcome:
                parent = self.tables().rows.get(item.parent_id or "")
                if parent is not None:
                    self.spoil(parent.id, pending=parent.pending - 1)
        return answers


class CountsRefused(_CountsDown):
    promise, fault = "PARENT-1", "a refused end is counted"
    outcome = ApplyOutcome.SUPERSEDED


class CountsAgain(_CountsDown):
    promise, fault = "PARENT-2", "an end that is sent again is counted again"
    outcome = ApplyOutcome.ALREADY


class ConflictWritesHalf(Broken):
    promise, fault = "PARENT-7", "the children before the conflict stay"

    async def apply(self, *, items: Sequence[Transition], now: int) -> Sequence[Applied]:
        answers = await super().apply(items=items, now=now)
        for item, answer in zip(items, answers, strict=True):
            if answer.conflict is not None and isinstance(item, Keep | Release):
                for child in item.children[: answer.conflict]:
                    if child.id not in self.tables().rows:
                        self.tables().add(child, now)
                        pending = self.tables().rows[item.id].pending
                        self.spoil(item.id, pending=pending + 1)
        return answers


class NoDuty(Broken):
    promise, fault = "PARENT-8", "a finish forgets the unfinished children"

    async def apply(self, *, items: Sequence[Transition], now: int) -> Sequence[Applied]:
        answers = await super().apply(items=items, now=now)
        for item in items:
            if isinstance(item, Finish) and self.tables().rows[item.id].due == 0:
                self.spoil(item.id, due=None)
        return answers


class SetBasedCancel(Broken):
    promise, fault = "CANCEL-7", "a child and its parent in one statement: one update is lost"

    async def cancel(self, *, ids: Sequence[str], request: str, now: int) -> Sequence[Cancelled]:
        before = {id_: row.pending for id_, row in self.tables().rows.items()}
        answers = await super().cancel(ids=ids, request=request, now=now)
        for id_ in ids:
            row = self.tables().rows.get(id_)
            if row is None or row.parent_id is None:
                continue
            if row.parent_id in ids and row.ended_by == request:
                pending = before[row.parent_id]
                self.spoil(row.parent_id, pending=pending, due=0 if pending else None)
        return answers
