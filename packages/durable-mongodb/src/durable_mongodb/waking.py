"""Waking sleepers from outside."""

from collections.abc import Sequence

from durable_core.storage import Head, Phase, Wake, WakeOutcome, Woken

from .mailboxes import Boxes, Mailbox, Message
from .parts import in_transactions
from .session import Session
from .settings import EXECUTIONS
from .working import Work


async def wake_all(session: Session, items: Sequence[Wake], now: int) -> list[Woken]:
    """Carry out wake-ups, as `Storage.wake` says."""

    async def work(some: Sequence[Wake]) -> list[Woken]:
        keys = await _keys(session, some)
        known = [(item.task, key) for item, key in zip(some, keys, strict=True) if key is not None]
        boxes = await Boxes.read(session, known)
        latest = [boxes.latest(*key) for key in known]
        named = [item.id for item in some if item.id is not None]
        ids = {*named, *(id_ for id_ in latest if id_ is not None)}
        rows = await Work.read(session, ids, now, keys=dict.fromkeys(known))
        waking = _Waking(boxes, rows, now)
        answers = [waking.wake(item, key) for item, key in zip(some, keys, strict=True)]
        await boxes.write(session)
        await rows.write()
        return answers

    return await in_transactions(session, items, work, lambda item: len(item.payload or b""))


async def _keys(session: Session, items: Sequence[Wake]) -> list[str | None]:
    """Return each item's wake key, None if it names no sleeper."""
    named = {item.id for item in items if item.id is not None}
    found: dict[tuple[str, str], str | None] = {}
    # What cannot be an id is not stored.
    wanted = [id_ for id_ in named if id_.isascii()]
    if wanted:
        fields = {"task": 1, "wake_key": 1}
        for doc in await session.find(EXECUTIONS, {"_id": {"$in": wanted}}, fields=fields):
            found[doc["_id"], doc["task"]] = doc.get("wake_key")
    return [item.wake_key if item.id is None else found.get((item.id, item.task)) for item in items]


class _Waking:
    """One call's wake-ups, in order."""

    def __init__(self, boxes: Boxes, work: Work, now: int) -> None:
        self._boxes = boxes
        self._work = work
        self._now = now

    def wake(self, item: Wake, wake_key: str | None) -> Woken:
        """Carry out one."""
        if wake_key is None:
            return Woken(outcome=WakeOutcome.NOBODY)
        sleeper = (
            self._work.get(item.id)
            if item.id is not None
            else self._work.asleep(item.task, wake_key)
        )
        box = self._boxes.get(item.task, wake_key)
        if box.request == item.request and box.answer is not None:
            return box.answer
        box = self._boxes.change(item.task, wake_key)
        answer = self._decide(item, sleeper, box)
        box.request, box.answer = item.request, answer
        return answer

    def _decide(self, item: Wake, sleeper: Head | None, box: Mailbox) -> Woken:
        if sleeper is not None and not sleeper.finished:
            if sleeper.owner is not None:
                return Woken(outcome=WakeOutcome.LATE, id=sleeper.id)
            values = {"output" if item.phase is Phase.COMPLETED else "error": item.payload}
            _, woken = self._work.finish(sleeper, item.phase, item.request, values)
            return Woken(outcome=WakeOutcome.WOKEN, id=sleeper.id, woken=woken)
        if item.id is None and box.message is not None and box.message.until > self._now:
            return Woken(outcome=WakeOutcome.ALREADY_KEPT, first=box.message.request)
        if item.id is None and item.keep_until is not None and item.keep_until > self._now:
            box.message = Message(
                phase=item.phase, payload=item.payload, request=item.request, until=item.keep_until
            )
            return Woken(outcome=WakeOutcome.KEPT)
        latest = self._work.get(item.id or box.execution_id)
        return Woken(
            outcome=WakeOutcome.NOBODY,
            id=None if latest is None else latest.id,
            first=None if latest is None else latest.ended_by,
        )
