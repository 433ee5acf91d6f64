"""Deleting what is over."""

from collections.abc import Sequence
from typing import Final

from .mailboxes import Boxes
from .records import Row, by_column
from .session import Session
from .statements import FORGET_MAILBOXES, FORGET_MESSAGES, OVER, PURGE, VACATE

CHUNK: Final = 500
"""Rows that one transaction deletes at most, so that others are not kept waiting."""


async def over(session: Session, finished_before: int, limit: int) -> Sequence[Row]:
    """Return id, task and wake key of what may be deleted, the longest finished first."""
    return await session.rows(OVER, finished_before, limit)


async def delete_over(session: Session, rows: Sequence[Row], finished_before: int) -> int:
    """Delete executions, if they still may be, with their checkpoints.

    Returns:
        How many were deleted.
    """
    ids = [row[0] for row in rows]
    sleepers = {row[0]: (row[1], row[2]) for row in rows if row[2] is not None}
    if not sleepers:
        return len(await session.write(PURGE, ids, finished_before))
    async with session.transaction():
        await Boxes.lock(session, sleepers.values())
        gone = [row[0] for row in await session.write(PURGE, ids, finished_before)]
        vacated = [(*sleepers[id_], id_) for id_ in gone if id_ in sleepers]
        if vacated:
            await session.write(VACATE, *by_column(vacated))
    return len(gone)


async def forget_messages(session: Session, now: int, limit: int) -> bool:
    """Delete expired messages, and mailboxes of sleepers that are gone.

    Returns:
        Whether there may be more of them.
    """
    expired = await session.write(FORGET_MESSAGES, now, limit)
    empty = await session.write(FORGET_MAILBOXES, limit)
    return limit in (len(expired), len(empty))
