"""Ending or marking executions from outside."""

from collections.abc import Sequence

from durable_core.storage import Cancelled
from durable_core.storage.kit import cancel_one

from .session import Session
from .working import Work


async def cancel_all(
    session: Session, ids: Sequence[str], request: str, now: int
) -> list[Cancelled]:
    """Carry out a request to cancel, as `Storage.cancel` says."""
    async with session.transaction():
        work = await Work.lock(session, set(ids), now)
        answers = [cancel_one(work, id_, request) for id_ in ids]
        await work.write(session)
    return answers
