"""Who is alive: leases in a file of their own, where no transaction on the database delays them."""

import sqlite3
from functools import partial

from durable_core.storage import Beat, Head, Lease, Page

from .errors import translate
from .records import head
from .schema import LEASES
from .session import Session, Tally, connect, retried
from .settings import Settings
from .statements import EXPIRE, LIST_LEASES, LIVING, ORDERS, REGISTER, RENEW, SIGN_OFF

_MAX_ORDERS = 500


def open_leases(settings: Settings, tally: Tally) -> Session:
    """Open the file of the leases, and make it if it is not there.

    A heartbeat waits for no disk: a machine that dies takes all its executors with it.

    Raises:
        StorageError: What is wrong with that file.
    """
    place = settings.leases_path or ""
    try:
        connection = connect(settings.leases_path, create=True, timeout=settings.busy_timeout)
        session = Session(connection, settings.prefix, tally)
        try:
            retried(partial(_prepare, session), settings.busy_timeout)
        except BaseException:
            session.close()
            raise
    except sqlite3.Error as error:
        raise translate(error, place) from error
    return session


def _prepare(session: Session) -> None:
    if session.control("PRAGMA journal_mode") != ("wal",):
        session.control("PRAGMA journal_mode = WAL")
    session.control("PRAGMA synchronous = NORMAL")
    session.connection.execute(session.texts[LEASES])


def renew(leases: Session, lease: Lease, *, register: bool, signs_off: bool) -> bool:
    """Renew, create or remove a lease, as `Storage.heartbeat` says.

    Returns:
        Whether the executor has a lease now.
    """
    if signs_off:
        leases.run(SIGN_OFF, (lease.executor,))
        return False
    if register:
        leases.run(REGISTER, (lease.executor, lease.started_at, lease.expires_at, lease.info))
        return True
    renewed = leases.run(RENEW, (lease.expires_at, lease.executor))
    return renewed.rowcount == 1


def beat(
    session: Session,
    lease: Lease,
    *,
    register: bool,
    signs_off: bool,
    clock: int,
) -> Beat:
    """Renew a lease and read the orders for its executor."""
    if not renew(session.leases, lease, register=register, signs_off=signs_off):
        return Beat(alive=False, clock=clock)
    orders = marked(session, lease.executor)
    return Beat(
        alive=True,
        clock=clock,
        orders=orders[:_MAX_ORDERS],
        more_orders=len(orders) > _MAX_ORDERS,
    )


def marked(session: Session, executor: str) -> list[Head]:
    """Return what the executor holds and somebody asked to cancel, one more than a beat tells."""

    def read() -> list[Head]:
        return [head(row) for row in session.rows(ORDERS, (executor, _MAX_ORDERS + 1))]

    return session.cached(("orders", executor), read)


def expire(leases: Session, now: int) -> tuple[int, set[str]]:
    """Remove the leases that have expired; return how many, and who has a lease afterwards."""
    rows = leases.rows(LIVING)
    if all(expires_at >= now for _, expires_at in rows):
        return 0, {executor for executor, _ in rows}
    removed = leases.run(EXPIRE, (now,)).rowcount
    return removed, {executor for executor, _ in leases.rows(LIVING)}


def lease_page(leases: Session, limit: int, cursor: str | None) -> Page[Lease]:
    """Return leases by executor id, after the cursor."""
    rows = leases.rows(LIST_LEASES, (cursor or "", limit + 1))
    found = [
        Lease(executor=row[0], started_at=row[1], expires_at=row[2], info=row[3])
        for row in rows[:limit]
    ]
    more = len(rows) > limit and found
    return Page(items=found, cursor=found[-1].executor if more else None)
