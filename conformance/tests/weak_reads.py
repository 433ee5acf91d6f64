"""One more fault for each promise about time, reading and all the rest."""

from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from broken_base import Broken, pause

from durable_core.storage import (
    Capabilities,
    Checkpoint,
    Claimed,
    CountBy,
    Head,
    Hint,
    Inserted,
    InvalidArgumentError,
    NewExecution,
    Page,
    Query,
    Record,
    SchemaReport,
    TemporaryError,
)
from durable_core.storage.memory.tables import Tables


class Milliseconds(Broken):
    promise, fault = "TIME-2", "times are stored in milliseconds, and not declared so"

    async def insert(self, *, items: Sequence[NewExecution], now: int) -> Sequence[Inserted]:
        rounded = [
            item if item.due is None else replace(item, due=item.due // 1_000 * 1_000)
            for item in items
        ]
        return await super().insert(items=rounded, now=now // 1_000 * 1_000)


class ClocksOnlyForward(Broken):
    promise, fault = "TIME-4", "a clock that runs backwards is refused"

    async def claim(self, **request: Any) -> Claimed:
        latest: int = getattr(self.tables(), "latest", 0)
        if request["now"] < latest:
            raise InvalidArgumentError("time runs forwards")
        vars(self.tables())["latest"] = request["now"]
        return await super().claim(**request)


class SecondsClock(Broken):
    promise, fault = "TIME-5", "the clock counts milliseconds"

    async def clock(self) -> int:
        return await super().clock() // 1_000


class GetsSorted(Broken):
    promise, fault = "READ-1", "get answers in the order of ids"

    async def get(self, *, ids: Sequence[str], payload: bool = True) -> Sequence[Head | None]:
        return await super().get(ids=sorted(ids), payload=payload)


class IgnoresTags(Broken):
    promise, fault = "READ-2", "find ignores tags"

    async def find(
        self, *, query: Query, limit: int, cursor: str | None = None, payload: bool = False
    ) -> Page[Head]:
        query = replace(query, tags=frozenset())
        return await super().find(query=query, limit=limit, cursor=cursor, payload=payload)


class PagesByOffset(Broken):
    promise, fault = "READ-2", "pages are counted off, so an insert shifts them"

    async def find(
        self, *, query: Query, limit: int, cursor: str | None = None, payload: bool = False
    ) -> Page[Head]:
        whole = await super().find(query=query, limit=100_000, payload=payload)
        start = int(cursor or 0)
        items = whole.items[start : start + limit]
        more = start + limit < len(whole.items)
        return Page(items=items, cursor=str(start + limit) if more else None)


class StripsTexts(Broken):
    promise, fault = "READ-3", "blanks at the end of a text are cut"

    async def insert(self, *, items: Sequence[NewExecution], now: int) -> Sequence[Inserted]:
        stripped = [
            item if item.key is None else replace(item, key=item.key.rstrip(" ")) for item in items
        ]
        return await super().insert(items=stripped, now=now)


class ReadersBlockWriters(Broken):
    promise, fault = "READ-4", "a reader blocks writers"
    reading = 0

    async def find(
        self, *, query: Query, limit: int, cursor: str | None = None, payload: bool = False
    ) -> Page[Head]:
        type(self).reading += 1
        try:
            await pause()
            return await super().find(query=query, limit=limit, cursor=cursor, payload=payload)
        finally:
            type(self).reading -= 1

    async def insert(self, *, items: Sequence[NewExecution], now: int) -> Sequence[Inserted]:
        if self.reading:
            raise TemporaryError("the table is locked")
        return await super().insert(items=items, now=now)


class Loose(Record):
    """A record that can be changed."""

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


class AnswersWhatItStores(Broken):
    promise, fault = "READ-4", "answers are the stored rows themselves, open to changes"

    async def get(self, *, ids: Sequence[str], payload: bool = True) -> Sequence[Head | None]:
        rows = await super().get(ids=ids, payload=payload)
        for row in rows:
            if isinstance(row, Record) and not isinstance(row, Loose):
                values = {name: getattr(row, name) for name in Record.__dataclass_fields__}
                self.tables().rows[row.id] = Loose(**values)
        return await super().get(ids=ids, payload=payload)


class CountsHeldAsReady(Broken):
    promise, fault = "READ-5", "a count by status counts phases"

    async def count(
        self, *, query: Query, by: CountBy | None = None, cap: int | None = None
    ) -> Mapping[str, int]:
        if by is not CountBy.STATUS:
            return await super().count(query=query, by=by, cap=cap)
        page = await super().find(query=query, limit=100_000)
        return Counter(str(row.phase) for row in page.items)


class CheckpointsByName(Broken):
    promise, fault = "READ-6", "checkpoints come by name"

    async def checkpoints(
        self, *, execution_id: str, limit: int, cursor: str | None = None
    ) -> Page[Checkpoint]:
        page = await super().checkpoints(execution_id=execution_id, limit=limit, cursor=cursor)
        return replace(page, items=sorted(page.items, key=lambda point: point.name))


class NeverSaysReconnected(Broken):
    promise, fault = "HINT-2", "a listener does not say that it has just begun"

    async def listen(self, *, queues: Collection[str]) -> AsyncIterator[Hint]:
        first = True
        async for hint in super().listen(queues=queues):
            if not first:
                yield hint
            first = False


class PurgesAll(Broken):
    promise, fault = "PURGE-1", "the limit of a purge is ignored"

    async def purge(self, *, finished_before: int, now: int, limit: int) -> int:
        return await super().purge(finished_before=finished_before, now=now, limit=1_000_000)


class LeavesCheckpoints(Broken):
    promise, fault = "PURGE-3", "checkpoints outlive their row"

    async def purge(self, *, finished_before: int, now: int, limit: int) -> int:
        kept = dict(self.tables().checkpoints)
        gone = await super().purge(finished_before=finished_before, now=now, limit=limit)
        self.tables().checkpoints.update(kept)
        return gone


class PurgesMessages(Broken):
    promise, fault = "PURGE-3", "messages that are still fresh are purged"

    async def purge(self, *, finished_before: int, now: int, limit: int) -> int:
        self.tables().mailboxes.clear()
        return await super().purge(finished_before=finished_before, now=now, limit=limit)


class LookingMends(Broken):
    promise, fault = "SCHEMA-1", "looking at the schema mends it"

    async def setup(self, *, migrate: bool = True) -> SchemaReport:
        report = await super().setup(migrate=migrate)
        made = vars(self._space).setdefault("made", migrate)
        vars(self._space)["made"] = True
        return report if made else replace(report, missing=("the table",))


class SetUpStartsAnew(Broken):
    promise, fault = "SCHEMA-1", "a set-up drops what is there"

    async def setup(self, *, migrate: bool = True) -> SchemaReport:
        self._space.tables = Tables()
        return await super().setup(migrate=migrate)


class SpeaksAnotherProtocol(Broken):
    promise, fault = "SCHEMA-2", "it speaks a protocol that the core does not serve"

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, protocol=7)


class OneForAll(Broken):
    promise, fault = "SCHEMA-3", "all namespaces are one"
    everything = Broken()

    def __init__(self, **_: Any) -> None:
        super().__init__(sharing=self.everything)


class NeverClosed(Broken):
    promise, fault = "SCHEMA-4", "a closed handle goes on"

    async def close(self) -> None:
        pass


class EmptyPromise(Broken):
    promise, fault = "CAPABILITY-1", "what is declared is not there"

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, bind=True)


class HiddenAbility(Broken):
    promise, fault = "CAPABILITY-2", "what works is not declared"

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, push=False)


class ChangesItsMind(Broken):
    promise, fault = "CAPABILITY-3", "what is declared changes with what is stored"

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, max_batch_rows=10_000 - len(self.tables().rows))
