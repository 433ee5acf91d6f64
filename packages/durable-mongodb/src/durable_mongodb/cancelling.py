"""Ending or marking executions from outside."""

from collections.abc import Sequence

from durable_core.storage import Cancelled, CancelOutcome, OnCancel, Phase

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
        answers = [_cancel_one(rows, id_, request) for id_ in some]
        await rows.write()
        return answers

    return await in_transactions(session, ids, work, lambda _: 0)


def _cancel_one(rows: Work, id: str, request: str) -> Cancelled:  # noqa: A002
    row = rows.get(id)
    if row is None:
        return Cancelled(outcome=CancelOutcome.MISSING)
    if row.finished:
        mine = row.ended_by == request
        outcome = CancelOutcome.ENDED if mine else CancelOutcome.FINISHED
        return Cancelled(outcome=outcome, head=row)
    if row.owner is None and row.on_cancel is OnCancel.END:
        after, woken = rows.finish(row, Phase.CANCELLED, request, {})
        return Cancelled(outcome=CancelOutcome.ENDED, head=after, woken=woken)
    due = 0 if row.owner is None else row.due
    marked = rows.change(row, {"cancel_requested": True, "due": due})
    return Cancelled(outcome=CancelOutcome.MARKED, head=marked)
