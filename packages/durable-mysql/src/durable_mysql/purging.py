"""Deleting what is over."""

from collections.abc import Sequence
from typing import Final

from .drivers import Row
from .literals import name, text, texts
from .mailboxes import Boxes, any_box
from .session import Session
from .statements import (
    EMPTY_MAILBOXES,
    FORGET_MAILBOXES,
    FORGET_MESSAGES,
    OVER,
    PURGE,
    PURGE_CHECKPOINTS,
    STALE_MESSAGES,
    STILL_OVER,
    VACATE,
)

CHUNK: Final = 500
"""Rows that one transaction deletes at most, so that others are not kept waiting."""


async def over(session: Session, finished_before: int, limit: int) -> Sequence[Row]:
    """Return id, task and wake key of what may be deleted, the longest finished first."""
    return await session.rows(session.fill(OVER, str(finished_before), str(limit)))


async def delete_over(session: Session, rows: Sequence[Row], finished_before: int) -> int:
    """Delete executions, if they still may be, with their checkpoints.

    Returns:
        How many were deleted.
    """
    ids = texts(row[0] for row in rows)
    sleepers = {row[0]: (row[1].decode(), row[2].decode()) for row in rows if row[2] is not None}
    async with session.transaction():
        await Boxes.lock(session, sleepers.values())
        still = await session.rows(session.fill(STILL_OVER, ids, str(finished_before)))
        gone = [row[0] for row in still]
        if gone:
            session.later(session.fill(PURGE_CHECKPOINTS, texts(gone)))
            session.later(session.fill(PURGE, texts(gone)))
        for id_ in gone:
            if id_ in sleepers:
                task, wake_key = sleepers[id_]
                session.later(session.fill(VACATE, name(task), name(wake_key), text(id_)))
    return len(gone)


async def forget_messages(session: Session, now: int, limit: int) -> bool:
    """Delete expired messages, and mailboxes of sleepers that are gone.

    Returns:
        Whether there may be more of them.
    """
    found: list[int] = []
    for look, forget in (
        (session.fill(STALE_MESSAGES, str(now), str(limit)), FORGET_MESSAGES),
        (session.fill(EMPTY_MAILBOXES, str(limit)), FORGET_MAILBOXES),
    ):
        async with session.transaction():
            rows = await session.rows(look)
            found.append(len(rows))
            if rows:
                keys = [(row[0].decode(), row[1].decode()) for row in rows]
                session.later(session.fill(forget, any_box(keys)))
    return limit in found
