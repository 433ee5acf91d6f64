"""Deleting what is over."""

import json

from .session import Session
from .statements import FORGET_MAILBOXES, FORGET_MESSAGES, OVER, PURGED, PURGED_CHECKPOINTS, VACATED
from .writing import Writing


def over(session: Session, finished_before: int, limit: int) -> list[int]:
    """Return the rowids of executions that may be deleted, the longest finished first."""
    return [row[0] for row in session.rows(OVER, (finished_before, limit))]


def delete_over(writing: Writing, rowids: list[int], finished_before: int) -> int:
    """Delete executions, if they still may be, with their checkpoints.

    Returns:
        How many were deleted.
    """
    gone = writing.rows(PURGED, (json.dumps(rowids), finished_before))
    ids = json.dumps([row[0] for row in gone])
    writing.run(PURGED_CHECKPOINTS, (ids,))
    for id_, task, wake_key in gone:
        if wake_key is not None:
            writing.run(VACATED, (task, wake_key, id_))
    return len(gone)


def forget_messages(writing: Writing, now: int, limit: int) -> bool:
    """Delete expired messages, and mailboxes of sleepers that are gone.

    Returns:
        Whether there may be more of them.
    """
    expired = writing.run(FORGET_MESSAGES, (now, limit)).rowcount
    empty = writing.run(FORGET_MAILBOXES, (limit,)).rowcount
    return limit in (expired, empty)
