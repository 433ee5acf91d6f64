"""Deleting what is over."""

from collections.abc import Sequence
from typing import Any, Final

from .commands import over, over_first
from .mailboxes import box_id
from .records import Doc
from .session import Session
from .settings import CHECKPOINTS, EXECUTIONS, MAILBOXES

CHUNK: Final = 200
"""Rows that one transaction deletes at most, so that others are not kept waiting."""


async def find_over(session: Session, finished_before: int, limit: int) -> list[Doc]:
    """Return id, task and wake key of what may be deleted, the longest finished first."""
    pipeline = over_first(session.name(EXECUTIONS), finished_before, limit)
    return await session.aggregate(EXECUTIONS, pipeline, hint="finished")


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
