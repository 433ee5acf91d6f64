"""Freeing what nobody alive holds."""

from struct import Struct
from typing import Final

from durable_core.storage import Reaped

from .batches import ROWS
from .database import Database
from .records import moment
from .scripts import REAP

_ANSWER: Final = Struct("<HHB")


async def reap_dead(database: Database, now: int, limit: int) -> Reaped:
    """Do what `Storage.reap` says, by scripts of a bounded size."""
    leases = rows = 0
    more = True
    while more:
        share = min(limit - rows, ROWS)
        reply = await database.one(REAP, moment(now), b"%d" % share)
        gone, freed, left = _ANSWER.unpack(reply)
        leases += gone
        rows += freed
        more = bool(left)
        if rows >= limit and not gone:
            break
    return Reaped(leases=leases, rows=rows, more=more)
