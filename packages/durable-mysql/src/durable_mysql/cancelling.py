"""Ending or marking executions from outside."""

from collections.abc import Sequence

from durable_core.storage import Cancelled, CancelOutcome, OnCancel, Phase

from .session import Session
from .working import Work, parents_of


async def cancel_all(
    session: Session, ids: Sequence[str], request: str, parents: set[str], now: int
) -> list[Cancelled]:
    """Carry out a request to cancel, as `Storage.cancel` says; for `parents` see `Work.lock`."""
    async with session.transaction():
        await parents_of(session, ids, parents)
        work = await Work.lock(session, set(ids), parents, now)
        answers = [_cancel_one(work, id_, request) for id_ in ids]
        work.write()
    return answers


def _cancel_one(work: Work, id: str, request: str) -> Cancelled:  # noqa: A002
    row = work.get(id)
    if row is None:
        return Cancelled(outcome=CancelOutcome.MISSING)
    if row.finished:
        mine = row.ended_by == request
        outcome = CancelOutcome.ENDED if mine else CancelOutcome.FINISHED
        return Cancelled(outcome=outcome, head=row)
    if row.owner is None and row.on_cancel is OnCancel.END:
        after, woken = work.finish(row, Phase.CANCELLED, request, {})
        return Cancelled(outcome=CancelOutcome.ENDED, head=after, woken=woken)
    due = 0 if row.owner is None else row.due
    marked = work.change(row, {"cancel_requested": True, "due": due})
    return Cancelled(outcome=CancelOutcome.MARKED, head=marked)
