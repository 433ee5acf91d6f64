"""Transitions in a transaction: read, decided one after the other, written back."""

from collections.abc import Collection, Sequence
from typing import Any

from durable_core.storage import (
    UNFINISHED,
    WAITING,
    Applied,
    ApplyOutcome,
    Finish,
    Head,
    Keep,
    NewExecution,
    Record,
    Release,
    Settle,
    Transition,
)
from durable_core.storage.kit import born, fresh_children, refusal, values_of

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
    there = await _There.look(session, children, keys)
    points = await _Points.look(session, items)
    applying = _Applying(rows, boxes, there, points, now)
    answers = [applying.apply(item) for item in items]
    mark = session.line.stamp()
    await session.insert(EXECUTIONS, [birth_doc(new, now, mark) for new in applying.born])
    await session.insert(CHECKPOINTS, points.docs)
    await boxes.write(session)
    await rows.write()
    return answers


class _There:
    """Which children exist, and under whose parent."""

    def __init__(self, parents: dict[str, str | None], sleepers: set[tuple[str, str]]) -> None:
        self.parents = parents
        self.sleepers = sleepers

    @classmethod
    async def look(
        cls,
        session: Session,
        children: Sequence[NewExecution],
        keys: Collection[tuple[str, str]],
    ) -> "_There":
        if not children:
            return cls({}, set())
        ids = {child.id for child in children}
        by_task: dict[str, set[str]] = {}
        for task, key in keys:
            by_task.setdefault(task, set()).add(key)
        any_of: list[Doc] = [{"_id": {"$in": sorted(ids)}}]
        any_of += [{"task": task, "asleep": {"$in": list(some)}} for task, some in by_task.items()]
        fields = {"parent_id": 1, "task": 1, "asleep": 1}
        docs = await session.find(EXECUTIONS, {"$or": any_of}, fields=fields)
        return cls(
            {doc["_id"]: doc.get("parent_id") for doc in docs if doc["_id"] in ids},
            {(doc["task"], doc["asleep"]) for doc in docs if doc.get("asleep") is not None},
        )


class _Points:
    """Checkpoints to write, and those that are there."""

    def __init__(self, there: set[str]) -> None:
        self.docs: list[Doc] = []
        self._there = there

    @classmethod
    async def look(cls, session: Session, items: Sequence[Transition]) -> "_Points":
        ids = [
            point_id(item.id, name)
            for item in items
            if not isinstance(item, Settle)
            for name in item.checkpoints
        ]
        if not ids:
            return cls(set())
        docs = await session.find(CHECKPOINTS, {"_id": {"$in": ids}}, fields={"_id": 1})
        return cls({doc["_id"] for doc in docs})

    def add(self, item: Keep | Release | Finish, points: int, now: int) -> int:
        """Take note of an item's checkpoints, those that are new; return how many there are."""
        for name, value in item.checkpoints.items():
            if point_id(item.id, name) not in self._there:
                points += 1
                self.docs.append(point_doc(item.id, name, value, now, points))
        return points


def point_id(execution_id: str, name: str) -> str:
    """Return the id of a checkpoint."""
    return f"{execution_id}\0{name}"


def point_doc(execution_id: str, name: str, value: bytes, now: int, place: int) -> Doc:
    """Return the document of a checkpoint."""
    return {
        "_id": point_id(execution_id, name),
        "execution_id": execution_id,
        "name": name,
        "value": value,
        "created_at": now,
        "place": place,
    }


class _Applying:
    """One call's transitions, in order."""

    def __init__(self, work: Work, boxes: Boxes, there: _There, points: _Points, now: int) -> None:
        self.born: list[Record] = []
        self.points = points
        self._work = work
        self._boxes = boxes
        self._there = there
        self._now = now

    def apply(self, item: Transition) -> Applied:
        """Carry out one: checks first, then effects, so that a refusal changes nothing."""
        row = self._work.get(item.id)
        if row is None:
            return Applied(outcome=ApplyOutcome.MISSING)
        refused = refusal(row, item)
        if refused is not None:
            return Applied(outcome=refused, head=row)
        if isinstance(item, Settle):
            self._work.change(row, {"owner": None, "due": item.due})
            return Applied(outcome=ApplyOutcome.APPLIED)
        if isinstance(item, Finish):
            values = {**values_of(item), **self._points_of(item)}
            _, woken = self._work.finish(row, item.phase, str(item.token), values)
            return Applied(outcome=ApplyOutcome.APPLIED, woken=woken)
        fresh = fresh_children(item, self._there.parents, self._there.sleepers)
        if isinstance(fresh, int):
            return Applied(outcome=ApplyOutcome.CHILD_CONFLICT, head=row, conflict=fresh)
        return self._keep_or_release(row, item, fresh)

    def _points_of(self, item: Keep | Release | Finish) -> Doc:
        if not item.checkpoints:
            return {}
        return {"points": self.points.add(item, self._work.points(item.id), self._now)}

    def _keep_or_release(
        self, row: Head, item: Keep | Release, fresh: Sequence[NewExecution]
    ) -> Applied:
        unfinished = 0
        held: list[str] = []
        for child in fresh:
            new = born(child, self._now)
            if new.wake_key is not None:
                new = self._boxes.delivered(new, self._now)
                self._boxes.arrived(new)
                if new.phase in UNFINISHED and child.wake_key is not None:
                    self._there.sleepers.add((new.task, child.wake_key))
            self._there.parents[new.id] = item.id
            self.born.append(new)
            unfinished += new.phase in UNFINISHED
            if new.owner is not None:
                held.append(new.id)
        values: dict[str, Any] = {
            **values_of(item),
            **self._points_of(item),
            "pending": row.pending + unfinished,
        }
        if isinstance(item, Keep):
            self._work.change(row, values)
            return Applied(outcome=ApplyOutcome.APPLIED, held=held)
        due = item.due
        join_at = values.get("join_at", row.join_at)
        if item.phase in WAITING and values["pending"] <= join_at:
            due = 0
        self._work.change(row, values | {"owner": None, "phase": item.phase, "due": due})
        woken = [item.id] if due is not None and due <= self._now else []
        return Applied(outcome=ApplyOutcome.APPLIED, woken=woken, held=held)
