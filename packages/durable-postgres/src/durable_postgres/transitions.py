"""Transitions that insert children: locked, decided one after the other, written back."""

from collections.abc import Sequence

from durable_core.storage import Applied, Keep, NewExecution, Release, Transition
from durable_core.storage.kit import Applying

from .errors import AgainError
from .inserting import add_rows, tell
from .mailboxes import Boxes
from .records import birth_row, by_column
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
        applying = Applying(work, boxes, *await _there(session, children, keys))
        answers = [applying.apply(item) for item in items]
        births = [birth_row(child, new, now) for child, new in applying.births]
        if len(await add_rows(session, births, now)) < len(births):
            # Somebody else has just inserted one of them: the next look will find it.
            msg = "a child appeared while it was being inserted; nothing was written"
            raise AgainError(msg)
        for _, new in applying.births:
            tell(session, new)
        if applying.points:
            await session.write(CHECKPOINT, now, *by_column(applying.points))
        await boxes.write(session)
        await work.write(session)
    return answers


async def _there(
    session: Session, children: Sequence[NewExecution], keys: Sequence[tuple[str, str]]
) -> tuple[dict[str, str | None], set[tuple[str, str]]]:
    """Return which children exist, with their parents, and which of their wake keys are taken."""
    ids = list({child.id for child in children})
    tasks = [task for task, _ in keys]
    rows = await session.rows(OF_CHILDREN, ids, tasks, [key for _, key in keys])
    wanted = set(ids)
    return (
        {row[0]: row[1] for row in rows if row[0] in wanted},
        {(row[2], row[3]) for row in rows if row[2] is not None},
    )
