"""The mailboxes of sleepers, as they are stored."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from durable_core.storage import Phase, Record, WakeOutcome, Woken
from durable_core.storage.kit import Mailbox, Message

from .records import Row
from .session import Plan
from .statements import BORN_FINISHED, MAILBOX, PUT_MAILBOX
from .writing import Writing


def read_mailbox(writing: Writing, task: str, wake_key: str) -> Mailbox:
    """Return a mailbox, an empty one if there is none."""
    return _mailbox(writing.rows(MAILBOX, (task, wake_key)))


def write_mailbox(writing: Writing, task: str, wake_key: str, box: Mailbox) -> None:
    """Store a mailbox."""
    writing.run(PUT_MAILBOX, (task, wake_key, *_parameters(box)))


def delivery(sleeper: Record, now: int) -> Plan[Record]:
    """Take note of a new sleeper, and end it with the message that waits for it, if it is fresh.

    Returns:
        The sleeper as it is stored.
    """
    key = (sleeper.task, sleeper.wake_key or "")
    box = _mailbox((yield MAILBOX, key))
    message, box.message, box.execution_id = box.message, None, sleeper.id
    yield PUT_MAILBOX, (*key, *_parameters(box))
    if message is None or message.until <= now:
        return sleeper
    completed = message.phase is Phase.COMPLETED
    output, error = (message.payload, None) if completed else (None, message.payload)
    ending = (message.phase.value, message.request, now, output, error, sleeper.id)
    yield BORN_FINISHED, ending
    return replace(
        sleeper,
        phase=message.phase,
        due=None,
        ended_by=message.request,
        finished_at=now,
        output=output,
        error=error,
    )


def _mailbox(found: Sequence[Row]) -> Mailbox:
    if not found:
        return Mailbox()
    execution_id, request, outcome, id_, first, woken, phase, payload, sender, until = found[0]
    answer = message = None
    if outcome is not None:
        others = () if woken is None else json.loads(woken)
        answer = Woken(outcome=WakeOutcome(outcome), id=id_, first=first, woken=others)
    if until is not None:
        message = Message(phase=Phase(phase), payload=payload, request=sender, until=until)
    return Mailbox(execution_id=execution_id, request=request, answer=answer, message=message)


def _parameters(box: Mailbox) -> tuple[Any, ...]:
    answer, message = box.answer, box.message
    kept: tuple[Any, ...] = (None, None, None, None)
    if message is not None:
        kept = (message.phase.value, message.payload, message.request, message.until)
    told: tuple[Any, ...] = (None, None, None, None)
    if answer is not None:
        woken = json.dumps(list(answer.woken)) if answer.woken else None
        told = (answer.outcome.value, answer.id, answer.first, woken)
    return (box.execution_id, box.request, *told, *kept)
