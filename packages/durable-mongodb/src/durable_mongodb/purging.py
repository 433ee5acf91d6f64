"""Deleting what is over."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from .commands import over
from .mailboxes import box_id
from .records import Doc
from .session import Session
from .settings import CHECKPOINTS, EXECUTIONS, MAILBOXES

CHUNK: Final = 200
"""Rows that one transaction deletes at most, so that others are not kept waiting."""

_FIELDS: Final[Mapping[str, int]] = {
    "task": 1,
    "wake_key": 1,
    "parent_id": 1,
    "finished_at": 1,
}


async def find_over(session: Session, finished_before: int, limit: int) -> list[Doc]:
    """Return id, task and wake key of what may be deleted, the longest finished first.

    Page by page, because children of living parents stay, however many they are.
    """
    found: list[Doc] = []
    after: Doc = {}
    while len(found) < limit:
        docs = await session.find(
            EXECUTIONS,
            {"$and": [over(finished_before), after]},
            fields=_FIELDS,
            sort=(("finished_at", 1), ("_id", 1)),
            limit=CHUNK,
            hint="finished",
        )
        living = await _living(session, {doc["parent_id"] for doc in docs if doc.get("parent_id")})
        found += [doc for doc in docs if doc.get("parent_id") not in living]
        if len(docs) < CHUNK:
            break
        last = docs[-1]
        after = {
            "finished_at": {"$gte": last["finished_at"]},
            "$or": [{"finished_at": {"$gt": last["finished_at"]}}, {"_id": {"$gt": last["_id"]}}],
        }
    return found[:limit]


async def _living(session: Session, parents: set[str]) -> set[str]:
    if not parents:
        return set()
    where = {"_id": {"$in": sorted(parents)}, "finished_at": None}
    return {doc["_id"] for doc in await session.find(EXECUTIONS, where, fields={"_id": 1})}


async def delete_over(session: Session, rows: Sequence[Doc], finished_before: int) -> int:
    """Delete executions with their checkpoints: nothing that is over is ever written again.

    Returns:
        How many were deleted.
    """
    wanted = {"_id": {"$in": [row["_id"] for row in rows]}, **over(finished_before)}

    async def work() -> int:
        # Somebody else may purge, too, and the ids be used again.
        there = await session.find(EXECUTIONS, wanted, fields={"task": 1, "wake_key": 1})
        ids = [row["_id"] for row in there]
        boxes = [
            box_id(row["task"], row["wake_key"]) for row in there if row.get("wake_key") is not None
        ]
        if ids:
            await session.delete_many(EXECUTIONS, {"_id": {"$in": ids}})
            await session.delete_many(CHECKPOINTS, {"execution_id": {"$in": ids}})
        if boxes:
            where = {"_id": {"$in": boxes}, "execution_id": {"$in": ids}}
            await session.update_many(MAILBOXES, where, _VACATED)
        return len(ids)

    return await session.transact(work)


_VACATED: Final[Sequence[dict[str, Any]]] = [
    {"$set": {"execution_id": None, "over_at": {"$ifNull": ["$over_at", 0]}}}
]


async def forget_messages(session: Session, now: int) -> None:
    """Delete expired messages, and mailboxes of sleepers that are gone."""
    expired = {"over_at": {"$gte": 0, "$lte": now}}
    await session.delete_many(MAILBOXES, {**expired, "execution_id": None})
    forgotten = {"$set": {"message": None, "over_at": None}}
    await session.update_many(MAILBOXES, {**expired, "execution_id": {"$gt": ""}}, forgotten)
