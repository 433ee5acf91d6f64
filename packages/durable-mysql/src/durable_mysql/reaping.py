"""Freeing what nobody alive holds."""

from collections.abc import Sequence

from durable_core.storage import Head, OnCancel, Phase, Reaped

from .literals import texts
from .records import head
from .session import Session
from .statements import EXPIRED, LIVING, OF_DEAD, OWNERS, REMOVE_LEASES
from .working import Work, parents_of


async def reap_dead(session: Session, now: int, limit: int, parents: set[str]) -> Reaped:
    """Remove expired leases and free the rows of the dead, as `Storage.reap` says.

    One round trip if nobody is dead. Rows that end, because somebody asked to cancel them, have a
    transaction of their own: their parents are locked with them. For `parents` see `Work.lock`.
    """
    expired, owners = await session.read(session.fill(EXPIRED, str(now)), session.fill(OWNERS))
    leases = 0
    if expired.rows:
        gone = texts(row[0] for row in expired.rows)
        removed = await session.write(session.fill(REMOVE_LEASES, gone, str(now)))
        leases = removed[-1].affected
    dead = await _dead(session, [row[0] for row in owners.rows])
    if not dead or limit <= 0:
        return Reaped(leases=leases, rows=0, more=bool(dead))
    async with session.transaction():
        rows = await session.rows(session.fill(OF_DEAD, texts(dead), str(limit + 1)))
        heads = [head(row) for row in rows]
        work = Work(heads, now)
        ends = [row for row in heads[:limit] if _ends(row)]
        for row in heads[:limit]:
            if not _ends(row):
                work.change(row, {**_counted(row), "owner": None, "due": 0})
        work.write(session)
    freed = min(len(heads), limit) - len(ends)
    if ends:
        freed += await _end(session, ends, parents, now)
    return Reaped(leases=leases, rows=freed, more=len(heads) > limit)


async def _dead(session: Session, owners: Sequence[str]) -> list[str]:
    """Return those that have no lease."""
    if not owners:
        return []
    living = {row[0] for row in await session.rows(session.fill(LIVING, texts(owners)))}
    return [owner for owner in owners if owner not in living]


def _ends(row: Head) -> bool:
    """Whether the row ends: nobody else may know its task."""
    return row.cancel_requested and not row.finished and row.on_cancel is OnCancel.END


def _counted(row: Head) -> dict[str, int]:
    return {"gen": row.gen + 1, "crashes": row.crashes + 1}


async def _end(session: Session, rows: Sequence[Head], parents: set[str], now: int) -> int:
    ended = 0
    async with session.transaction():
        await parents_of(session, [row.id for row in rows], parents)
        work = await Work.lock(session, {row.id for row in rows}, parents, now)
        dead = set(await _dead(session, list({row.owner for row in rows if row.owner})))
        for found in rows:
            row = work.get(found.id)
            if row is None or row.owner != found.owner or row.gen != found.gen:
                continue
            if row.owner in dead:
                work.finish(row, Phase.CANCELLED, "reap", _counted(row))
                ended += 1
        work.write(session)
    return ended
