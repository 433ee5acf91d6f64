"""Waking sleepers from outside."""

from collections.abc import Sequence

from durable_core.storage import Wake, Woken
from durable_core.storage.kit import Waking

from .mailboxes import Boxes
from .session import Session
from .statements import SLEEPERS, WAKE_KEYS
from .working import Work


async def wake_all(session: Session, items: Sequence[Wake], now: int) -> list[Woken]:
    """Carry out wake-ups, as `Storage.wake` says."""
    async with session.transaction():
        keys = await _keys(session, items)
        known = [(item.task, key) for item, key in zip(items, keys, strict=True) if key is not None]
        boxes = await Boxes.lock(session, known)
        # Only now: a sleeper that was on its way is here, or will find the message.
        asleep = await _asleep(session, known)
        latest = [boxes.get(*key).execution_id for key in known]
        named = [item.id for item in items if item.id is not None]
        ids = {*asleep, *named, *(id_ for id_ in latest if id_ is not None)}
        work = await Work.lock(session, ids, now)
        waking = Waking(work, boxes)
        answers = [waking.wake(item, key) for item, key in zip(items, keys, strict=True)]
        await boxes.write(session)
        await work.write(session)
    return answers


async def _keys(session: Session, items: Sequence[Wake]) -> list[str | None]:
    """Return each item's wake key, None if it names no sleeper."""
    by_id = [(item.id, item.task) for item in items if item.id is not None]
    found: dict[str, str | None] = {}
    if by_id:
        ids, tasks = zip(*by_id, strict=True)
        found = {row[0]: row[1] for row in await session.rows(WAKE_KEYS, list(ids), list(tasks))}
    return [item.wake_key if item.id is None else found.get(item.id) for item in items]


async def _asleep(session: Session, keys: Sequence[tuple[str, str]]) -> list[str]:
    if not keys:
        return []
    tasks, wake_keys = zip(*dict.fromkeys(keys), strict=True)
    return [row[0] for row in await session.rows(SLEEPERS, list(tasks), list(wake_keys))]
