"""Taking hold of due rows: candidates are locked, the best of them held, in two round trips."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from durable_core.storage import Claimed, Record

from .drivers import Row
from .literals import name, text, texts
from .records import DUTIES, record, slot_of
from .session import Session
from .statements import (
    BEST,
    CLAIM_IDS,
    COUNT_IDS,
    COUNT_SEEN,
    DUTIES_NEXT,
    DUTIES_NEXT_AHEAD,
    DUTIES_READY,
    DUTIES_SCHEDULED,
    DUTIES_SEEN,
    FIRST_NEXT,
    HELD,
    HOLD,
    NEXT,
    NEXT_AHEAD,
    PROMOTE,
    READY,
    SCHEDULED,
    SEEN,
    UNION,
)

_PROMOTED: Final = 1_000
"""How many scheduled rows a claim sorts into the ready ones at most, over all tasks."""

_BRANCHES: Final = 100
"""Claim queues that one statement reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    id: str
    priority: int
    due: int
    slot: int


class _Queues:
    """The claim queues of a claim, as branches of its statements."""

    def __init__(
        self, session: Session, tasks: Collection[str], queues: Collection[str], now: int
    ) -> None:
        pairs = [(queue, task) for queue in dict.fromkeys(queues) for task in dict.fromkeys(tasks)]
        self.pairs = len(pairs)
        self._session = session
        self._now = str(now)
        self._names = [(slot_of(queue, task), name(queue), name(task)) for queue, task in pairs]

    def candidates(self, limit: int) -> Iterator[str]:
        """Yield statements that lock the first rows of every queue."""
        bound = max(limit, _PROMOTED // max(self.pairs, 1))
        ready = self._branches(READY, DUTIES_READY, limit)
        for branches in _chunks(ready):
            yield UNION.join(branches) + BEST % (limit + 1)
        scheduled = self._branches(SCHEDULED, DUTIES_SCHEDULED, bound, later=1)
        for branches in _chunks(scheduled):
            yield UNION.join(branches)

    def seen(self, limit: int) -> Iterator[str]:
        """Yield statements that count due rows, up to one more than the limit in every queue."""
        branches = self._branches(SEEN, DUTIES_SEEN, limit + 1)
        branches += self._branches(SEEN, DUTIES_SEEN, limit + 1, later=1)
        for some in _chunks(branches):
            yield COUNT_SEEN % UNION.join(some)

    def nexts(self) -> Iterator[str]:
        """Yield statements that look for the earliest row that is not due yet."""
        branches = self._branches(NEXT, DUTIES_NEXT, later=1)
        branches += self._branches(NEXT_AHEAD, DUTIES_NEXT_AHEAD)
        for some in _chunks(branches):
            yield FIRST_NEXT % UNION.join(some)

    def _branches(self, named: str, duties: str, *limit: int, later: int = 0) -> list[str]:
        last = tuple(map(str, limit))
        fill, now = self._session.fill, self._now
        branches = [
            fill(named, str(slot + later), now, queue, task, *last)
            for slot, queue, task in self._names
        ]
        return [*branches, fill(duties, str(DUTIES + later), now, *last)]


def _chunks(branches: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(branches), _BRANCHES):
        yield branches[start : start + _BRANCHES]


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
    if not limit:
        # Nothing was asked for, so nothing is known of what is left.
        return Claimed(records=[], exhausted=False)
    asked = _Queues(session, tasks, queues, now)
    async with session.transaction():
        found = [
            _Candidate(id=row[0], priority=row[1], due=row[2], slot=row[3])
            for result in await session.read(*asked.candidates(limit))
            for row in result.rows
        ]
        found.sort(key=lambda one: (-one.priority, one.due))
        taken, left = found[:limit], found[limit:]
        looks = [] if left else [*asked.seen(limit), *asked.nexts()]
        promoted = [one.id for one in left if one.slot % 2]
        if promoted:
            session.later(session.fill(PROMOTE, texts(promoted)))
        seen, due, records = await _hold(session, executor, [one.id for one in taken], now, looks)
    return Claimed(
        records=records,
        exhausted=not left and len(taken) >= seen,
        next_due=due if len(taken) < limit else None,
    )


async def _hold(
    session: Session, executor: str, ids: Sequence[str], now: int, looks: Sequence[str]
) -> tuple[int, int | None, list[Record]]:
    """Hold locked rows, after a look at what else there is.

    Returns:
        How many due rows there were, the next one's due time, and the held ones in order.
    """
    held = texts(ids)
    writes = (
        [session.fill(HOLD, text(executor), str(now), held), session.fill(HELD, held)]
        if ids
        else []
    )
    results = await session.finish(*looks, *writes)
    half = len(looks) // 2
    seen = sum(result.rows[0][0] for result in results[:half])
    dues = [result.rows[0][0] for result in results[half : len(looks)]]
    rows: Iterable[Row] = results[-1].rows if ids else ()
    by_id = {row[0]: record(row) for row in rows}
    due = min((one for one in dues if one is not None), default=None)
    return seen, due, [by_id[id_] for id_ in ids]


async def claim_ids(
    session: Session, executor: str, ids: Sequence[str], limit: int, now: int
) -> Claimed:
    """Claim by id, in the order of the ids."""
    unique = list(dict.fromkeys(ids))
    wanted = texts(unique)
    async with session.transaction():
        rows = await session.rows(session.fill(CLAIM_IDS, wanted, str(now)))
        free = {row[0] for row in rows}
        found = [id_ for id_ in unique if id_ in free]
        count = session.fill(COUNT_IDS, wanted, str(now))
        held = texts(found[:limit])
        writes = (
            [session.fill(HOLD, text(executor), str(now), held), session.fill(HELD, held)]
            if found[:limit]
            else []
        )
        results = await session.finish(count, *writes)
    by_id = {row[0]: record(row) for row in (results[-1].rows if writes else ())}
    return Claimed(
        records=[by_id[id_] for id_ in found[:limit]],
        exhausted=len(found) <= limit and len(found) >= results[0].rows[0][0],
    )
