"""A load that goes on while the worst happens, and what must be true of it afterwards."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from durable_core.storage import (
    Finish,
    InsertOutcome,
    Keep,
    NewExecution,
    OutcomeUnknownError,
    Phase,
    Query,
    Record,
    Release,
    TemporaryError,
)
from durable_mongodb import MongoStorage

T = TypeVar("T")

NOW = 2_000_000_000_000_000
FAMILY = 4
"""Children of each parent."""


@dataclass
class Load:
    """Families that are inserted, claimed, finished and joined, again and again.

    Attributes:
        storages: Of which each has a worker of its own.
        families: How many each worker has brought to their end.
        unknown: How many calls had an unknown outcome.
        temporary: How many calls failed and had done nothing.
    """

    storages: list[MongoStorage]
    families: dict[str, int] = field(default_factory=dict[str, int])
    unknown: int = 0
    temporary: int = 0
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, disaster: Callable[[], Awaitable[None]]) -> None:
        """Work, let something happen, work on, and check everything."""
        async with asyncio.TaskGroup() as group:
            for number, storage in enumerate(self.storages):
                group.create_task(self._work(storage, f"worker-{number}"))
            await self._progress()
            await disaster()
            await self._progress()
            self._over.set()
        await self._check()

    async def _progress(self) -> None:
        """Wait until every worker has ended two families more."""
        before = dict(self.families)
        names = [f"worker-{number}" for number in range(len(self.storages))]
        while any(self.families.get(one, 0) < before.get(one, 0) + 2 for one in names):
            self._ended.clear()
            await self._ended.wait()

    async def sent(self, call: Callable[[], Awaitable[T]]) -> T:
        """Send a call again, unchanged, until it is answered: as the engine does."""
        while True:
            try:
                return await call()
            except OutcomeUnknownError:
                self.unknown += 1
            except TemporaryError:
                self.temporary += 1
            await asyncio.sleep(0.05)

    async def _work(self, storage: MongoStorage, name: str) -> None:
        number = 0
        while not self._over.is_set():
            await self._family(storage, name, f"{name}.{number}")
            number += 1
            self.families[name] = number
            self._ended.set()

    async def _family(self, storage: MongoStorage, name: str, parent_id: str) -> None:
        item = NewExecution(id=parent_id, task=name, owner=name)
        (answer,) = await self.sent(lambda: storage.insert(items=[item], now=NOW))
        # Sent again it exists already, and is as it was born.
        assert answer.outcome in (InsertOutcome.CREATED, InsertOutcome.EXISTING_ID)
        parent = answer.record
        assert parent.token == (name, 1)
        children = [
            NewExecution(
                id=f"{parent_id}.{n}", task=name, parent_id=parent_id, root_id=parent_id,
                child_index=n,
            )
            for n in range(FAMILY)
        ]  # fmt: skip
        wait = Release(
            id=parent_id,
            token=parent.token,
            phase=Phase.WAITING_FOR_CHILDREN,
            due=None,
            children=children,
            checkpoints={"begun": b"1"},
        )
        (done,) = await self.sent(lambda: storage.apply(items=[wait], now=NOW))
        assert done.outcome.value in ("applied", "already"), done
        for _ in range(FAMILY):
            await self._finish(storage, await self._claim(storage, name))
        joined = await self._claim(storage, name)
        assert (joined.id, joined.pending) == (parent_id, 0)
        await self._finish(storage, joined)

    async def _claim(self, storage: MongoStorage, name: str) -> Record:
        """Hold one row; what an unknown claim holds is found by asking."""
        while True:
            try:
                claimed = await storage.claim(
                    executor=name, tasks=[name], queues=["default"], limit=1, now=NOW
                )
                if claimed.records:
                    return claimed.records[0]
            except OutcomeUnknownError:
                self.unknown += 1
            except TemporaryError:
                self.temporary += 1
            page = await self.sent(
                lambda: storage.find(query=Query(owner=name), limit=10, payload=True)
            )
            if page.items:
                row = page.items[0]
                assert isinstance(row, Record)
                return row
            await asyncio.sleep(0.02)

    async def _finish(self, storage: MongoStorage, row: Record) -> None:
        keep = Keep(id=row.id, token=row.token, state=b"half", checkpoints={"half": b"1"})
        (kept,) = await self.sent(lambda: storage.apply(items=[keep], now=NOW))
        assert kept.outcome.value == "applied", kept
        item = Finish(
            id=row.id,
            token=row.token,
            phase=Phase.COMPLETED,
            output=row.id.encode(),
            parent_id=row.parent_id,
        )
        (done,) = await self.sent(lambda: storage.apply(items=[item], now=NOW))
        assert done.outcome.value in ("applied", "already"), done

    async def _check(self) -> None:
        """Nothing lost, nothing double, every count exact, all that was answered there."""
        storage = self.storages[0]
        rows: list[Record] = []
        cursor: str | None = None
        while True:
            page = await storage.find(query=Query(), limit=200, cursor=cursor, payload=True)
            rows += [row for row in page.items if isinstance(row, Record)]
            cursor = page.cursor
            if cursor is None:
                break
        ended = sum(self.families.values())
        assert len(rows) == ended * (FAMILY + 1)
        assert len({row.id for row in rows}) == len(rows)
        for row in rows:
            assert (row.phase, row.pending, row.owner) == (Phase.COMPLETED, 0, None)
            assert row.output == row.id.encode()
            points = await storage.checkpoints(execution_id=row.id, limit=9)
            names = [point.name for point in points.items]
            assert names == (["begun", "half"] if row.parent_id is None else ["half"])
