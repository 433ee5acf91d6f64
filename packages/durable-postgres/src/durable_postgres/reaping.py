"""Freeing what nobody alive holds."""

from collections.abc import Sequence

from durable_core.storage import Phase, Reaped

from .records import Row
from .session import Session
from .statements import LIVING, REAP
from .working import Work


async def reap_dead(session: Session, now: int, limit: int) -> Reaped:
    """Remove expired leases and free the rows of the dead, as `Storage.reap` says.

    One statement, or a transaction more if somebody asked to cancel some of the rows.
    """
    rows = await session.write(REAP, now, max(limit, 0))
    leases = found = freed = 0
    ends: list[Row] = []
    for what, number, more, text, owner, gen in rows:
        if what == 0:
            leases, found = number, more
        elif what == 1:
            freed += number
            session.told.ready.add(text)
        else:
            ends.append((text, owner, gen))
    session.told.rows += freed
    if ends:
        freed += await _end(session, ends, now)
    return Reaped(leases=leases, rows=freed, more=found > max(limit, 0))


async def _end(session: Session, rows: Sequence[Row], now: int) -> int:
    """Finish rows that somebody asked to cancel: nobody else may know their tasks."""
    ended = 0
    async with session.transaction():
        work = await Work.lock(session, {row[0] for row in rows}, now)
        living = await session.rows(LIVING, list({row[1] for row in rows}))
        alive = {row[0] for row in living}
        for id_, owner, gen in rows:
            row = work.get(id_)
            if row is None or row.owner != owner or row.gen != gen or owner in alive:
                continue
            counted = {"gen": row.gen + 1, "crashes": row.crashes + 1}
            work.finish(row, Phase.CANCELLED, "reap", counted)
            ended += 1
        await work.write(session)
    return ended
