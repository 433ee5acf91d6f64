"""Waking sleepers from outside."""

from collections.abc import Sequence

from durable_core.storage import Head, Phase, Wake, WakeOutcome, Woken

from .literals import name, texts
from .mailboxes import Boxes, Mailbox, Message
from .session import Session
from .statements import ASLEEP, ONE_ASLEEP, WAKE_KEYS
from .working import Work, parents_of


async def wake_all(
    session: Session, items: Sequence[Wake], parents: set[str], now: int
) -> list[Woken]:
    """Carry out wake-ups, as `Storage.wake` says; for `parents` see `Work.lock`."""
    async with session.transaction():
        keys = await _keys(session, items)
        known = [(item.task, key) for item, key in zip(items, keys, strict=True) if key is not None]
        boxes = await Boxes.lock(session, known)
        # Only now: a sleeper that was on its way is here, or will find the message.
        asleep = await _asleep(session, known)
        latest = [boxes.latest(*key) for key in known]
        named = [item.id for item in items if item.id is not None]
        ids = {*asleep, *named, *(id_ for id_ in latest if id_ is not None)}
        if ids:
            await parents_of(session, ids, parents)
        work = await Work.lock(session, ids, parents, now)
        waking = _Waking(boxes, work, now)
        answers = [waking.wake(item, key) for item, key in zip(items, keys, strict=True)]
        boxes.write(session)
        work.write()
    return answers


async def _keys(session: Session, items: Sequence[Wake]) -> list[str | None]:
    """Return each item's wake key, None if it names no sleeper."""
    by_id = {item.id for item in items if item.id is not None}
    found: dict[str, tuple[str, bytes | None]] = {}
    # What cannot be an id is not stored, and cannot be written as one.
    wanted = [id_ for id_ in by_id if id_.isascii()]
    if wanted:
        rows = await session.rows(session.fill(WAKE_KEYS, texts(wanted)))
        found = {row[0]: (row[1].decode(), row[2]) for row in rows}
    keys: list[str | None] = []
    for item in items:
        task, key = found.get(item.id or "", ("", None))
        there = key.decode() if key is not None and task == item.task else None
        keys.append(item.wake_key if item.id is None else there)
    return keys


async def _asleep(session: Session, keys: Sequence[tuple[str, str]]) -> list[str]:
    if not keys:
        return []
    any_of = " OR ".join(ONE_ASLEEP % (name(task), name(key)) for task, key in dict.fromkeys(keys))
    return [row[0] for row in await session.rows(session.fill(ASLEEP, any_of))]


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
