"""Ending or marking one execution from outside."""

from ..quick import changed
from ..records import FINISHED, OnCancel, Phase
from ..requests import Cancelled, CancelOutcome
from .rows import head_of
from .tables import Tables


def cancel_one(tables: Tables, id: str, request: str, now: int) -> Cancelled:  # noqa: A002
    """Carry out one request to cancel, as `Storage.cancel` says."""
    row = tables.rows.get(id)
    if row is None:
        return Cancelled(outcome=CancelOutcome.MISSING)
    if row.phase in FINISHED:
        mine = row.ended_by == request
        outcome = CancelOutcome.ENDED if mine else CancelOutcome.FINISHED
        return Cancelled(outcome=outcome, head=head_of(row))
    if row.owner is None and row.on_cancel is OnCancel.END:
        woken = tables.finish(row, Phase.CANCELLED, request, now)
        head = head_of(tables.rows[id])
        return Cancelled(outcome=CancelOutcome.ENDED, head=head, woken=woken)
    marked = changed(row, cancel_requested=True, due=0 if row.owner is None else row.due)
    tables.put(marked)
    return Cancelled(outcome=CancelOutcome.MARKED, head=head_of(marked))
