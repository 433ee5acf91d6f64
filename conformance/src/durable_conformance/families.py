"""Families of rows: made in one go, and compared with their own count."""

from collections.abc import Sequence

from durable_core.storage import Head, Phase, Query, Record

from .moves import children, release
from .stage import ANNA, Stage

WAITS = (Phase.WAITING_FOR_CHILDREN, Phase.WAITING_FOR_FINALIZE)


async def family(
    stage: Stage,
    name: str,
    number: int,
    *,
    phase: Phase = Phase.WAITING_FOR_CHILDREN,
    join_at: int = 0,
    due: int | None = None,
    held: bool = False,
) -> tuple[Record, list[Record]]:
    """Insert a parent that waits, un-held, and its children.

    Args:
        stage: Where.
        name: The parent's id.
        number: How many children.
        phase: What the parent waits in.
        join_at: At how many unfinished children it goes on.
        due: When it goes on whatever its children do.
        held: Whether ANNA holds the children.

    Returns:
        The parent and the children as they are stored.
    """
    parent = await stage.hold(name)
    kids = children(parent, number, owner=ANNA if held else None)
    await stage.applied(release(parent, phase, due, children=kids, join_at=join_at))
    return await stage.row(name), await stage.rows(*[kid.id for kid in kids])


async def unfinished(stage: Stage, parent_id: str) -> list[str]:
    """Return the ids of a parent's unfinished children."""
    found: Sequence[Head] = await stage.find(Query(parent_id=parent_id))
    return [row.id for row in found if not row.finished]


async def exact(stage: Stage, parent_id: str) -> Record:
    """Check that a parent counts its unfinished children exactly, and return it."""
    parent = await stage.row(parent_id)
    left = await unfinished(stage, parent_id)
    assert parent.pending == len(left), f"{parent_id} counts {parent.pending}, unfinished: {left}"
    return parent
