"""One more fault for each promise about families and errors."""

from collections.abc import Sequence
from dataclasses import replace

from broken_base import Broken, pause

from durable_core.storage import (
    WAITING,
    Applied,
    ApplyOutcome,
    Finish,
    Head,
    Inserted,
    InvalidArgumentError,
    Keep,
    NewExecution,
    Page,
    Query,
    Release,
    TemporaryError,
    Transition,
)

Items = Sequence[NewExecution]
Moves = Sequence[Transition]
Answers = Sequence[Applied]


class WaitsForAll(Broken):
    promise, fault = "PARENT-3", "a parent goes on only when all its children have ended"

    async def apply(self, *, items: Moves, now: int) -> Answers:
        answers = await super().apply(items=items, now=now)
        for row in list(self.tables().rows.values()):
            if row.phase in WAITING and row.owner is None and row.due == 0 and row.pending:
                self.spoil(row.id, due=None)
        return answers


class WakesHeldParents(Broken):
    promise, fault = "PARENT-5", "the end of a child makes a held parent due"

    async def apply(self, *, items: Moves, now: int) -> Answers:
        answers = await super().apply(items=items, now=now)
        for item in items:
            parent = self.tables().rows.get(item.parent_id or "")
            if isinstance(item, Finish) and parent is not None and parent.owner is not None:
                self.spoil(parent.id, due=0)
        return answers


class CountsTheKnown(Broken):
    promise, fault = "PARENT-6", "a child that is there already is counted again"

    async def apply(self, *, items: Moves, now: int) -> Answers:
        known = set(self.tables().rows)
        answers = await super().apply(items=items, now=now)
        for item, answer in zip(items, answers, strict=True):
            if isinstance(item, Keep) and answer.outcome is ApplyOutcome.APPLIED:
                again = sum(child.id in known for child in item.children)
                row = self.tables().rows[item.id]
                self.spoil(item.id, pending=row.pending + again)
        return answers


class WakesFinishedParents(Broken):
    promise, fault = "PARENT-9", "the end of a child makes a finished parent due"

    async def apply(self, *, items: Moves, now: int) -> Answers:
        answers = await super().apply(items=items, now=now)
        for item in items:
            parent = self.tables().rows.get(item.parent_id or "")
            if isinstance(item, Finish) and parent is not None and parent.finished:
                self.spoil(parent.id, due=0)
        return answers


class ChildrenById(Broken):
    promise, fault = "PARENT-10", "children come in the order of their ids"

    async def find(
        self, *, query: Query, limit: int, cursor: str | None = None, payload: bool = False
    ) -> Page[Head]:
        page = await super().find(query=query, limit=limit, cursor=cursor, payload=payload)
        if query.parent_id is None:
            return page
        return replace(page, items=sorted(page.items, key=lambda row: row.id))


class Deadlocks(Broken):
    promise, fault = "PARENT-11", "writers of one family deadlock, and one is told so"
    writing = 0

    async def apply(self, *, items: Moves, now: int) -> Answers:
        if self.writing:
            raise TemporaryError("deadlock detected")
        type(self).writing += 1
        try:
            await pause()
            return await super().apply(items=items, now=now)
        finally:
            type(self).writing -= 1


class JoinsNever(Broken):
    promise, fault = "PARENT-12", "`join_at = -1` is taken for 0"

    async def apply(self, *, items: Moves, now: int) -> Answers:
        joined = [
            replace(item, join_at=0)
            if isinstance(item, Keep | Release) and item.join_at == -1
            else item
            for item in items
        ]
        return await super().apply(items=joined, now=now)


class InsertsByHalves(Broken):
    promise, fault = "ERROR-4", "children are inserted in one step and counted in the next"

    async def apply(self, *, items: Moves, now: int) -> Answers:
        for item in items:
            if isinstance(item, Release) and item.id in self.tables().rows:
                for child in item.children:
                    if child.id not in self.tables().rows:
                        self.tables().add(child, now)
                await pause()
                for child in item.children:
                    row = self.tables().rows[child.id]
                    if row.gen == 0:
                        self.tables().remove(row)
        return await super().apply(items=items, now=now)


class WritesBeforeChecking(Broken):
    promise, fault = "ERROR-5", "the good items before a bad one stay"

    async def insert(self, *, items: Items, now: int) -> Sequence[Inserted]:
        answers: list[Inserted] = []
        for item in items:
            answers += await super().insert(items=[item], now=now)
        return answers


class Unchecked(Broken):
    promise, fault = "ERROR-5", "what is not valid is left out silently"

    async def insert(self, *, items: Items, now: int) -> Sequence[Inserted]:
        try:
            return await super().insert(items=items, now=now)
        except InvalidArgumentError:
            return []
