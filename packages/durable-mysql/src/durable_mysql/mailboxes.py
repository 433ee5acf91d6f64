"""The mailboxes of sleepers, as they are stored."""

from collections.abc import Iterable

from durable_core.storage import Phase, WakeOutcome, Woken
from durable_core.storage.kit import Mailbox, Mailboxes, Message, key_bytes

from .drivers import Row
from .literals import blob, name, number, text
from .session import Session
from .statements import (
    BOX,
    MAILBOXES,
    MAILBOXES_KEPT,
    MAKE_MAILBOXES,
    ONE_BOX,
    PUT_MAILBOXES,
)


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
        session.later_rows(
            session.texts[MAKE_MAILBOXES],
            (f"({name(task)}, {name(wake_key)})" for task, wake_key in ordered),
            MAILBOXES_KEPT,
        )
        rows = await session.rows(session.fill(MAILBOXES, any_box(ordered)))
        return cls({(row[0].decode(), row[1].decode()): _mailbox(row) for row in rows})

    def write(self, session: Session) -> None:
        """Write what was changed with the commit."""
        rows = [_stored(key, box) for key, box in self.take_changed().items()]
        if rows:
            end = session.server.flavor.upsert(BOX[2:])
            session.later_rows(session.texts[PUT_MAILBOXES], rows, end)


def any_box(keys: Iterable[tuple[str, str]]) -> str:
    """Return the condition that a mailbox is one of these."""
    return " OR ".join(ONE_BOX % (name(task), name(wake_key)) for task, wake_key in keys)


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


def _stored(key: tuple[str, str], box: Mailbox) -> str:
    answer, message = box.answer, box.message
    told = "NULL, NULL, NULL, NULL"
    if answer is not None:
        woken = answer.woken[0] if answer.woken else None
        told = f"'{answer.outcome.value}', {text(answer.id)}, {text(answer.first)}, {text(woken)}"
    kept = "NULL, NULL, NULL, NULL"
    if message is not None:
        kept = (
            f"'{message.phase.value}', {blob(message.payload)}, {text(message.request)}, "
            f"{number(message.until)}"
        )
    return (
        f"({name(key[0])}, {name(key[1])}, {text(box.execution_id)}, {text(box.request)}, "
        f"{told}, {kept})"
    )
