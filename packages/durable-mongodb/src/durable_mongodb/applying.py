"""Transitions of held executions: one command for those that touch no other document."""

from collections.abc import Sequence

from pymongo import UpdateOne

from durable_core.storage import (
    Applied,
    ApplyOutcome,
    Finish,
    Keep,
    Release,
    Settle,
    Transition,
)

from .commands import change, guard
from .session import Session
from .settings import EXECUTIONS
from .transitions import apply_families


async def apply_all(session: Session, items: Sequence[Transition], now: int) -> list[Applied]:
    """Carry out transitions, as `Storage.apply` says.

    One command for what stands alone; a transaction for what has a parent to count it, children or
    checkpoints, and for what was refused, which is looked at there.
    """
    answers: dict[int, Applied] = {}
    alone = [place for place, item in enumerate(items) if not _touches_others(item)]
    if alone:
        applied = await _apply_alone(session, [items[place] for place in alone], now)
        answers |= {
            place: done for place, done in zip(alone, applied, strict=True) if done is not None
        }
    left = [place for place in range(len(items)) if place not in answers]
    if left:
        some = await apply_families(session, [items[place] for place in left], now)
        answers |= dict(zip(left, some, strict=True))
    return [answers[place] for place in range(len(items))]


async def _apply_alone(
    session: Session, items: Sequence[Transition], now: int
) -> list[Applied | None]:
    """Carry out transitions by a command; None stands for those that were not carried out."""
    mark = session.line.stamp()
    updates = [UpdateOne(guard(item), change(item, now, mark)) for item in items]
    met = await session.update_each(EXECUTIONS, updates)
    if met == len(items):
        return [_applied(item, now) for item in items]
    where = {"_id": {"$in": [item.id for item in items]}, "stamp": mark}
    done = {doc["_id"] for doc in await session.find(EXECUTIONS, where, fields={"_id": 1})}
    return [_applied(item, now) if item.id in done else None for item in items]


def _applied(item: Transition, now: int) -> Applied:
    due = item.due if isinstance(item, Release) else None
    woken = [item.id] if due is not None and due <= now else []
    return Applied(outcome=ApplyOutcome.APPLIED, woken=woken)


def _touches_others(item: Transition) -> bool:
    """Whether a transition may write more than its own row."""
    if isinstance(item, Settle):
        return False
    if item.checkpoints or (isinstance(item, Keep | Release) and item.children):
        return True
    return isinstance(item, Finish) and item.parent_id is not None
