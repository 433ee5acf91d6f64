"""Transitions of held executions: locked, decided one after the other, written back."""

from collections.abc import Sequence

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

from .drivers import Result
from .errors import AgainError, duplicate
from .inserting import add_rows, tell
from .literals import blob, name, text, texts
from .mailboxes import Boxes
from .records import birth
from .session import Session
from .statements import ASLEEP, CHECKPOINT, CHECKPOINT_KEPT, LOCK, OF_CHILDREN, ONE_ASLEEP
from .working import Work


async def apply_all(
    session: Session, items: Sequence[Transition], parents: set[str], now: int
) -> list[Applied]:
    """Carry out transitions, as `Storage.apply` says, in one transaction.

    Args:
        session: Where.
        items: The transitions.
        parents: See `Work.lock`; this adds those that the items name.
        now: The time of all that ends or is born.
    """
    parents |= {item.parent_id for item in items if item.parent_id is not None}
    children = _children(items)
    keys = [(child.task, child.wake_key) for child in children if child.wake_key is not None]
    try:
        async with session.transaction():
            boxes = await Boxes.lock(session, keys)
            work, there = await _lock(session, items, parents, now, keys=keys)
            applying = _Applying(work, boxes, there, now)
            answers = [applying.apply(item) for item in items]
            add_rows(session, applying.births)
            write_checkpoints(session, applying.points, now)
            boxes.write(session)
            work.write()
    except Exception as error:
        if children and duplicate(error):
            # Somebody else has just inserted one of them: the next look will find it.
            msg = "a child appeared while it was being inserted; nothing was written"
            raise AgainError(msg) from error
        raise
    for new in applying.born:
        tell(session, new)
    return answers


def _children(items: Sequence[Transition]) -> list[NewExecution]:
    return [child for item in items if isinstance(item, Keep | Release) for child in item.children]


async def _lock(
    session: Session,
    items: Sequence[Transition],
    parents: set[str],
    now: int,
    *,
    keys: Sequence[tuple[str, str]],
) -> tuple[Work, "_There"]:
    """Lock the items with their parents, and see which children exist, by one packet."""
    ids = [item.id for item in items]
    asked = [session.fill(LOCK, texts(sorted({*ids, *parents})))]
    children = {child.id for child in _children(items)}
    if children:
        asked.append(session.fill(OF_CHILDREN, texts(children)))
    if keys:
        any_of = " OR ".join(ONE_ASLEEP % (name(task), name(key)) for task, key in keys)
        asked.append(session.fill(ASLEEP, any_of))
    results = await session.read(*asked)
    work = Work.of(session, results[0].rows, ids, parents, now)
    return work, _There.of(results[1:])


def write_checkpoints(session: Session, points: Sequence[tuple[str, str, bytes]], now: int) -> None:
    """Record checkpoints with the commit; the first value of a name stays."""
    rows = [f"({text(id_)}, {name(what)}, {blob(value)}, {now})" for id_, what, value in points]
    session.later_rows(session.texts[CHECKPOINT], rows, CHECKPOINT_KEPT)


class _There:
    """Which children exist, and under whose parent; which wake keys are taken."""

    def __init__(self, parents: dict[str, str | None], sleepers: set[tuple[str, str]]) -> None:
        self.parents = parents
        self.sleepers = sleepers

    @classmethod
    def of(cls, results: Sequence[Result]) -> "_There":
        """Return what `OF_CHILDREN` and `ASLEEP` have answered, if they were asked."""
        children, asleep = ([*results, Result((), 0), Result((), 0)])[:2]
        return cls(
            {row[0]: row[1] for row in children.rows},
            {(row[1].decode(), row[2].decode()) for row in asleep.rows},
        )


class _Applying:
    """One call's transitions, in order."""

    def __init__(self, work: Work, boxes: Boxes, there: _There, now: int) -> None:
        self.births: list[tuple[str, str]] = []
        self.points: list[tuple[str, str, bytes]] = []
        self.born: list[Record] = []
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
            self.births.append((new.id, birth(child, new, self._now)))
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
        self.points += [(item.id, what, value) for what, value in item.checkpoints.items()]
