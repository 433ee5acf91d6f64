"""The public class: every method of the protocol, carried out on a connection of the pool."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from functools import partial
from typing import Self

from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from durable_core.storage import (
    PROTOCOL_VERSION,
    Applied,
    Beat,
    BoundStorage,
    Cancelled,
    Capabilities,
    Checkpoint,
    Claimed,
    ClosedError,
    CountBy,
    Head,
    Hint,
    Inserted,
    Lease,
    NewExecution,
    Page,
    PulseConnection,
    Query,
    Reaped,
    SchemaReport,
    Transition,
    Wake,
    Woken,
)
from durable_core.storage.kit import (
    check_apply,
    check_cancel,
    check_claim,
    check_executor,
    check_insert,
    check_wake,
)

from .applying import apply_all
from .binding import Bound
from .cancelling import cancel_all
from .claiming import claim_due, claim_ids
from .connections import check_engine, check_transaction, made_here, open_engine
from .database import Database
from .hints import Hints
from .inserting import insert_all
from .leases import beat, lease_page
from .notifying import Notifier
from .process import neighbours
from .pulse import MySQLPulse
from .purging import CHUNK, delete_over, forget_messages, over
from .reading import checkpoint_page, count_all, find_page, get_all
from .reaping import reap_dead
from .server import Server
from .session import Told
from .setting_up import set_up
from .settings import Settings
from .statements import CLOCK
from .statistics import Statistics, Tally
from .waking import wake_all

_MEBIBYTE = 1024 * 1024


class MySQLStorage:
    """Keeps executions in a MySQL or MariaDB database, shared by any number of processes.

    Belongs to one event loop. Works at READ COMMITTED, whatever the server's default is; deadlocks
    are repeated. MySQL 8.0 or newer, MariaDB 10.6 or newer; which one it is, the server says.

    Args:
        engine: An `AsyncEngine` on aiomysql or asyncmy. It stays the caller's: it is never closed
            here, and its connections are given back as they were. Each call begins and ends a
            transaction, and the pool's own rollback is one round trip more.
        database: The database of the tables; by default the one of the engine's URL.
        prefix: Begins the names of all tables; another prefix is another namespace.
        command_timeout: Seconds for one round trip; then the connection is thrown away.
        poll_interval: Seconds between two looks for hints of other processes, while somebody
            listens and all is quiet; after a hint they follow closely for a while.

    Raises:
        InvalidArgumentError: An option is outside of what is allowed.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        database: str | None = None,
        prefix: str = "durable_",
        command_timeout: float = 60.0,
        poll_interval: float = 1.0,
    ) -> None:
        self._engine = check_engine(engine)
        url = engine.url
        self._settings = Settings(
            database=database or url.database or "",
            prefix=prefix,
            own=made_here(engine),
            command_timeout=command_timeout,
            poll_interval=poll_interval,
        )
        near = neighbours((url.host, url.port, self._settings.database, prefix))
        place = url.render_as_string(hide_password=True)
        self._database = Database(engine, self._settings, Tally(), place, self._committed)
        self._notifier = Notifier(self._database, near.sender)
        self._hints = Hints(self._database, self._notifier, near)

    @classmethod
    def from_url(
        cls,
        url: str | URL,
        *,
        database: str | None = None,
        prefix: str = "durable_",
        pool_size: int = 5,
        connect_timeout: float = 10.0,
        command_timeout: float = 60.0,
        lock_timeout: float = 20.0,
        poll_interval: float = 1.0,
    ) -> Self:
        """Make a storage with connections of its own, closed by `close`.

        Args:
            url: As ``mysql://user:password@host:3306/database`` or ``mariadb://…``; the driver is
                aiomysql, or what the URL says: ``mysql+asyncmy://…``.
            database: See the class.
            prefix: See the class.
            pool_size: Connections that stay open; twice as many are opened when needed, and one
                more to look for hints.
            connect_timeout: Seconds for connecting.
            command_timeout: Seconds for one round trip, and for a connection to become free.
            lock_timeout: Whole seconds for which a statement waits for a row's lock.
            poll_interval: See the class.

        Raises:
            InvalidArgumentError: The URL is not MySQL's or MariaDB's, its driver is not installed,
                or an option is not allowed.
        """
        engine = open_engine(
            url,
            pool_size=pool_size,
            connect_timeout=connect_timeout,
            command_timeout=command_timeout,
            lock_timeout=lock_timeout,
        )
        return cls(
            engine,
            database=database,
            prefix=prefix,
            command_timeout=command_timeout,
            poll_interval=poll_interval,
        )

    def _committed(self, told: Told) -> None:
        self._hints.committed(told)

    @property
    def capabilities(self) -> Capabilities:
        """What this storage can do; `setup` asks the server for its limits and its durability."""
        return _describe(self._database.server)

    async def setup(self, *, migrate: bool = True) -> SchemaReport:
        """See `Storage.setup`. Also opens a storage again that was closed."""
        self._database.closed = False
        await self._database.look()
        place = self._database.place
        work = partial(set_up, settings=self._settings, place=place, migrate=migrate)
        return await self._database.write(work)

    async def close(self) -> None:
        """Carry out what was called before, then release what this storage opened. Idempotent."""
        await self._database.close()
        await self._hints.close()
        await self._notifier.close()
        if self._settings.own:
            await self._engine.dispose()

    async def clock(self) -> int:
        """Return the server's time."""
        rows = await self._database.read(lambda s: s.rows(CLOCK))
        clock: int = rows[0][0]
        return clock

    async def insert(self, *, items: Sequence[NewExecution], now: int) -> Sequence[Inserted]:
        """See `Storage.insert`. One round trip, if none of the items is there already."""
        check_insert(items, self.capabilities)
        if not items:
            return []
        return await self._database.write(lambda s: insert_all(s, items, now))

    async def claim(
        self,
        *,
        executor: str,
        tasks: Collection[str],
        queues: Collection[str],
        limit: int,
        now: int,
        ids: Sequence[str] | None = None,
        claim_id: str | None = None,
        gates: object | None = None,
    ) -> Claimed:
        """See `Storage.claim`. Two round trips."""
        check_claim(executor, limit, gates, self.capabilities)
        if ids is not None:
            return await self._database.write(lambda s: claim_ids(s, executor, ids, limit, now))
        return await self._database.write(
            lambda s: claim_due(s, executor, tasks=tasks, queues=queues, limit=limit, now=now)
        )

    async def apply(self, *, items: Sequence[Transition], now: int) -> Sequence[Applied]:
        """See `Storage.apply`. Two round trips; one more if a child has a wake key."""
        check_apply(items, self.capabilities)
        if not items:
            return []
        parents: set[str] = set()
        return await self._database.write(lambda s: apply_all(s, items, parents, now))

    async def wake(self, *, items: Sequence[Wake], now: int) -> Sequence[Woken]:
        """See `Storage.wake`."""
        check_wake(items, self.capabilities)
        if not items:
            return []
        parents: set[str] = set()
        return await self._database.write(lambda s: wake_all(s, items, parents, now))

    async def cancel(self, *, ids: Sequence[str], request: str, now: int) -> Sequence[Cancelled]:
        """See `Storage.cancel`. Three round trips."""
        check_cancel(ids, request, self.capabilities)
        if not ids:
            return []
        parents: set[str] = set()
        return await self._database.write(lambda s: cancel_all(s, ids, request, parents, now))

    async def heartbeat(
        self, *, executor: str, ttl: int, now: int, register: bool = False, info: bytes = b""
    ) -> Beat:
        """See `Storage.heartbeat`. One round trip."""
        check_executor(executor)
        lease = Lease(executor=executor, started_at=now, expires_at=now + ttl, info=info)
        return await self._database.write(
            lambda s: beat(s, lease, register=register, signs_off=ttl <= 0)
        )

    async def reap(self, *, now: int, limit: int) -> Reaped:
        """See `Storage.reap`."""
        parents: set[str] = set()
        return await self._database.write(lambda s: reap_dead(s, now, limit, parents))

    async def get(self, *, ids: Sequence[str], payload: bool = True) -> Sequence[Head | None]:
        """See `Storage.get`."""
        return await self._database.read(lambda s: get_all(s, ids, payload=payload))

    async def find(
        self, *, query: Query, limit: int, cursor: str | None = None, payload: bool = False
    ) -> Page[Head]:
        """See `Storage.find`."""
        return await self._database.read(
            lambda s: find_page(s, query, limit, cursor, payload=payload)
        )

    async def count(
        self, *, query: Query, by: CountBy | None = None, cap: int | None = None
    ) -> Mapping[str, int]:
        """See `Storage.count`."""
        return await self._database.read(lambda s: count_all(s, query, by, cap))

    async def checkpoints(
        self,
        *,
        execution_id: str,
        limit: int,
        cursor: str | None = None,
    ) -> Page[Checkpoint]:
        """See `Storage.checkpoints`."""
        return await self._database.read(lambda s: checkpoint_page(s, execution_id, limit, cursor))

    async def purge(self, *, finished_before: int, now: int, limit: int) -> int:
        """See `Storage.purge`. Several transactions, each of a bounded size."""
        gone = 0
        while gone < limit:
            wanted = min(limit - gone, CHUNK)
            rows = await self._database.read(
                partial(over, finished_before=finished_before, limit=wanted)
            )
            if rows:
                work = partial(delete_over, rows=rows, finished_before=finished_before)
                deleted = await self._database.write(work)
                gone += deleted
                if not deleted:
                    break
            if len(rows) < wanted:
                break
        while await self._database.write(partial(forget_messages, now=now, limit=CHUNK)):
            pass
        return gone

    def listen(self, *, queues: Collection[str]) -> AsyncIterator[Hint]:
        """See `Listen.listen`."""
        if self._database.closed:
            msg = f"the MySQLStorage on {self._database.place} is closed"
            raise ClosedError(msg)
        return self._hints.listen(queues)

    async def leases(self, *, limit: int, cursor: str | None = None) -> Page[Lease]:
        """See `Leases.leases`."""
        return await self._database.read(lambda s: lease_page(s, limit, cursor))

    def pulse(self) -> PulseConnection:
        """See `Pulse.pulse`."""
        database = self._database
        return MySQLPulse(self._engine, self._settings, database.place, database.server)

    def bind(self, tx: object) -> BoundStorage:
        """See `Bind.bind`.

        Args:
            tx: SQLAlchemy's `AsyncConnection` or `AsyncSession` on the same server. It is in a
                transaction when something is written.
        """
        check_transaction(tx)
        return Bound(tx, self._database, self.capabilities)

    def statistics(self) -> Statistics:
        """Return what was sent to the database so far."""
        return self._database.tally.total()


def _describe(server: Server | None) -> Capabilities:
    batch = 64 * _MEBIBYTE if server is None else min(64 * _MEBIBYTE, server.max_batch_bytes)
    return Capabilities(
        protocol=PROTOCOL_VERSION,
        push=True,
        bind=True,
        bind_checkpoint=True,
        pulse=True,
        leases=True,
        shared=True,
        durable=server is None or server.durable,
        resolution_us=1,
        max_batch_rows=1_000,
        best_batch_rows=500,
        max_batch_bytes=batch,
        max_payload=min(16 * _MEBIBYTE, batch),
        durability="MySQL or MariaDB" if server is None else server.durability,
    )
