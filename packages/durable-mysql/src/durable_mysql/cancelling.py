"""Ending or marking executions from outside."""

from collections.abc import Sequence

from durable_core.storage import Cancelled
from durable_core.storage.kit import cancel_one

from .session import Session
from .working import Work, parents_of


async def cancel_all(
    session: Session, ids: Sequence[str], request: str, parents: set[str], now: int
) -> list[Cancelled]:
    """Carry out a request to cancel, as `Storage.cancel` says; for `parents` see `Work.lock`."""
    async with session.transaction():
        await parents_of(session, ids, parents)
        work = await Work.lock(session, set(ids), parents, now)
        answers = [cancel_one(work, id_, request) for id_ in ids]
        work.write(session)
    return answers
