"""Who is alive."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from durable_core.storage import Beat, Lease, Page

from .records import NO_PAYLOADS, head
from .session import Session
from .settings import EXECUTIONS, LEASES

MOST: Final = 500
"""Orders that a heartbeat tells at most."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(time: datetime) -> int:
    """Return a time of the server's, which knows milliseconds."""
    return (time - _EPOCH) // timedelta(microseconds=1)


async def clock(session: Session) -> int:
    """Return the server's time."""
    said = await session.command({"hello": 1})
    return microseconds(said["localTime"])


async def beat(session: Session, lease: Lease, *, register: bool, signs_off: bool) -> Beat:
    """Renew, create or remove a lease, as `Storage.heartbeat` says."""
    if signs_off:
        await session.delete_many(LEASES, {"_id": lease.executor})
        return Beat(alive=False, clock=await clock(session))
    change = renewal(lease, register=register)
    if register:
        # For who finds it dead: what it was about to write must not stay locked.
        change.append({"$set": {"session": await session.line.id()}})
    changed = await session.change_one(LEASES, {"_id": lease.executor}, change, upsert=register)
    if changed is None:
        return Beat(alive=False, clock=await clock(session))
    docs = await session.find(
        EXECUTIONS,
        marked(lease.executor),
        fields=NO_PAYLOADS,
        sort=[("_id", 1)],
        limit=MOST + 1,
        hint="marked",
    )
    return answer(changed["beaten_at"], docs)


def renewal(lease: Lease, *, register: bool) -> list[dict[str, Any]]:
    """Return what a heartbeat writes; it reads the server's clock by the way."""
    values: dict[str, Any] = {"expires_at": lease.expires_at, "beaten_at": "$$NOW"}
    if register:
        values["started_at"] = {"$ifNull": ["$started_at", lease.started_at]}
        values["info"] = {"$literal": lease.info}
    return [{"$set": values}]


def marked(executor: str) -> dict[str, Any]:
    """Return the condition of an executor's rows whose cancellation was requested."""
    return {"owner": executor, "cancel_requested": True, "finished_at": None}


def answer(beaten_at: datetime, docs: list[dict[str, Any]]) -> Beat:
    """Return the answer to a heartbeat that renewed a lease."""
    return Beat(
        alive=True,
        clock=microseconds(beaten_at),
        orders=[head(doc) for doc in docs[:MOST]],
        more_orders=len(docs) > MOST,
    )


async def lease_page(session: Session, limit: int, cursor: str | None) -> Page[Lease]:
    """Return leases by executor id, after the cursor."""
    wanted = max(limit, 0)
    docs = await session.find(
        LEASES, {"_id": {"$gt": cursor or ""}}, sort=[("_id", 1)], limit=wanted + 1
    )
    found = [
        Lease(
            executor=doc["_id"],
            started_at=int(doc["started_at"]),
            expires_at=int(doc["expires_at"]),
            info=doc["info"],
        )
        for doc in docs[:wanted]
    ]
    more = len(docs) > wanted and found
    return Page(items=found, cursor=found[-1].executor if more else None)
