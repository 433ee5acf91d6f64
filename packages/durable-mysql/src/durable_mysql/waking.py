"""Waking sleepers from outside."""

from collections.abc import Sequence

from durable_core.storage import Wake, Woken
from durable_core.storage.kit import Waking

from .literals import name, texts
from .mailboxes import Boxes
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
        latest = [boxes.get(*key).execution_id for key in known]
        named = [item.id for item in items if item.id is not None]
        ids = {*asleep, *named, *(id_ for id_ in latest if id_ is not None)}
        if ids:
            await parents_of(session, ids, parents)
        work = await Work.lock(session, ids, parents, now)
        waking = Waking(work, boxes)
        answers = [waking.wake(item, key) for item, key in zip(items, keys, strict=True)]
        boxes.write(session)
        work.write(session)
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
