"""What is known of one (task, wake key): its latest sleeper, request and kept message."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pymongo import UpdateOne

from durable_core.storage import Phase, Record, WakeOutcome, Woken
from durable_core.storage.kit import changed

from .records import Doc
from .session import Session
from .settings import MAILBOXES


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A wake-up kept for the next sleeper of a key."""

    phase: Phase
    payload: bytes | None
    request: str
    until: int


@dataclass(slots=True, kw_only=True)
class Mailbox:
    """A document of the mailboxes.

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


def box_id(task: str, wake_key: str) -> str:
    """Return the id of a mailbox."""
    return f"{task}\0{wake_key}"


class Boxes:
    """The mailboxes that a transaction has read.

    Whoever makes or wakes a sleeper writes its mailbox in the same transaction. So of a wake-up
    and a sleeper that would miss each other, one is undone and sees the other the next time.
    """

    def __init__(self, boxes: dict[tuple[str, str], Mailbox]) -> None:
        self._boxes = boxes
        self._changed: set[tuple[str, str]] = set()

    @classmethod
    async def read(cls, session: Session, keys: Iterable[tuple[str, str]]) -> "Boxes":
        """Read mailboxes; one that is not there is made when it is written."""
        wanted = list(dict.fromkeys(keys))
        if not wanted:
            return cls({})
        docs = await session.find(MAILBOXES, {"_id": {"$in": [box_id(*key) for key in wanted]}})
        there = {doc["_id"]: doc for doc in docs}
        return cls({key: _mailbox(there.get(box_id(*key), {})) for key in wanted})

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
        return changed(
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
        updates = [
            UpdateOne({"_id": box_id(*key)}, {"$set": _stored(self._boxes[key])}, upsert=True)
            for key in sorted(self._changed)
        ]
        self._changed.clear()
        await session.update_each(MAILBOXES, updates)


def _mailbox(doc: Doc) -> Mailbox:
    answer, message = doc.get("answer"), doc.get("message")
    return Mailbox(
        execution_id=doc.get("execution_id"),
        request=doc.get("request"),
        answer=None
        if answer is None
        else Woken(
            outcome=WakeOutcome(answer["outcome"]),
            id=answer["id"],
            first=answer["first"],
            woken=tuple(answer["woken"]),
        ),
        message=None
        if message is None
        else Message(
            phase=Phase(message["phase"]),
            payload=message["payload"],
            request=message["request"],
            until=int(message["until"]),
        ),
    )


def _stored(box: Mailbox) -> Doc:
    answer, message = box.answer, box.message
    over_at: int | None = 0 if box.execution_id is None else None
    kept: dict[str, Any] | None = None
    if message is not None:
        over_at = message.until
        kept = {
            "phase": message.phase.value,
            "payload": message.payload,
            "request": message.request,
            "until": message.until,
        }
    told: dict[str, Any] | None = None
    if answer is not None:
        told = {
            "outcome": answer.outcome.value,
            "id": answer.id,
            "first": answer.first,
            "woken": list(answer.woken),
        }
    return {
        "execution_id": box.execution_id,
        "request": box.request,
        "answer": told,
        "message": kept,
        # From when on a purge may forget the message; 0 without any, if nobody sleeps either.
        "over_at": over_at,
    }
