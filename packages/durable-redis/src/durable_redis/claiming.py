"""Taking hold of executions."""

from collections.abc import Collection, Iterable, Sequence
from struct import Struct
from typing import Final

from durable_core.storage import Claimed, Record

from .batches import batches, shares
from .database import Database
from .records import Reader, moment
from .scripts import CLAIM, CLAIM_IDS

_HEADER: Final = Struct("<BdH")
_EVERYBODYS: Final = b"$"
"""The group of duties and built-in tasks."""


async def claim_due(
    database: Database,
    executor: str,
    *,
    tasks: Collection[str],
    queues: Collection[str],
    limit: int,
    now: int,
) -> Claimed:
    """Claim what is due, by priority and then due time; several scripts go on where one ended."""
    groups = [_EVERYBODYS, *(_group(queue, task) for queue in queues for task in tasks)]
    begin = (moment(now), executor.encode())
    calls = [[*begin, b"%d" % share, *groups] for share in shares(limit)]
    return _merged(await database.run(CLAIM, calls))


def _group(queue: str, task: str) -> bytes:
    name = queue.encode()
    return b"%d:%b:%b" % (len(name), name, task.encode())


async def claim_ids(
    database: Database, executor: str, ids: Sequence[str], limit: int, now: int
) -> Claimed:
    """Claim named executions."""
    left = limit
    records: list[Record] = []
    exhausted = True
    # One after the other: how many a script may take depends on those before it.
    for chunk in batches([id_ for id_ in dict.fromkeys(ids) if id_.isascii()]):
        names = [id_.encode() for id_ in chunk]
        header = (moment(now), executor.encode(), b"%d" % left)
        claimed = _merged([await database.one(CLAIM_IDS, *header, *names)])
        records.extend(claimed.records)
        left -= len(claimed.records)
        exhausted = exhausted and claimed.exhausted
    return Claimed(records=records, exhausted=exhausted)


def _merged(replies: Iterable[bytes]) -> Claimed:
    records: list[Record] = []
    exhausted, next_due = False, -1.0
    for reply in replies:
        reader = Reader(reply)
        last, next_due, count = reader.numbers(_HEADER)
        records.extend(reader.record() for _ in range(count))
        exhausted = bool(last)
    return Claimed(
        records=records,
        exhausted=exhausted,
        next_due=None if next_due < 0 else int(next_due) * 1000,
    )
