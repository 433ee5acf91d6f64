"""Ending or marking executions from outside."""

from collections.abc import Sequence

from durable_core.storage import Cancelled, CancelOutcome, OnCancel, Phase

from .rows import change_row, finish_row, read_head
from .writing import Writing


def cancel_all(writing: Writing, ids: Sequence[str], request: str, now: int) -> list[Cancelled]:
    """Carry out a request to cancel, as `Storage.cancel` says."""
    return [_cancel_one(writing, id_, request, now) for id_ in ids]


def _cancel_one(writing: Writing, id: str, request: str, now: int) -> Cancelled:  # noqa: A002
    row = read_head(writing, id)
    if row is None:
        return Cancelled(outcome=CancelOutcome.MISSING)
    if row.finished:
        mine = row.ended_by == request
        outcome = CancelOutcome.ENDED if mine else CancelOutcome.FINISHED
        return Cancelled(outcome=outcome, head=row)
    if row.owner is None and row.on_cancel is OnCancel.END:
        after, woken = finish_row(writing, row, Phase.CANCELLED, request, now)
        return Cancelled(outcome=CancelOutcome.ENDED, head=after, woken=woken)
    due = 0 if row.owner is None else row.due
    marked = change_row(writing, row, now, {"cancel_requested": True, "due": due})
    return Cancelled(outcome=CancelOutcome.MARKED, head=marked)
