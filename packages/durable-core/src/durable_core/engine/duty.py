"""What a finished row with unfinished children still owes: telling them."""

from collections.abc import Callable, Sequence
from functools import partial

from ..storage import UNFINISHED_STATUSES, CancelOutcome, Head, Query, Settle
from .run import Run

_PAGE = 500


async def tell_descendants(run: Run, interrupt: Callable[[Sequence[Head]], None]) -> Settle:
    """Cancel the unfinished children, page by page; theirs follow by their own duty.

    Args:
        run: The finished row that is held.
        interrupt: Called with children that are running, so that those here stop at once.
    """
    writer = run.services.writer
    query = Query(parent_id=run.record.id, statuses=UNFINISHED_STATUSES)
    cursor: str | None = None
    while True:
        page = await writer.patiently(
            partial(writer.storage.find, query=query, limit=_PAGE, cursor=cursor)
        )
        ids = [head.id for head in page.items if not head.cancel_requested]
        if ids:
            answers = await writer.cancel(ids)
            interrupt(
                [
                    answer.head
                    for answer in answers
                    if answer.outcome is CancelOutcome.MARKED and answer.head is not None
                ]
            )
        cursor = page.cursor
        if cursor is None:
            break
    record = run.record
    return Settle(id=record.id, token=run.held.token, parent_id=record.parent_id)
