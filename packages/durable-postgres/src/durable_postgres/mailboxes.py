"""The mailboxes of sleepers, as they are stored."""

from collections.abc import Iterable
from typing import Any

from durable_core.storage import Phase, WakeOutcome, Woken
from durable_core.storage.kit import Mailbox, Mailboxes, Message, key_bytes

from .records import Row, by_column
from .session import Session
from .statements import MAILBOXES, PUT_MAILBOXES


class Boxes(Mailboxes):
    """The mailboxes that a transaction has locked.

    Whoever makes, wakes or deletes a sleeper locks its mailbox first, before any execution, in the
    order of their keys: nobody waits in a circle.
    """

    @classmethod
    async def lock(cls, session: Session, keys: Iterable[tuple[str, str]]) -> "Boxes":
        """Lock mailboxes in the session's transaction; they are made if they are not there."""
        ordered = sorted(set(keys), key=key_bytes)
        if not ordered:
            return cls({})
        tasks, wake_keys = zip(*ordered, strict=True)
        rows = await session.write(MAILBOXES, list(tasks), list(wake_keys))
        return cls({(row[0], row[1]): _mailbox(row) for row in rows})

    async def write(self, session: Session) -> None:
        """Store what was changed."""
        boxes = self.take_changed()
        if boxes:
            rows = (_stored(key, box) for key, box in boxes.items())
            await session.write(PUT_MAILBOXES, *by_column(rows))


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
