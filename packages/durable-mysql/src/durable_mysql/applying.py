"""Transitions of held executions: locked, decided one after the other, written back."""

from collections.abc import Sequence

from durable_core.storage import Applied, Keep, NewExecution, Release, Transition
from durable_core.storage.kit import Applying

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
            work, there, sleepers = await _lock(session, items, parents, now, keys=keys)
            applying = Applying(work, boxes, there, sleepers)
            answers = [applying.apply(item) for item in items]
            add_rows(session, [(new.id, birth(child, new, now)) for child, new in applying.births])
            write_checkpoints(session, applying.points, now)
            boxes.write(session)
            work.write(session)
    except Exception as error:
        if children and duplicate(error):
            # Somebody else has just inserted one of them: the next look will find it.
            msg = "a child appeared while it was being inserted; nothing was written"
            raise AgainError(msg) from error
        raise
    for _, new in applying.births:
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
) -> tuple[Work, dict[str, str | None], set[tuple[str, str]]]:
    """Lock the items with their parents, and look for their children, by one packet.

    Returns:
        The rows; which children exist, with their parents; which of their wake keys are taken.
    """
    ids = [item.id for item in items]
    asked = [session.fill(LOCK, texts(sorted({*ids, *parents})))]
    children = {child.id for child in _children(items)}
    if children:
        asked.append(session.fill(OF_CHILDREN, texts(children)))
    if keys:
        any_of = " OR ".join(ONE_ASLEEP % (name(task), name(key)) for task, key in keys)
        asked.append(session.fill(ASLEEP, any_of))
    results = await session.read(*asked)
    work = Work.of(results[0].rows, ids, parents, now)
    there, asleep = [*results[1:], Result((), 0), Result((), 0)][:2]
    return (
        work,
        {row[0]: row[1] for row in there.rows},
        {(row[1].decode(), row[2].decode()) for row in asleep.rows},
    )


def write_checkpoints(session: Session, points: Sequence[tuple[str, str, bytes]], now: int) -> None:
    """Record checkpoints with the commit; the first value of a name stays."""
    rows = [f"({text(id_)}, {name(what)}, {blob(value)}, {now})" for id_, what, value in points]
    session.later_rows(session.texts[CHECKPOINT], rows, CHECKPOINT_KEPT)
