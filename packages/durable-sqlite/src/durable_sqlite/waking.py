"""Waking sleepers from outside."""

from collections.abc import Sequence

from durable_core.storage import Head, Phase, Wake, WakeOutcome, Woken
from durable_core.storage.kit import Mailbox, Message

from .mailboxes import read_mailbox, write_mailbox
from .records import head
from .rows import finish_row, read_head
from .statements import SLEEPER
from .writing import Writing


def wake_all(writing: Writing, items: Sequence[Wake], now: int) -> list[Woken]:
    """Carry out wake-ups, as `Storage.wake` says."""
    return [_wake_one(writing, item, now) for item in items]


def _wake_one(writing: Writing, item: Wake, now: int) -> Woken:
    sleeper = _sleeper(writing, item)
    wake_key = item.wake_key
    if wake_key is None:
        if sleeper is None or sleeper.wake_key is None:
            return Woken(outcome=WakeOutcome.NOBODY)
        wake_key = sleeper.wake_key
    box = read_mailbox(writing, item.task, wake_key)
    if box.request == item.request and box.answer is not None:
        return box.answer
    answer = _decide(writing, item, sleeper, box, now)
    box.request, box.answer = item.request, answer
    write_mailbox(writing, item.task, wake_key, box)
    return answer


def _sleeper(writing: Writing, item: Wake) -> Head | None:
    if item.id is not None:
        row = read_head(writing, item.id)
        return row if row is not None and row.task == item.task else None
    found = writing.row(SLEEPER, (item.task, item.wake_key))
    return None if found is None else head(found)


def _decide(writing: Writing, item: Wake, sleeper: Head | None, box: Mailbox, now: int) -> Woken:
    if sleeper is not None and not sleeper.finished:
        if sleeper.owner is not None:
            return Woken(outcome=WakeOutcome.LATE, id=sleeper.id)
        values = {"output" if item.phase is Phase.COMPLETED else "error": item.payload}
        _, woken = finish_row(writing, sleeper, item.phase, item.request, now, values=values)
        return Woken(outcome=WakeOutcome.WOKEN, id=sleeper.id, woken=woken)
    if item.id is None and box.message is not None and box.message.until > now:
        return Woken(outcome=WakeOutcome.ALREADY_KEPT, first=box.message.request)
    if item.id is None and item.keep_until is not None and item.keep_until > now:
        box.message = Message(
            phase=item.phase, payload=item.payload, request=item.request, until=item.keep_until
        )
        return Woken(outcome=WakeOutcome.KEPT)
    latest_id = item.id or box.execution_id
    latest = None if latest_id is None else read_head(writing, latest_id)
    return Woken(
        outcome=WakeOutcome.NOBODY,
        id=None if latest is None else latest.id,
        first=None if latest is None else latest.ended_by,
    )
