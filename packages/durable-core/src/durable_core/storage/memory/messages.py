"""Waking sleepers, and the mailbox of those who do not sleep yet."""

from ..kit import Mailbox, Message
from ..records import FINISHED, Phase, Record
from ..requests import Wake, WakeOutcome, Woken
from .tables import Tables


def wake_item(tables: Tables, item: Wake, now: int) -> Woken:
    """Carry out one wake-up, as `Storage.wake` says."""
    sleeper = _sleeper(tables, item)
    wake_key = item.wake_key
    if item.id is not None:
        if sleeper is None or sleeper.wake_key is None:
            return Woken(outcome=WakeOutcome.NOBODY)
        wake_key = sleeper.wake_key
    assert wake_key is not None  # noqa: S101 - an item names a key or an id
    box = tables.mailboxes.setdefault((item.task, wake_key), Mailbox())
    if box.request == item.request and box.answer is not None:
        return box.answer
    answer = _decide(tables, item, sleeper, box, now)
    box.request, box.answer = item.request, answer
    return answer


def _sleeper(tables: Tables, item: Wake) -> Record | None:
    if item.id is not None:
        row = tables.rows.get(item.id)
        return row if row is not None and row.task == item.task else None
    id_ = tables.sleepers.get((item.task, item.wake_key or ""))
    return None if id_ is None else tables.rows[id_]


def _decide(tables: Tables, item: Wake, sleeper: Record | None, box: Mailbox, now: int) -> Woken:
    if sleeper is not None and sleeper.phase not in FINISHED:
        if sleeper.owner is not None:
            return Woken(outcome=WakeOutcome.LATE, id=sleeper.id)
        values = {"output" if item.phase is Phase.COMPLETED else "error": item.payload}
        woken = tables.finish(sleeper, item.phase, item.request, now, **values)
        return Woken(outcome=WakeOutcome.WOKEN, id=sleeper.id, woken=woken)
    if item.id is None and box.message is not None and box.message.until > now:
        return Woken(outcome=WakeOutcome.ALREADY_KEPT, first=box.message.request)
    if item.id is None and item.keep_until is not None and item.keep_until > now:
        box.message = Message(
            phase=item.phase,
            payload=item.payload,
            until=item.keep_until,
            request=item.request,
        )
        return Woken(outcome=WakeOutcome.KEPT)
    latest = tables.rows.get(item.id or box.execution_id or "")
    return Woken(
        outcome=WakeOutcome.NOBODY,
        id=None if latest is None else latest.id,
        first=None if latest is None else latest.ended_by,
    )
