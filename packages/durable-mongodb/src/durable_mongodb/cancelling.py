"""Ending or marking executions from outside."""

from collections.abc import Sequence

from durable_core.storage import Cancelled
from durable_core.storage.kit import cancel_one

from .parts import in_transactions
from .session import Session
from .working import Work


async def cancel_all(
    session: Session, ids: Sequence[str], request: str, now: int
) -> list[Cancelled]:
    """Carry out a request to cancel, as `Storage.cancel` says."""

    async def work(some: Sequence[str]) -> list[Cancelled]:
        # What cannot be an id is not stored, and may be no text that can be sent.
        rows = await Work.read(session, {id_ for id_ in some if id_.isascii()}, now)
        answers = [cancel_one(rows, id_, request) for id_ in some]
        await rows.write(session)
        return answers

    return await in_transactions(session, ids, work, lambda _: 0)
