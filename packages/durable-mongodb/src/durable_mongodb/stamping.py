"""Writing many rows past those that somebody else's transaction has locked."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from pymongo.errors import OperationFailure, PyMongoError

from .errors import EXPIRED, code_of, undone
from .records import Doc
from .session import Session
from .settings import EXECUTIONS

_LEAST_PATIENCE: Final = 200
_PER_ROW: Final = 2
"""Milliseconds for one command over many rows: for all of them, and for each."""

_TRIES: Final = 40
"""Transactions at most that look for the rows that are locked."""


def patience_for(rows: int) -> int:
    """Return how many milliseconds a command waits for locks on so many rows."""
    return _LEAST_PATIENCE + _PER_ROW * rows


async def write_past_locks(
    session: Session, ids: Sequence[str], where: Callable[[Sequence[str]], Doc], change: Any
) -> bool:
    """Update rows that meet a condition, except those that are locked.

    A command by itself waits for a locked row, and so for all rows after it; a transaction fails
    at once. So a command goes first, which is the cheaper one and hardly ever waits; what it could
    not do in time is tried in transactions over ever smaller parts.

    Args:
        session: In no transaction.
        ids: Of the rows.
        where: Returns the condition of some of them; it must not hold for a row that is changed.
        change: The update.

    Returns:
        Whether no row was passed over.
    """
    try:
        await session.update_many(EXECUTIONS, where(ids), change, patience=patience_for(len(ids)))
    except OperationFailure as error:
        if code_of(error) != EXPIRED:
            raise
    else:
        return True
    return await write_in_parts(session, ids, where, change)


async def write_in_parts(
    session: Session, ids: Sequence[str], where: Callable[[Sequence[str]], Doc], change: Any
) -> bool:
    """Do the same after a command that had to wait for too long; it may have done a part.

    Args:
        session: In no transaction.
        ids: Of the rows.
        where: See `write_past_locks`.
        change: The update.

    Returns:
        Whether no row was passed over.
    """
    session.interrupted()
    parts = [ids]
    passed_over = False
    for _ in range(_TRIES):
        if not parts:
            break
        part = parts.pop()
        try:
            async with session.transaction():
                await session.update_many(EXECUTIONS, where(part), change)
        except PyMongoError as error:
            if not undone(error) or session.doubt:
                raise
            half = len(part) // 2
            passed_over |= half == 0
            parts += [part[half:], part[:half]] if half else []
    await session.catch_up()
    return not passed_over and not parts
