"""One more fault for each promise about inserting, claiming and applying."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from broken_base import Broken, pause

from durable_core.storage import (
    UNSET,
    Applied,
    ApplyOutcome,
    Claimed,
    Finish,
    Head,
    Inserted,
    InsertOutcome,
    Keep,
    NewExecution,
    Page,
    Phase,
    Query,
    Release,
    TemporaryError,
    Transition,
)
from durable_core.storage.memory.leases import claimed

Items = Sequence[NewExecution]
Moves = Sequence[Transition]
Answers = Sequence[Applied]


class LosesMeta(Broken):
    promise, fault = "INSERT-1", "a field is not stored"

    async def insert(self, *, items: Items, now: int) -> Sequence[Inserted]:
        return await super().insert(items=[replace(item, meta=b"") for item in items], now=now)


class Overwrites(Broken):
    promise, fault = "INSERT-2", "an existing id is overwritten"

    async def insert(self, *, items: Items, now: int) -> Sequence[Inserted]:
        answers = await super().insert(items=items, now=now)
        for item, answer in zip(items, answers, strict=True):
            if answer.outcome is InsertOutcome.EXISTING_ID:
                self.spoil(item.id, input=item.input)
        return answers


class KeysAcrossTasks(Broken):
    promise, fault = "INSERT-3", "a key is taken for all tasks"

    async def insert(self, *, items: Items, now: int) -> Sequence[Inserted]:
        answers: list[Inserted] = []
        for item in items:
            same = [row for row in self.tables().rows.values() if item.key and row.key == item.key]
            if same:
                answers.append(Inserted(outcome=InsertOutcome.EXISTING_KEY, record=same[0]))
            else:
                answers += await super().insert(items=[item], now=now)
        return answers


class LooksThenInserts(Broken):
    promise, fault = "INSERT-4", "an insert looks first and writes later"

    async def insert(self, *, items: Items, now: int) -> Sequence[Inserted]:
        there = [self.tables().existing(item) for item in items]
        await pause()
        answers: list[Inserted] = []
        for item, found in zip(items, there, strict=True):
            if found is not None:
                answers.append(Inserted(outcome=found[0], record=found[1]))
            else:
                row = self.tables().add(item, now)
                answers.append(Inserted(outcome=InsertOutcome.CREATED, record=row))
        return answers


class StopsAtConflict(Broken):
    promise, fault = "INSERT-5", "what comes after a conflict is not inserted"

    async def insert(self, *, items: Items, now: int) -> Sequence[Inserted]:
        answers: list[Inserted] = []
        for item in items:
            known = bool(answers) and answers[-1].outcome is not InsertOutcome.CREATED
            if known:
                answers.append(answers[-1])
            else:
                answers += await super().insert(items=[item], now=now)
        return answers


class NeverHolds(Broken):
    promise, fault = "INSERT-6", "nothing is held at once"

    async def insert(self, *, items: Items, now: int) -> Sequence[Inserted]:
        return await super().insert(items=[replace(item, owner=None) for item in items], now=now)


class TakesOrphans(Broken):
    promise, fault = "INSERT-7", "the parent of an item is ignored"

    async def insert(self, *, items: Items, now: int) -> Sequence[Inserted]:
        roots = [replace(item, parent_id=None) for item in items]
        return await super().insert(items=roots, now=now)


class ClaimsTheFuture(Broken):
    promise, fault = "CLAIM-1", "what will be due within the hour is claimed"

    async def claim(self, **request: Any) -> Claimed:
        request["now"] += 3_600_000_000
        return await super().claim(**request)


class IgnoresLimit(Broken):
    promise, fault = "CLAIM-1", "the limit of a claim is ignored"

    async def claim(self, **request: Any) -> Claimed:
        request["limit"] = 10_000
        return await super().claim(**request)


class IgnoresQueues(Broken):
    promise, fault = "CLAIM-2", "the queue is ignored"

    async def claim(self, **request: Any) -> Claimed:
        request["queues"] = {row.queue for row in self.tables().rows.values()}
        return await super().claim(**request)


class NewestFirst(Broken):
    promise, fault = "CLAIM-5", "the order is turned round"

    async def claim(self, **request: Any) -> Claimed:
        answer = await super().claim(**request)
        return replace(answer, records=list(answer.records)[::-1])


class GivesUpOnLocks(Broken):
    promise, fault = "CLAIM-6", "a claim beside a writer fails"
    writing = 0

    async def apply(self, *, items: Moves, now: int) -> Answers:
        type(self).writing += 1
        try:
            await pause()
            return await super().apply(items=items, now=now)
        finally:
            type(self).writing -= 1

    async def claim(self, **request: Any) -> Claimed:
        if self.writing:
            raise TemporaryError("a row is locked")
        return await super().claim(**request)


class LooksAtTheHeadOnly(Broken):
    promise, fault = "CLAIM-7", "only the first fifty rows are looked at"

    async def claim(self, **request: Any) -> Claimed:
        rows = [row for row in self.tables().rows.values() if row.due is not None and not row.owner]
        rows.sort(key=lambda row: -row.priority)
        known = [row for row in rows[:50] if row.task in request["tasks"]]
        if not known:
            return Claimed(records=[], exhausted=True)
        return await super().claim(**request)


class TakesSleepersById(Broken):
    promise, fault = "CLAIM-8", "a sleeper is claimed by id before its time"

    async def claim(self, **request: Any) -> Claimed:
        answer = await super().claim(**request)
        for id_ in request.get("ids") or ():
            row = self.tables().rows.get(id_)
            if row is not None and row.phase is Phase.SLEEPING and row.owner is None:
                taken = claimed(row, request["executor"], request["now"])
                self.tables().put(taken)
                answer = replace(answer, records=[*answer.records, taken])
        return answer


class FindsOldHoldings(Broken):
    promise, fault = "CLAIM-9", "what was held by an insert is not found"

    async def find(
        self, *, query: Query, limit: int, cursor: str | None = None, payload: bool = False
    ) -> Page[Head]:
        page = await super().find(query=query, limit=limit, cursor=cursor, payload=payload)
        if query.owner is None:
            return page
        claims = [row for row in page.items if row.started_at != row.created_at or row.gen > 1]
        return replace(page, items=claims)


class AlwaysExhausted(Broken):
    promise, fault = "CLAIM-10", "every claim says that nothing is left"

    async def claim(self, **request: Any) -> Claimed:
        return replace(await super().claim(**request), exhausted=True)


class ForgetsState(Broken):
    promise, fault = "APPLY-1", "a value that is not mentioned is cleared"

    async def apply(self, *, items: Moves, now: int) -> Answers:
        cleared = [
            replace(item, state=None)
            if isinstance(item, Release | Finish) and item.state is UNSET
            else item
            for item in items
        ]
        return await super().apply(items=cleared, now=now)


class CountsFirst(Broken):
    promise, fault = "APPLY-4", "children are counted in one commit and inserted in another"

    async def apply(self, *, items: Moves, now: int) -> Answers:
        for item in items:
            row = self.tables().rows.get(item.id)
            if row is not None and isinstance(item, Keep | Release) and item.children:
                self.spoil(item.id, pending=row.pending + len(item.children))
                await pause()
                self.spoil(item.id, pending=row.pending)
        return await super().apply(items=items, now=now)


class NeverAlready(Broken):
    promise, fault = "APPLY-5", "what is sent again is called superseded"

    async def apply(self, *, items: Moves, now: int) -> Answers:
        answers = await super().apply(items=items, now=now)
        return [
            replace(answer, outcome=ApplyOutcome.SUPERSEDED)
            if answer.outcome is ApplyOutcome.ALREADY
            else answer
            for answer in answers
        ]


class KeepRaisesGen(Broken):
    promise, fault = "APPLY-7", "a keep changes the token"

    async def apply(self, *, items: Moves, now: int) -> Answers:
        answers = await super().apply(items=items, now=now)
        for item, answer in zip(items, answers, strict=True):
            if isinstance(item, Keep) and answer.outcome is ApplyOutcome.APPLIED:
                self.spoil(item.id, gen=item.token.gen + 1)
        return answers


class MarkStopsFinish(Broken):
    promise, fault = "APPLY-9", "a marked row cannot be finished"

    async def apply(self, *, items: Moves, now: int) -> Answers:
        answers: list[Applied] = []
        for item in items:
            row = self.tables().rows.get(item.id)
            if row is not None and row.cancel_requested and isinstance(item, Finish):
                answers.append(Applied(outcome=ApplyOutcome.CANCEL_REQUESTED, head=row))
            else:
                answers += await super().apply(items=[item], now=now)
        return answers


class FinishesTwice(Broken):
    promise, fault = "APPLY-10", "the holder of a duty can change the result"

    async def apply(self, *, items: Moves, now: int) -> Answers:
        answers = await super().apply(items=items, now=now)
        for item in items:
            row = self.tables().rows.get(item.id)
            held = row is not None and row.owner is not None and row.token == item.token
            if row is not None and held and row.finished and isinstance(item, Finish):
                self.spoil(item.id, phase=item.phase)
        return answers


class LastCheckpointWins(Broken):
    promise, fault = "APPLY-11", "a checkpoint is overwritten"

    async def apply(self, *, items: Moves, now: int) -> Answers:
        for item in items:
            if isinstance(item, Keep | Release | Finish):
                for name in item.checkpoints:
                    self.tables().checkpoints.get(item.id, {}).pop(name, None)
        return await super().apply(items=items, now=now)
