"""Transitions that insert children: locked, decided one after the other, written back."""

from collections.abc import Sequence
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
    Release,
    Settle,
    Transition,
)
from durable_core.storage.kit import born, fresh_children, refusal, values_of

from .errors import AgainError
from .inserting import add_rows, tell
from .mailboxes import Boxes
from .records import Row, birth_row, by_column
from .session import Session
from .statements import CHECKPOINT, OF_CHILDREN
from .working import Work


async def apply_families(session: Session, items: Sequence[Transition], now: int) -> list[Applied]:
    """Carry out transitions, as `Storage.apply` says, in one transaction."""
    children = [
        child for item in items if isinstance(item, Keep | Release) for child in item.children
    ]
    keys = [(child.task, child.wake_key) for child in children if child.wake_key is not None]
    async with session.transaction():
        boxes = await Boxes.lock(session, keys)
        work = await Work.lock(session, {item.id for item in items}, now)
        there = await _There.look(session, children, keys)
        applying = _Applying(work, boxes, there, now)
        answers = [applying.apply(item) for item in items]
        if len(await add_rows(session, applying.births, now)) < len(applying.births):
            # Somebody else has just inserted one of them: the next look will find it.
            msg = "a child appeared while it was being inserted; nothing was written"
            raise AgainError(msg)
        for new in applying.born:
            tell(session, new)
        if applying.points:
            await session.write(CHECKPOINT, now, *by_column(applying.points))
        await boxes.write(session)
        await work.write()
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
        keys: Sequence[tuple[str, str]],
    ) -> "_There":
        ids = list({child.id for child in children})
        tasks = [task for task, _ in keys]
        rows = await session.rows(OF_CHILDREN, ids, tasks, [key for _, key in keys])
        wanted = set(ids)
        return cls(
            {row[0]: row[1] for row in rows if row[0] in wanted},
            {(row[2], row[3]) for row in rows if row[2] is not None},
        )


class _Applying:
    """One call's transitions, in order."""

    def __init__(self, work: Work, boxes: Boxes, there: _There, now: int) -> None:
        self.births: list[Row] = []
        self.points: list[tuple[str, str, bytes]] = []
        self.born: list[Any] = []
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
            self._note_checkpoints(item)
            _, woken = self._work.finish(row, item.phase, str(item.token), values_of(item))
            return Applied(outcome=ApplyOutcome.APPLIED, woken=woken)
        fresh = fresh_children(item, self._there.parents, self._there.sleepers)
        if isinstance(fresh, int):
            return Applied(outcome=ApplyOutcome.CHILD_CONFLICT, head=row, conflict=fresh)
        return self._keep_or_release(row, item, fresh)

    def _keep_or_release(
        self, row: Head, item: Keep | Release, fresh: Sequence[NewExecution]
    ) -> Applied:
        self._note_checkpoints(item)
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
            self.births.append(birth_row(child, new, self._now))
            self.born.append(new)
            unfinished += new.phase in UNFINISHED
            if new.owner is not None:
                held.append(new.id)
        values = values_of(item) | {"pending": row.pending + unfinished}
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

    def _note_checkpoints(self, item: Keep | Release | Finish) -> None:
        self.points += [(item.id, name, value) for name, value in item.checkpoints.items()]
