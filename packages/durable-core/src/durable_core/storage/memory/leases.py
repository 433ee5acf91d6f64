"""Who holds what and until when: claims, heartbeats, reaping, and purging what is over."""

import heapq
from dataclasses import replace

from ..quick import changed
from ..records import FINISHED, Lease, OnCancel, Phase, Record
from ..requests import Beat, Reaped
from .rows import head_of
from .tables import Tables

_MAX_ORDERS = 500


def claimable_by_id(row: Record, now: int) -> bool:
    """Whether a claim that names this row may take it."""
    if row.owner is not None or row.phase in FINISHED:
        return False
    return row.wake_key is None or (row.due is not None and row.due <= now)


def claimed(row: Record, executor: str, now: int) -> Record:
    """Return the row as held by the executor under a new token."""
    started = now if row.phase is Phase.READY else row.started_at
    return changed(row, owner=executor, gen=row.gen + 1, due=None, started_at=started)


def renew(tables: Tables, lease: Lease, *, register: bool, signs_off: bool, clock: int) -> Beat:
    """Renew, create or remove a lease, as `Storage.heartbeat` says."""
    there = tables.leases.get(lease.executor)
    if signs_off:
        tables.leases.pop(lease.executor, None)
        return Beat(alive=False, clock=clock)
    if there is None and not register:
        return Beat(alive=False, clock=clock)
    if register:
        tables.leases[lease.executor] = (
            lease if there is None else replace(lease, started_at=there.started_at)
        )
    elif there is not None:
        tables.leases[lease.executor] = replace(there, expires_at=lease.expires_at)
    ids = sorted(tables.marked.get(lease.executor, ()))
    return Beat(
        alive=True,
        clock=clock,
        orders=[head_of(tables.rows[id_]) for id_ in ids[:_MAX_ORDERS]],
        more_orders=len(ids) > _MAX_ORDERS,
    )


def reap_dead(tables: Tables, now: int, limit: int) -> tuple[Reaped, list[Record]]:
    """Remove expired leases and free what nobody alive holds, as `Storage.reap` says."""
    expired = [id_ for id_, lease in tables.leases.items() if lease.expires_at < now]
    for id_ in expired:
        del tables.leases[id_]
    dead = [owner for owner in tables.held if owner not in tables.leases]
    ids = sorted(id_ for owner in dead for id_ in tables.held[owner])
    touched: list[Record] = []
    for id_ in ids[:limit]:
        row = tables.rows[id_]
        freed = changed(row, owner=None, gen=row.gen + 1, crashes=row.crashes + 1, due=0)
        if row.cancel_requested and row.phase not in FINISHED and row.on_cancel is OnCancel.END:
            woken = tables.finish(freed, Phase.CANCELLED, "reap", now)
            touched.extend(tables.rows[parent] for parent in woken)
        else:
            tables.put(freed)
        touched.append(tables.rows[id_])
    reaped = Reaped(leases=len(expired), rows=len(ids[:limit]), more=len(ids) > limit)
    return reaped, touched


def purge_over(tables: Tables, finished_before: int, now: int, limit: int) -> int:
    """Delete what is over, as `Storage.purge` says."""
    gone = 0
    kept: list[tuple[int, str]] = []
    while tables.finished and gone < limit and tables.finished[0][0] < finished_before:
        entry = heapq.heappop(tables.finished)
        row = tables.rows[entry[1]]
        if _over(tables, row):
            tables.remove(row)
            gone += 1
        else:
            kept.append(entry)
    for entry in kept:
        heapq.heappush(tables.finished, entry)
    for key, box in list(tables.mailboxes.items()):
        message = box.message
        if message is not None and message.until <= now:
            box.message = message = None
        if message is None and (box.execution_id is None or box.execution_id not in tables.rows):
            del tables.mailboxes[key]
    return gone


def _over(tables: Tables, row: Record) -> bool:
    if row.owner is not None or row.due is not None or row.pending:
        return False
    parent = None if row.parent_id is None else tables.rows.get(row.parent_id)
    return parent is None or parent.phase in FINISHED
