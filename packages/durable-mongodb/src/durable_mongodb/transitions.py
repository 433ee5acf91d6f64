"""Transitions in a transaction: read, decided one after the other, written back."""

from collections.abc import Collection, Sequence

from durable_core.storage import Applied, Finish, Keep, NewExecution, Release, Settle, Transition

from .checkpoints import Counting, Points
from .inserting import size_of
from .mailboxes import Boxes
from .parts import in_transactions
from .records import Doc, birth_doc
from .session import Session
from .settings import CHECKPOINTS, EXECUTIONS
from .working import Work


async def apply_families(session: Session, items: Sequence[Transition], now: int) -> list[Applied]:
    """Carry out transitions, as `Storage.apply` says, in transactions."""

    async def work(some: Sequence[Transition]) -> list[Applied]:
        return await _apply_together(session, some, now)

    return await in_transactions(session, items, work, _size_of)


def _size_of(item: Transition) -> int:
    """Return the payload bytes of a transition."""
    if isinstance(item, Settle):
        return 0
    size = sum(len(value) for value in item.checkpoints.values())
    for value in (item.state, item.output, item.error):
        if isinstance(value, bytes):
            size += len(value)
    if isinstance(item, Keep | Release):
        size += sum(size_of(child) for child in item.children)
    return size


async def _apply_together(session: Session, items: Sequence[Transition], now: int) -> list[Applied]:
    children = [
        child for item in items if isinstance(item, Keep | Release) for child in item.children
    ]
    keys = [(child.task, child.wake_key) for child in children if child.wake_key is not None]
    # What cannot be an id is no row's; the kit looks only at the ids of new rows.
    ids = {item.id for item in items if item.id.isascii()}
    parents = {
        item.parent_id
        for item in items
        if isinstance(item, Finish) and item.parent_id is not None and item.parent_id.isascii()
    }
    boxes = await Boxes.read(session, keys)
    rows = await Work.read(session, ids, now, parents=parents)
    there, sleepers = await _there(session, children, keys)
    points = await Points.look(session, items)
    applying = Counting(rows, boxes, there, sleepers, points)
    answers = [applying.apply(item) for item in items]
    mark = session.line.stamp()
    await session.insert(EXECUTIONS, [birth_doc(new, now, mark) for _, new in applying.births])
    await session.insert(CHECKPOINTS, points.docs)
    await boxes.write(session)
    await rows.write(session)
    return answers


async def _there(
    session: Session, children: Sequence[NewExecution], keys: Collection[tuple[str, str]]
) -> tuple[dict[str, str | None], set[tuple[str, str]]]:
    """Return which children exist, with their parents, and which of their wake keys are taken."""
    if not children:
        return {}, set()
    ids = {child.id for child in children}
    by_task: dict[str, set[str]] = {}
    for task, key in keys:
        by_task.setdefault(task, set()).add(key)
    any_of: list[Doc] = [{"_id": {"$in": sorted(ids)}}]
    any_of += [{"task": task, "asleep": {"$in": list(some)}} for task, some in by_task.items()]
    fields = {"parent_id": 1, "task": 1, "asleep": 1}
    docs = await session.find(EXECUTIONS, {"$or": any_of}, fields=fields)
    return (
        {doc["_id"]: doc.get("parent_id") for doc in docs if doc["_id"] in ids},
        {(doc["task"], doc["asleep"]) for doc in docs if doc.get("asleep") is not None},
    )
