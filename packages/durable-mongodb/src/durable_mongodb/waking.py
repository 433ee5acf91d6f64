"""Waking sleepers from outside."""

from collections.abc import Sequence

from durable_core.storage import Wake, Woken
from durable_core.storage.kit import Waking

from .mailboxes import Boxes
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
        latest = [boxes.get(*key).execution_id for key in known]
        named = [item.id for item in some if item.id is not None]
        ids = {*named, *(id_ for id_ in latest if id_ is not None)}
        rows = await Work.read(session, ids, now, keys=dict.fromkeys(known))
        waking = Waking(rows, boxes)
        answers = [waking.wake(item, key) for item, key in zip(some, keys, strict=True)]
        await boxes.write(session)
        await rows.write(session)
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
