"""The mailboxes of sleepers, as they are stored."""

from collections.abc import Iterable
from typing import Any

from pymongo import UpdateOne

from durable_core.storage import Phase, WakeOutcome, Woken
from durable_core.storage.kit import Mailbox, Mailboxes, Message

from .records import Doc
from .session import Session
from .settings import MAILBOXES


def box_id(task: str, wake_key: str) -> str:
    """Return the id of a mailbox."""
    return f"{task}\0{wake_key}"


class Boxes(Mailboxes):
    """The mailboxes that a transaction has read.

    Whoever makes or wakes a sleeper writes its mailbox in the same transaction. So of a wake-up
    and a sleeper that would miss each other, one is undone and sees the other the next time.
    """

    @classmethod
    async def read(cls, session: Session, keys: Iterable[tuple[str, str]]) -> "Boxes":
        """Read mailboxes; one that is not there is made when it is written."""
        wanted = list(dict.fromkeys(keys))
        if not wanted:
            return cls({})
        docs = await session.find(MAILBOXES, {"_id": {"$in": [box_id(*key) for key in wanted]}})
        there = {doc["_id"]: doc for doc in docs}
        return cls({key: _mailbox(there.get(box_id(*key), {})) for key in wanted})

    async def write(self, session: Session) -> None:
        """Store what was changed."""
        updates = [
            UpdateOne({"_id": box_id(*key)}, {"$set": _stored(box)}, upsert=True)
            for key, box in self.take_changed().items()
        ]
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
