"""Who is alive."""

from typing import Final

from durable_core.storage import Beat, Lease, Page

from .literals import blob, text
from .records import head
from .session import Session
from .statements import ALIVE, LIST_LEASES, ORDERS, REGISTER, RENEW, SIGN_OFF

_MAX_ORDERS: Final = 500


async def beat(session: Session, lease: Lease, *, register: bool, signs_off: bool) -> Beat:
    """Renew, create or remove a lease, as `Storage.heartbeat` says, by one packet."""
    executor, expires_at = text(lease.executor), str(lease.expires_at)
    if signs_off:
        change = session.fill(SIGN_OFF, executor)
    elif register:
        change = session.fill(
            REGISTER, executor, str(lease.started_at), expires_at, blob(lease.info)
        )
    else:
        change = session.fill(RENEW, expires_at, executor)
    alive = session.fill(ALIVE, executor)
    orders = session.fill(ORDERS, executor)
    _, answer, marked = await session.write(change, alive, orders)
    clock, there = answer.rows[0]
    if there is None:
        return Beat(alive=False, clock=clock)
    return Beat(
        alive=True,
        clock=clock,
        orders=[head(row) for row in marked.rows[:_MAX_ORDERS]],
        more_orders=len(marked.rows) > _MAX_ORDERS,
    )


async def lease_page(session: Session, limit: int, cursor: str | None) -> Page[Lease]:
    """Return leases by executor id, after the cursor."""
    rows = await session.rows(session.fill(LIST_LEASES, text(cursor or ""), str(limit + 1)))
    found = [
        Lease(executor=row[0], started_at=row[1], expires_at=row[2], info=row[3])
        for row in rows[:limit]
    ]
    more = len(rows) > limit and found
    return Page(items=found, cursor=found[-1].executor if more else None)
