"""What is known of one (task, wake key): its latest sleeper, request and kept message."""

import json
from dataclasses import dataclass, replace
from typing import Any

from durable_core.storage import Phase, Record, WakeOutcome, Woken

from .statements import BORN_FINISHED, MAILBOX, PUT_MAILBOX
from .writing import Writing


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A wake-up kept for the next sleeper of a key."""

    phase: Phase
    payload: bytes | None
    request: str
    until: int


@dataclass(slots=True, kw_only=True)
class Mailbox:
    """A row of the mailboxes.

    Attributes:
        execution_id: The latest sleeper.
        request: The last request, and what it was answered.
        answer: See `request`.
        message: What waits for the next sleeper.
    """

    execution_id: str | None = None
    request: str | None = None
    answer: Woken | None = None
    message: Message | None = None


def read_mailbox(writing: Writing, task: str, wake_key: str) -> Mailbox:
    """Return a mailbox, an empty one if there is none."""
    row = writing.row(MAILBOX, (task, wake_key))
    if row is None:
        return Mailbox()
    execution_id, request, outcome, id_, first, woken, phase, payload, sender, until = row
    return Mailbox(
        execution_id=execution_id,
        request=request,
        answer=None
        if outcome is None
        else Woken(
            outcome=WakeOutcome(outcome),
            id=id_,
            first=first,
            woken=() if woken is None else json.loads(woken),
        ),
        message=None
        if until is None
        else Message(phase=Phase(phase), payload=payload, request=sender, until=until),
    )


def write_mailbox(writing: Writing, task: str, wake_key: str, box: Mailbox) -> None:
    """Store a mailbox."""
    answer, message = box.answer, box.message
    kept: tuple[Any, ...] = (None, None, None, None)
    if message is not None:
        kept = (message.phase.value, message.payload, message.request, message.until)
    told: tuple[Any, ...] = (None, None, None, None)
    if answer is not None:
        woken = json.dumps(list(answer.woken)) if answer.woken else None
        told = (answer.outcome.value, answer.id, answer.first, woken)
    writing.run(PUT_MAILBOX, (task, wake_key, box.execution_id, box.request, *told, *kept))


def deliver_message(writing: Writing, sleeper: Record, now: int) -> Record:
    """Take note of a new sleeper, and end it with the message that waits for it, if it is fresh.

    Returns:
        The sleeper as it is stored.
    """
    key = sleeper.wake_key or ""
    box = read_mailbox(writing, sleeper.task, key)
    message, box.message, box.execution_id = box.message, None, sleeper.id
    write_mailbox(writing, sleeper.task, key, box)
    if message is None or message.until <= now:
        return sleeper
    completed = message.phase is Phase.COMPLETED
    output, error = (message.payload, None) if completed else (None, message.payload)
    writing.run(
        BORN_FINISHED,
        (message.phase.value, message.request, now, output, error, sleeper.id),
    )
    return replace(
        sleeper,
        phase=message.phase,
        due=None,
        ended_by=message.request,
        finished_at=now,
        output=output,
        error=error,
    )
