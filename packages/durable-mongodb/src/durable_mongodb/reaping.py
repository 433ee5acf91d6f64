"""Freeing what nobody alive holds."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Final, TypeAlias

from pymongo.errors import OperationFailure

from durable_core.storage import OnCancel, Phase, Reaped

from .commands import HELD, free, of_dead
from .records import Doc
from .session import Session
from .settings import EXECUTIONS, LEASES
from .stamping import write_past_locks
from .working import Work

_FIELDS: Final[Mapping[str, int]] = {
    "owner": 1,
    "gen": 1,
    "cancel_requested": 1,
    "on_cancel": 1,
    "finished_at": 1,
}

_Tokens: TypeAlias = dict[str, tuple[str, int]]


async def reap_dead(session: Session, now: int, limit: int) -> Reaped:
    """Remove expired leases and free the rows of the dead, as `Storage.reap` says."""
    leases = await _expire(session, now)
    owners = await _owners(session)
    dead = owners - await _living(session, owners)
    if not dead:
        return Reaped(leases=leases, rows=0, more=False)
    wanted = max(limit, 0)
    docs = await _held_by(session, dead, wanted + 1)
    # Whoever registers anew after these rows were read holds other tokens than those read.
    living = await _living(session, {doc["owner"] for doc in docs})
    docs = [doc for doc in docs if doc["owner"] not in living]
    more = len(docs) > wanted
    docs = docs[:wanted]
    ends = {doc["_id"] for doc in docs if _ends(doc)}
    tokens = {doc["_id"]: (doc["owner"], int(doc["gen"])) for doc in docs}
    freed, complete = await _free(session, {id_: tokens[id_] for id_ in tokens if id_ not in ends})
    ended = await _end(session, {id_: tokens[id_] for id_ in ends}, now)
    return Reaped(leases=leases, rows=freed + ended, more=more or not complete)


async def _expire(session: Session, now: int) -> int:
    """Remove expired leases, and undo what their executors were in the middle of."""
    expired = {"expires_at": {"$lt": now}}
    docs = await session.find(LEASES, expired, fields={"session": 1})
    if not docs:
        return 0
    ids = [doc["_id"] for doc in docs]
    leases = await session.delete_many(LEASES, {"_id": {"$in": ids}, **expired})
    sessions = [{"id": doc["session"]} for doc in docs if "session" in doc]
    if sessions:  # none at all would stand for those of everybody
        # If they belong to another user, the server waits a minute before it undoes it.
        with suppress(OperationFailure):
            await session.command({"killSessions": sessions})
    return leases


async def _owners(session: Session) -> set[str]:
    """Return who holds something: a look at each owner, however much is held."""
    pipeline: list[Doc] = [
        {"$match": {"owner": HELD}},
        {"$sort": {"owner": 1}},
        {"$group": {"_id": "$owner"}},
    ]
    docs = await session.aggregate(EXECUTIONS, pipeline, hint="held")
    return {doc["_id"] for doc in docs}


async def _living(session: Session, owners: Collection[str]) -> set[str]:
    if not owners:
        return set()
    docs = await session.find(LEASES, {"_id": {"$in": sorted(owners)}}, fields={"_id": 1})
    return {doc["_id"] for doc in docs}


async def _held_by(session: Session, owners: Collection[str], limit: int) -> list[Doc]:
    where = {"owner": {"$in": sorted(owners)}}
    return await session.find(EXECUTIONS, where, fields=_FIELDS, limit=limit, hint="held")


def _ends(doc: Doc) -> bool:
    ends = doc["cancel_requested"] and doc["on_cancel"] == OnCancel.END.value
    return bool(ends) and doc.get("finished_at") is None


async def _free(session: Session, tokens: _Tokens) -> tuple[int, bool]:
    """Free rows that are still held so; return how many, and whether none was locked."""
    if not tokens:
        return 0, True
    mark = session.line.stamp()
    complete = await write_past_locks(
        session,
        list(tokens),
        lambda some: of_dead({id_: tokens[id_] for id_ in some}),
        free(mark),
    )
    where = {"_id": {"$in": list(tokens)}, "stamp": mark}
    return len(await session.find(EXECUTIONS, where, fields={"_id": 1})), complete


async def _end(session: Session, tokens: _Tokens, now: int) -> int:
    """Finish rows that somebody asked to cancel: nobody else may know their tasks."""
    if not tokens:
        return 0

    async def work() -> int:
        ended = 0
        rows = await Work.read(session, tokens, now)
        for id_, (owner, gen) in tokens.items():
            row = rows.get(id_)
            if row is None or row.owner != owner or row.gen != gen or row.finished:
                continue
            counted = {"gen": row.gen + 1, "crashes": row.crashes + 1}
            rows.finish(row, Phase.CANCELLED, "reap", counted)
            ended += 1
        await rows.write(session)
        return ended

    return await session.transact(work)
