"""The sketch's storage in MongoDB, by PyMongo's asyncio client and nothing else."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeAlias

from pymongo import ASCENDING, AsyncMongoClient, UpdateOne, WriteConcern

from ..sample import Counts
from .group import Group
from .store import Row

Document: TypeAlias = dict[str, Any]

_WEEK_US = 7 * 24 * 3600 * 1_000_000
_CHUNK = 10_000
_LOOK_PAUSE = 0.002
"""Seconds between two looks for what the other process has written."""


class MongoStore:
    """Executions in a collection; writes of one kind share a command.

    Args:
        url: Of the replica set.
        database: Where.
    """

    def __init__(self, url: str, database: str) -> None:
        self._client: AsyncMongoClient[Document] = AsyncMongoClient(url)
        durable = WriteConcern(w="majority", j=True)
        self._rows = self._client[database].get_collection("execution", write_concern=durable)
        self._inserts = Group[Row](self._insert)
        self._offers = Group[Row](self._offer)
        self._progress = Group[tuple[str, bytes]](self._advance)
        self._spreads = Group[tuple[str, Sequence[Row]]](self._spread)
        self._finishes = Group[tuple[str, bytes, str | None]](self._finish)
        self._looked = False
        self._calls = self._writes = 0

    @property
    def durable(self) -> bool:
        """The database stays."""
        return True

    def counts(self) -> Counts:
        """Return what was sent so far; each command that writes is durable by itself."""
        return Counts(statements=self._calls, table_statements=self._calls, commits=self._writes)

    async def open(self) -> None:
        """Create the indexes if there are none: partial, what has ended is in none."""
        claim = [("queue", ASCENDING), ("task", ASCENDING), ("priority", -1), ("due", ASCENDING)]
        await self._rows.create_index(
            claim, name="due", partialFilterExpression={"due": {"$exists": True}}
        )
        await self._rows.create_index(
            [("owner", ASCENDING)],
            name="held",
            partialFilterExpression={"owner": {"$exists": True}},
        )
        await self._rows.create_index(
            [("parent_id", ASCENDING), ("child_index", ASCENDING)],
            name="child",
            partialFilterExpression={"parent_id": {"$exists": True}},
        )

    async def close(self) -> None:
        """Release the driver."""
        await self._client.close()

    async def insert(self, row: Row) -> None:
        """Store a new execution, held."""
        await self._inserts.write(row)

    async def progress(self, execution_id: str, state: bytes) -> None:
        """Store what a held execution has reached."""
        await self._progress.write((execution_id, state))

    async def spread(self, parent_id: str, children: Sequence[Row]) -> None:
        """Store the children, held, and let their parent wait for all of them."""
        await self._spreads.write((parent_id, children))

    async def finish(self, execution_id: str, output: bytes, parent_id: str | None = None) -> None:
        """Store the result of a held execution and count down its parent's children."""
        await self._finishes.write((execution_id, output, parent_id))

    async def fill(self, finished: int, scheduled: int) -> None:
        """Store executions that ended, and others that are due next week."""
        now = time.time_ns() // 1_000
        ended = {"phase": "completed", "finished_at": now, "output": b"2", "ended_by": "me/1"}
        done = [
            _new(Row(f"finished-{n}", "noop", b'{"number": 1}'), now, ended)
            for n in range(finished)
        ]
        later = [
            _new(Row(f"scheduled-{n}", "noop", b'{"number": 1}'), now, {"due": now + _WEEK_US + n})
            for n in range(scheduled)
        ]
        rows = [*done, *later]
        for start in range(0, len(rows), _CHUNK):
            await self._rows.insert_many(rows[start : start + _CHUNK], ordered=False)

    async def offer(self, row: Row) -> None:
        """See `SharedStore.offer`."""
        await self._offers.write(row)

    async def take(self, limit: int) -> Sequence[tuple[str, bytes]]:
        """See `SharedStore.take`. One worker takes, so what it has read is still there."""
        ready = {"due": {"$lte": 1}, "queue": "default", "task": "noop"}
        found = [
            (str(row["_id"]), bytes(row["input"]))
            async for row in self._rows.find(ready, {"input": 1}).limit(limit)
        ]
        self._calls += 1
        if found:
            ids = [id_ for id_, _ in found]
            held = {"$set": {"owner": "me"}, "$unset": {"due": ""}}
            await self._rows.update_many({"_id": {"$in": ids}}, held)
            self._calls += 1
            self._writes += 1
        return found

    async def ended(self, ids: Sequence[str]) -> Sequence[tuple[str, bytes]]:
        """See `SharedStore.ended`."""
        self._calls += 1
        query = {"_id": {"$in": list(ids)}, "finished_at": {"$exists": True}}
        return [
            (str(row["_id"]), bytes(row["output"]))
            async for row in self._rows.find(query, {"output": 1})
        ]

    async def heard(self) -> None:
        """See `SharedStore.heard`: after a moment, something may have been written."""
        if self._looked:
            await asyncio.sleep(_LOOK_PAUSE)
        self._looked = True

    async def _insert(self, rows: list[Row]) -> None:
        await self._add(rows, {"owner": "me"})

    async def _offer(self, rows: list[Row]) -> None:
        await self._add(rows, {"due": 0})

    async def _add(self, rows: Sequence[Row], more: Document) -> None:
        now = time.time_ns() // 1_000
        await self._rows.insert_many([_new(row, now, more) for row in rows], ordered=False)
        self._calls += 1
        self._writes += 1

    async def _advance(self, items: list[tuple[str, bytes]]) -> None:
        await self._change([_change(id_, {"state": state}) for id_, state in items])

    async def _spread(self, items: list[tuple[str, Sequence[Row]]]) -> None:
        await self._add([child for _, children in items for child in children], {"owner": "me"})
        await self._change(
            [
                _change(parent, {"phase": "waiting_for_children", "pending": len(children)})
                for parent, children in items
            ]
        )

    async def _finish(self, items: list[tuple[str, bytes, str | None]]) -> None:
        now = time.time_ns() // 1_000
        changes = [
            UpdateOne(
                {"_id": id_, "owner": "me", "gen": 1},
                {
                    "$set": {
                        "phase": "completed", "output": output, "finished_at": now,
                        "ended_by": "me/1",
                    },
                    "$unset": {"owner": ""},
                },
            )
            for id_, output, _ in items
        ]  # fmt: skip
        ended = Counter(parent for _, _, parent in items if parent is not None)
        changes += [
            UpdateOne({"_id": parent}, {"$inc": {"pending": -number}})
            for parent, number in ended.items()
        ]
        await self._change(changes)

    async def _change(self, changes: Sequence[UpdateOne]) -> None:
        answer = await self._rows.bulk_write(changes, ordered=False)
        self._calls += 1
        self._writes += 1
        if answer.matched_count != len(changes):
            raise RuntimeError("an execution is not held: the sketch lost a write")


def _new(row: Row, now: int, more: Document) -> Document:
    id_, task, data, parent_id, index = row
    document: Document = {
        "_id": id_, "task": task, "queue": "default", "root_id": id_, "child_index": index,
        "on_cancel": "end", "priority": 0, "phase": "ready", "gen": 1, "crashes": 0, "attempt": 0,
        "pending": 0, "join_at": 0, "cancel_requested": False, "created_at": now,
        "started_at": now, "options": b"", "meta": b"", "input": data, **more,
    }  # fmt: skip
    if parent_id is not None:
        document["parent_id"] = parent_id
    return document


def _change(id_: str, values: Document) -> UpdateOne:
    return UpdateOne({"_id": id_, "owner": "me", "gen": 1}, {"$set": values})
