"""What is known of one (task, wake key): its latest sleeper, request and kept message."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from durable_core.storage import Phase, Record, WakeOutcome, Woken

from .records import Row, by_column
from .session import Session
from .statements import MAILBOXES, PUT_MAILBOXES


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


class Boxes:
    """The mailboxes that a transaction has locked.

    Whoever makes, wakes or deletes a sleeper locks its mailbox first, before any execution, in the
    order of their keys: a wake-up and a sleeper cannot miss each other, and nobody waits in a
    circle.
    """

    def __init__(self, boxes: dict[tuple[str, str], Mailbox]) -> None:
        self._boxes = boxes
        self._changed: set[tuple[str, str]] = set()

    @classmethod
    async def lock(cls, session: Session, keys: Iterable[tuple[str, str]]) -> "Boxes":
        """Lock mailboxes in the session's transaction; they are made if they are not there."""
        ordered = sorted(set(keys), key=_bytes)
        if not ordered:
            return cls({})
        tasks, wake_keys = zip(*ordered, strict=True)
        rows = await session.write(MAILBOXES, list(tasks), list(wake_keys))
        return cls({(row[0], row[1]): _mailbox(row) for row in rows})

    def get(self, task: str, wake_key: str) -> Mailbox:
        """Return a mailbox, to look at."""
        return self._boxes[task, wake_key]

    def latest(self, task: str, wake_key: str) -> str | None:
        """Return the latest sleeper of a key."""
        return self._boxes[task, wake_key].execution_id

    def change(self, task: str, wake_key: str) -> Mailbox:
        """Return a mailbox that is going to be changed."""
        key = (task, wake_key)
        self._changed.add(key)
        return self._boxes[key]

    def delivered(self, sleeper: Record, now: int) -> Record:
        """Return a new sleeper, ended by the message that waits for it if that is fresh."""
        message = self._boxes[sleeper.task, sleeper.wake_key or ""].message
        if message is None or message.until <= now:
            return sleeper
        completed = message.phase is Phase.COMPLETED
        return replace(
            sleeper,
            phase=message.phase,
            due=None,
            ended_by=message.request,
            finished_at=now,
            output=message.payload if completed else None,
            error=None if completed else message.payload,
        )

    def arrived(self, sleeper: Record) -> None:
        """Take note of a new sleeper, who has used up what was kept."""
        box = self.change(sleeper.task, sleeper.wake_key or "")
        box.message, box.execution_id = None, sleeper.id

    async def write(self, session: Session) -> None:
        """Store what was changed."""
        if not self._changed:
            return
        rows = [_stored(key, self._boxes[key]) for key in sorted(self._changed, key=_bytes)]
        self._changed.clear()
        await session.write(PUT_MAILBOXES, *by_column(rows))


def _bytes(key: tuple[str, str]) -> tuple[bytes, bytes]:
    return key[0].encode(), key[1].encode()


def _mailbox(row: Row) -> Mailbox:
    _, _, execution_id, request, outcome, id_, first, woken, phase, payload, sender, until = row
    return Mailbox(
        execution_id=execution_id,
        request=request,
        answer=None
        if outcome is None
        else Woken(
            outcome=WakeOutcome(outcome),
            id=id_,
            first=first,
            woken=() if woken is None else [woken],
        ),
        message=None
        if until is None
        else Message(phase=Phase(phase), payload=payload, request=sender, until=until),
    )


def _stored(key: tuple[str, str], box: Mailbox) -> tuple[Any, ...]:
    answer, message = box.answer, box.message
    told: tuple[Any, ...] = (None, None, None, None)
    if answer is not None:
        woken = answer.woken[0] if answer.woken else None
        told = (answer.outcome.value, answer.id, answer.first, woken)
    kept: tuple[Any, ...] = (None, None, None, None)
    if message is not None:
        kept = (message.phase.value, message.payload, message.request, message.until)
    return (*key, box.execution_id, box.request, *told, *kept)
