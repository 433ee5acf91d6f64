"""Deleting what is over."""

from struct import Struct
from typing import Final

from .batches import ROWS
from .database import Database
from .records import moment
from .scripts import FORGET, PURGE

_PURGED: Final = Struct("<HBI")
_LOOK_AT: Final = 200
"""Finished rows that one script looks at."""


async def purge_over(database: Database, finished_before: int, now: int, limit: int) -> int:
    """Do what `Storage.purge` says, by scripts of a bounded size."""
    gone = passed = 0
    while gone < limit:
        reply = await database.one(
            PURGE,
            moment(now),
            b"%d" % finished_before,
            b"%d" % min(limit - gone, ROWS),
            b"%d" % _LOOK_AT,
            b"%d" % passed,
        )
        deleted, ended, passed = _PURGED.unpack(reply)
        gone += deleted
        if ended and deleted < ROWS:
            break
    while (await database.one(FORGET, moment(now), b"%d" % ROWS))[0]:
        pass
    return gone
