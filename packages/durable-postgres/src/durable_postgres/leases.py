"""Who is alive."""

from typing import Final

from durable_core.storage import Beat, Lease, Page

from .records import head
from .session import Session
from .statements import LIST_LEASES, REGISTER, RENEW, SIGN_OFF

_MAX_ORDERS: Final = 500


async def beat(session: Session, lease: Lease, *, register: bool, signs_off: bool) -> Beat:
    """Renew, create or remove a lease, as `Storage.heartbeat` says, by one statement."""
    if signs_off:
        rows = await session.write(SIGN_OFF, lease.executor)
    elif register:
        rows = await session.write(
            REGISTER, lease.executor, lease.expires_at, lease.started_at, lease.info
        )
    else:
        rows = await session.write(RENEW, lease.executor, lease.expires_at)
    clock, executor = rows[0][0], rows[0][1]
    orders = [head(row, 2) for row in rows if executor is not None and row[2] is not None]
    return Beat(
        alive=executor is not None,
        clock=clock,
        orders=orders[:_MAX_ORDERS],
        more_orders=len(orders) > _MAX_ORDERS,
    )


async def lease_page(session: Session, limit: int, cursor: str | None) -> Page[Lease]:
    """Return leases by executor id, after the cursor."""
    rows = await session.rows(LIST_LEASES, cursor or "", limit + 1)
    found = [
        Lease(executor=row[0], started_at=row[1], expires_at=row[2], info=row[3])
        for row in rows[:limit]
    ]
    more = len(rows) > limit and found
    return Page(items=found, cursor=found[-1].executor if more else None)
