"""Who is alive."""

from collections.abc import Sequence
from struct import Struct
from typing import Final

from durable_core.storage import Beat, Lease, Page

from .batches import batches
from .database import Database
from .records import Reader, microseconds
from .scripts import BEAT, LEASES

_ANSWER: Final = Struct("<BdBH")
_TIMES: Final = Struct("<qq")


def beat_arguments(lease: Lease, *, register: bool) -> list[bytes]:
    """Return what the script of a heartbeat takes; a lease that ends before it begins ends."""
    signs_off = lease.expires_at <= lease.started_at
    return [
        lease.executor.encode(),
        b"sign off" if signs_off else b"register" if register else b"renew",
        b"%d" % lease.expires_at,
        microseconds(lease.expires_at),
        microseconds(lease.started_at),
        lease.info,
    ]


def beat_answer(reply: bytes) -> Beat:
    """Return what the script of a heartbeat answered."""
    reader = Reader(reply)
    alive, clock, more, count = reader.numbers(_ANSWER)
    return Beat(
        alive=bool(alive),
        clock=int(clock),
        orders=[reader.head() for _ in range(count)],
        more_orders=bool(more),
    )


async def beat(database: Database, lease: Lease, *, register: bool) -> Beat:
    """Renew, create or remove a lease, as `Storage.heartbeat` says."""
    return beat_answer(await database.one(BEAT, *beat_arguments(lease, register=register)))


async def lease_page(database: Database, limit: int, cursor: str | None) -> Page[Lease]:
    """Return leases by executor id, after the cursor."""
    # Executors are few: their names are sorted here.
    found: Sequence[bytes] = await database.command(
        b"ZRANGE", database.settings.prefix + b"x", b"0", b"-1"
    )
    names = sorted(name for name in found if cursor is None or name > cursor.encode())
    wanted = names[: max(limit, 0)]
    replies = await database.run(LEASES, list(batches(wanted)))
    leases: list[Lease] = []
    for reply in replies:
        reader = Reader(reply)
        while not reader.ended:
            executor, stored = reader.short(), reader.large()
            started_at, expires_at = _TIMES.unpack_from(stored)
            leases.append(
                Lease(
                    executor=executor,
                    started_at=started_at,
                    expires_at=expires_at,
                    info=stored[_TIMES.size :],
                )
            )
    more = len(names) > len(wanted) and wanted
    return Page(items=leases, cursor=wanted[-1].decode() if more else None)
