"""Taking hold of due rows: find candidates, stamp those that are still free, read them back."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pymongo.errors import OperationFailure

from durable_core.storage import Claimed, Record

from .commands import claimable, claimable_by_id, hold
from .errors import EXPIRED, code_of
from .records import ANYBODY, Doc, record, slot
from .session import Session
from .settings import EXECUTIONS
from .stamping import patience_for, write_in_parts, write_past_locks

_PROMOTED: Final = 1_000
"""How many scheduled rows that became due a claim looks at, at least, and sorts among the ready."""

_SLOTS: Final = 150
"""Claim queues that one query merges in order; beyond 200 the server sorts all their rows."""

_ROUNDS: Final = 3
"""How often a claim tries when others have been faster."""

_PLACE: Final[Mapping[str, int]] = {"priority": 1, "due": 1}
_BY_PRIORITY: Final = (("priority", -1), ("due", 1))
_BY_DUE: Final = (("due", 1), ("priority", -1))


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
    queues_of_tasks = (slot(queue, task) for queue in queues for task in tasks)
    slots = list(dict.fromkeys([ANYBODY, *queues_of_tasks]))
    order: dict[str, tuple[int, int]] = {}
    taken: list[Record] = []
    for turn in range(_ROUNDS):
        wanted = limit - len(taken)
        found = await _look(session, slots, wanted, now)
        order |= {doc["_id"]: (-doc["priority"], doc["due"]) for doc in found.docs}
        chosen, rest = found.docs[:wanted], found.docs[wanted:]
        await _promote(session, rest, now)
        ids = [doc["_id"] for doc in chosen]
        rows, complete = await _take(session, executor, ids, now, claimable)
        taken += rows
        exhausted = found.everything and not rest and len(rows) == len(ids)
        if exhausted or not complete or len(taken) == limit or turn == _ROUNDS - 1:
            taken.sort(key=lambda row: order[row.id])
            due = found.next_due
            if not taken and due is None:
                due = await _next_due(session, slots, now)
            return Claimed(records=taken, exhausted=exhausted, next_due=due)
    raise AssertionError


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """Candidates.

    Attributes:
        docs: In the order in which they are to be claimed.
        everything: Whether there are no more of them.
        next_due: When the next one is due, if there are no more of them.
    """

    docs: Sequence[Doc]
    everything: bool
    next_due: int | None


async def _look(session: Session, slots: Sequence[str], wanted: int, now: int) -> _Found:
    """Find what is claimable: at least as much as is wanted and one more, if there is."""
    parts = [slots[start : start + _SLOTS] for start in range(0, len(slots), _SLOTS)]
    answers = await asyncio.gather(
        *(_ready(session, part, wanted + 1, now) for part in parts),
        *(_later(session, part, wanted + 1, now) for part in parts),
    )
    docs = [doc for docs, _, _ in answers for doc in docs]
    docs.sort(key=lambda doc: (-doc["priority"], doc["due"]))
    everything = all(complete for _, complete, _ in answers)
    dues = [due for _, _, due in answers if due is not None]
    return _Found(docs=docs, everything=everything, next_due=min(dues, default=None))


async def _ready(
    session: Session, slots: Sequence[str], wanted: int, now: int
) -> tuple[list[Doc], bool, int | None]:
    docs = await session.find(
        EXECUTIONS,
        {"ready": {"$in": slots}, "due": {"$lte": now}},
        fields=_PLACE,
        sort=_BY_PRIORITY,
        limit=wanted,
        hint="ready",
        local=True,
    )
    return docs, len(docs) < wanted, None


async def _later(
    session: Session, slots: Sequence[str], wanted: int, now: int
) -> tuple[list[Doc], bool, int | None]:
    """Find scheduled rows that became due; mostly there is none, so look at one first."""
    limit = 1
    while True:
        docs = await session.find(
            EXECUTIONS,
            {"later": {"$in": slots}} | ({} if limit == 1 else {"due": {"$lte": now}}),
            fields={**_PLACE, "later": 1},
            sort=_BY_DUE,
            limit=limit,
            hint="later",
            local=True,
        )
        if limit == 1 and docs and docs[0]["due"] <= now:
            limit = max(_PROMOTED, wanted)
            continue
        if limit == 1:
            return [], True, int(docs[0]["due"]) if docs else None
        return docs, len(docs) < limit, None


async def _next_due(session: Session, slots: Sequence[str], now: int) -> int | None:
    """Return when a row is due that was due for a clock that is ahead of the caller's."""
    docs = await session.find(
        EXECUTIONS,
        {"ready": {"$in": slots}, "due": {"$gt": now}},
        fields=_PLACE,
        limit=10,
        hint="ready",
        local=True,
    )
    return min((int(doc["due"]) for doc in docs), default=None)


async def _promote(session: Session, docs: Sequence[Doc], now: int) -> None:
    """Sort scheduled rows that became due and are not wanted yet among the ready ones."""
    ids = [doc["_id"] for doc in docs if "later" in doc]
    if not ids:
        return
    where = {**claimable(ids, now), "later": {"$gt": ""}}
    change = [{"$set": {"ready": "$later", "later": None}}]
    try:
        await session.update_many(EXECUTIONS, where, change, patience=len(ids))
    except OperationFailure as error:
        if code_of(error) != EXPIRED:
            raise
        session.interrupted()
    # It changes nothing that anybody could see, so a call that fails later has written nothing.
    session.written = False


async def claim_ids(
    session: Session, executor: str, ids: Sequence[str], limit: int, now: int
) -> Claimed:
    """Claim by id, in the order of the ids."""
    wanted = list(dict.fromkeys(id_ for id_ in ids if id_.isascii()))
    where = claimable_by_id(wanted, now)
    docs = await session.find(EXECUTIONS, where, fields={"_id": 1}, local=True) if wanted else []
    there = {doc["_id"] for doc in docs}
    found = [id_ for id_ in wanted if id_ in there]
    rows, complete = await _take(session, executor, found[:limit], now, claimable_by_id)
    exhausted = complete and len(found) <= limit and len(rows) == len(found)
    return Claimed(records=rows, exhausted=exhausted)


async def _take(
    session: Session,
    executor: str,
    ids: Sequence[str],
    now: int,
    condition: Callable[[Sequence[str], int], Doc],
) -> tuple[list[Record], bool]:
    """Hold those rows that are still free; return them in order, and whether none was locked."""
    if not ids:
        return [], True
    change = hold(executor, now, mark := session.line.stamp())
    if len(ids) == 1:
        # Mostly there is one row, and somebody waits for it: a round trip less.
        try:
            doc = await session.take_one(
                EXECUTIONS, condition(ids, now), change, patience=patience_for(1)
            )
        except OperationFailure as error:
            if code_of(error) != EXPIRED:
                raise
            complete = await write_in_parts(session, ids, lambda some: condition(some, now), change)
        else:
            return ([] if doc is None else [record(doc)]), True
    else:
        complete = await write_past_locks(session, ids, lambda some: condition(some, now), change)
    docs = await session.find(EXECUTIONS, {"_id": {"$in": list(ids)}, "stamp": mark})
    rows = {doc["_id"]: record(doc) for doc in docs}
    return [rows[id_] for id_ in ids if id_ in rows], complete
