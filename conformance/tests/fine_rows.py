"""Finer faults: what the coarse ones leave to a second check of the same promise, about rows."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from broken_base import Broken, pause

from durable_core.storage import (
    FINISHED,
    UNSET,
    Applied,
    ApplyOutcome,
    Cancelled,
    Checkpoint,
    Claimed,
    Inserted,
    InsertOutcome,
    InvalidArgumentError,
    Keep,
    NewExecution,
    Release,
    Settle,
    TooLargeError,
    Transition,
)

Items = Sequence[NewExecution]
Moves = Sequence[Transition]
Answers = Sequence[Applied]


class CreatesTwice(Broken):
    promise, fault = "INSERT-2", "an id that comes twice in a batch is called created twice"

    async def insert(self, *, items: Items, now: int) -> Sequence[Inserted]:
        known = set(self.tables().rows)
        answers = await super().insert(items=items, now=now)
        return [
            answer
            if answer.outcome is not InsertOutcome.EXISTING_ID or item.id in known
            else replace(answer, outcome=InsertOutcome.CREATED)
            for item, answer in zip(items, answers, strict=True)
        ]


class IgnoresWakeKeys(Broken):
    promise, fault = "INSERT-3", "two sleepers may have one key"

    async def insert(self, *, items: Items, now: int) -> Sequence[Inserted]:
        answers = await super().insert(items=items, now=now)
        return [
            Inserted(outcome=InsertOutcome.CREATED, record=self.tables().add(item, now))
            if answer.outcome is InsertOutcome.EXISTING_WAKE_KEY
            else answer
            for item, answer in zip(items, answers, strict=True)
        ]


class NobodysDuty(Broken):
    promise, fault = "CLAIM-2", "a duty goes only to who knows its task"

    async def claim(self, **request: Any) -> Claimed:
        answer = await super().claim(**request)
        for row in answer.records:
            if row.finished and row.task not in request["tasks"]:
                self.spoil(row.id, owner=None, gen=row.gen - 1, due=0)
        mine = [row for row in answer.records if self.tables().rows[row.id].owner is not None]
        return replace(answer, records=mine)


class RemembersCrashes(Broken):
    promise, fault = "APPLY-1", "crashes are never forgotten"

    async def apply(self, *, items: Moves, now: int) -> Answers:
        kept = [
            item if isinstance(item, Settle) else replace(item, reset_crashes=False)
            for item in items
        ]
        return await super().apply(items=kept, now=now)


class ReleasesAtOnce(Broken):
    promise, fault = "APPLY-1", "what is released is due at once"

    async def apply(self, *, items: Moves, now: int) -> Answers:
        due = [replace(item, due=0) if isinstance(item, Release) else item for item in items]
        return await super().apply(items=due, now=now)


class PriorityIsFixed(Broken):
    promise, fault = "APPLY-1", "the priority cannot be changed"

    async def apply(self, *, items: Moves, now: int) -> Answers:
        same = [
            item if isinstance(item, Settle) else replace(item, priority=UNSET) for item in items
        ]
        return await super().apply(items=same, now=now)


class _RefusesByHalves(Broken):
    """Spoils the row of a conflict."""

    async def apply(self, *, items: Moves, now: int) -> Answers:
        answers = await super().apply(items=items, now=now)
        for item, answer in zip(items, answers, strict=True):
            conflict = answer.outcome is ApplyOutcome.CHILD_CONFLICT
            if conflict and isinstance(item, Keep | Release):
                self.write(item, now)
        return answers

    def write(self, item: Keep | Release, now: int) -> None:
        """Write a part of a refused item."""


class ConflictWritesValues(_RefusesByHalves):
    promise, fault = "APPLY-4", "the values of a conflicting item are written"

    def write(self, item: Keep | Release, now: int) -> None:
        self.spoil(item.id, attempt=99)


class ConflictWritesCheckpoints(_RefusesByHalves):
    promise, fault = "APPLY-11", "the checkpoints of a conflicting item are written"

    def write(self, item: Keep | Release, now: int) -> None:
        points = self.tables().checkpoints.setdefault(item.id, {})
        for name, value in item.checkpoints.items():
            points[name] = Checkpoint(name=name, value=value, created_at=now)


class AlwaysAlready(Broken):
    promise, fault = "APPLY-6", "what is superseded is called already done"

    async def apply(self, *, items: Moves, now: int) -> Answers:
        answers = await super().apply(items=items, now=now)
        return [
            replace(answer, outcome=ApplyOutcome.ALREADY)
            if answer.outcome is ApplyOutcome.SUPERSEDED
            else answer
            for answer in answers
        ]


class CancelWakesNobody(Broken):
    promise, fault = "PARENT-3", "a cancelled child does not make its parent due"

    async def cancel(self, *, ids: Sequence[str], request: str, now: int) -> Sequence[Cancelled]:
        answers = await super().cancel(ids=ids, request=request, now=now)
        for answer in answers:
            for id_ in answer.woken:
                self.spoil(id_, due=None)
        return answers


class WakesOneParent(Broken):
    promise, fault = "PARENT-3", "of several parents in one batch one goes on"

    async def apply(self, *, items: Moves, now: int) -> Answers:
        answers = await super().apply(items=items, now=now)
        woken = [id_ for answer in answers for id_ in answer.woken]
        for id_ in woken[1:]:
            if id_ not in {item.id for item in items}:
                self.spoil(id_, due=None)
        return answers


class CancelLeavesNoDuty(Broken):
    promise, fault = "PARENT-8", "a cancelled parent forgets its children"

    async def cancel(self, *, ids: Sequence[str], request: str, now: int) -> Sequence[Cancelled]:
        answers = await super().cancel(ids=ids, request=request, now=now)
        for id_ in ids:
            row = self.tables().rows.get(id_)
            if row is not None and row.ended_by == request and row.pending:
                self.spoil(id_, due=None)
        return answers


class ClaimsInTwoSteps(Broken):
    promise, fault = "ERROR-4", "a claim takes rows out of the queue first and holds them later"

    async def claim(self, **request: Any) -> Claimed:
        now, limit = request["now"], request["limit"]
        rows = [
            row
            for row in self.tables().rows.values()
            if row.owner is None and row.due is not None and row.due <= now
        ][:limit]
        for row in rows:
            self.spoil(row.id, due=None)
        await pause()
        for row in rows:
            self.spoil(row.id, due=row.due)
        return await super().claim(**request)


class UncheckedTransitions(Broken):
    promise, fault = "ERROR-5", "transitions that are not valid are left out silently"

    async def apply(self, *, items: Moves, now: int) -> Answers:
        try:
            return await super().apply(items=items, now=now)
        except InvalidArgumentError:
            return []


class CancelsAHundred(Broken):
    promise, fault = "CAPABILITY-3", "a cancel takes fewer rows than declared"

    async def cancel(self, *, ids: Sequence[str], request: str, now: int) -> Sequence[Cancelled]:
        if len(ids) > 100:
            raise TooLargeError("at most 100 ids")
        return await super().cancel(ids=ids, request=request, now=now)


class InsertsAMegabyte(Broken):
    promise, fault = "CAPABILITY-3", "an insert takes fewer bytes than declared"

    async def insert(self, *, items: Items, now: int) -> Sequence[Inserted]:
        if sum(len(item.input) for item in items) > 16 * 1024 * 1024:
            raise TooLargeError("at most 16 MiB")
        return await super().insert(items=items, now=now)


class PurgesUndone(Broken):
    promise, fault = "PURGE-1", "a row with unfinished children is purged"

    async def purge(self, *, finished_before: int, now: int, limit: int) -> int:
        for row in list(self.tables().rows.values()):
            if row.phase in FINISHED and row.owner is None and row.due is None:
                self.spoil(row.id, pending=0)
        return await super().purge(finished_before=finished_before, now=now, limit=limit)


class PurgesTheOldest(Broken):
    promise, fault = "PURGE-1", "a purge gives up at old rows that stay"

    async def purge(self, *, finished_before: int, now: int, limit: int) -> int:
        oldest = sorted(self.tables().finished)[:limit]
        rows = [self.tables().rows[id_] for _, id_ in oldest]
        parents = [self.tables().rows.get(row.parent_id or "") for row in rows]
        if any(parent is not None and not parent.finished for parent in parents):
            return 0
        return await super().purge(finished_before=finished_before, now=now, limit=limit)
