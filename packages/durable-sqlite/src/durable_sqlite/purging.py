"""Deleting what is over."""

import json

from .session import Session
from .statements import (
    EXPIRED_MESSAGES,
    FORGET_MAILBOX,
    FORGET_MESSAGE,
    IDLE_MAILBOXES,
    OVER,
    PURGED,
    PURGED_CHECKPOINTS,
    VACATED,
)
from .writing import Writing


def over(session: Session, finished_before: int, limit: int) -> list[str]:
    """Return ids of executions that may be deleted, the longest finished first."""
    return [row[0] for row in session.rows(OVER, (finished_before, limit))]


def delete_over(writing: Writing, ids: list[str], finished_before: int) -> int:
    """Delete executions, if they still may be, with their checkpoints.

    Returns:
        How many were deleted.
    """
    gone = writing.rows(PURGED, (json.dumps(ids), finished_before))
    writing.run(PURGED_CHECKPOINTS, (json.dumps([row[0] for row in gone]),))
    for id_, task, wake_key in gone:
        if wake_key is not None:
            writing.run(VACATED, (task, wake_key, id_))
    return len(gone)


def forget_messages(writing: Writing, now: int, limit: int) -> bool:
    """Delete expired messages, and mailboxes of sleepers that are gone.

    Returns:
        Whether there may be more of them.
    """
    expired = writing.rows(EXPIRED_MESSAGES, (now, limit))
    writing.many(FORGET_MESSAGE, expired)
    empty = writing.rows(IDLE_MAILBOXES, (limit,))
    writing.many(FORGET_MAILBOX, empty)
    return limit in (len(expired), len(empty))
