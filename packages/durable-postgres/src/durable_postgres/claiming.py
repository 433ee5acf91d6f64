"""Taking hold of due rows."""

from collections.abc import Collection, Sequence
from typing import Final

from durable_core.storage import Claimed, Record

from .records import Row, record
from .session import Session
from .statements import CLAIM, CLAIM_IDS

_PROMOTED: Final = 1_000
"""How many scheduled rows a claim sorts into the ready ones at most, over all tasks."""

_WAS: Final = 2
_RECORD: Final = 3
_PRIORITY: Final = _RECORD + 11


async def claim_due(
    session: Session,
    executor: str,
    *,
    tasks: Collection[str],
    queues: Collection[str],
    limit: int,
    now: int,
) -> Claimed:
    """Claim by task and queue, as `Storage.claim` says."""
    pairs = max(len(tasks) * len(queues), 1)
    bound = max(limit, _PROMOTED // pairs)
    rows = await session.write(
        CLAIM,
        now,
        executor,
        limit,
        list(dict.fromkeys(queues)),
        list(dict.fromkeys(tasks)),
        bound,
    )
    taken = [row for row in rows if row[_RECORD] is not None]
    taken.sort(key=lambda row: (-row[_PRIORITY], row[_WAS]))
    return _claimed(rows, taken)


async def claim_ids(
    session: Session, executor: str, ids: Sequence[str], limit: int, now: int
) -> Claimed:
    """Claim by id, in the order of the ids."""
    rows = await session.write(CLAIM_IDS, now, executor, limit, list(dict.fromkeys(ids)))
    taken = [row for row in rows if row[_RECORD] is not None]
    taken.sort(key=lambda row: row[_WAS])
    return _claimed(rows, taken)


def _claimed(rows: Sequence[Row], taken: Sequence[Row]) -> Claimed:
    records: list[Record] = [record(row, _RECORD) for row in taken]
    return Claimed(records=records, exhausted=rows[0][0], next_due=rows[0][1])
