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

from .applying import apply_plain, has_children
from .binding import Bound
from .cancelling import cancel_all
from .claiming import claim_due, claim_ids
from .connections import check_engine, check_transaction, open_engine
from .database import Database
from .hints import Hints
from .inserting import insert_all
from .leases import beat, lease_page
from .notifying import Notifier
from .pulse import PostgresPulse
from .purging import CHUNK, delete_over, forget_messages, over
from .reading import checkpoint_page, count_all, find_page, get_all
from .reaping import reap_dead
from .setting_up import Server, look_at_server, set_up
from .settings import Settings
from .statements import CLOCK
from .statistics import Statistics, Tally
from .transitions import apply_families
from .waking import wake_all


class PostgresStorage:
    """Keeps executions in a PostgreSQL database, shared by any number of processes.

    Belongs to one event loop. Needs no more than READ COMMITTED; deadlocks and serialization
    failures are repeated.

    Args:
        engine: An `AsyncEngine` on asyncpg. It stays the caller's: it is never closed here.
        schema: The database schema of the tables; made by `setup` if it is not there.
        prefix: Begins the names of all tables; another prefix is another namespace.
        pooler: Whether a pooler in transaction mode (PgBouncer, …) stands between: no hints
            (capability ``push``) then. The engine must not use prepared statements either:
            ``connect_args={"statement_cache_size": 0, "prepared_statement_cache_size": 0}``.
        connect_timeout: Seconds for connecting.

    Raises:
        InvalidArgumentError: An option is outside of what is allowed.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        schema: str = "public",
        prefix: str = "durable_",
        pooler: bool = False,
        connect_timeout: float = 10.0,
    ) -> None:
        self._settings = Settings(
            schema=schema, prefix=prefix, pooler=pooler, connect_timeout=connect_timeout
        )
        self._engine = check_engine(engine)
        self._own = False
        tally = Tally()
        place = engine.url.render_as_string(hide_password=True)
        self._notifier = Notifier(self._engine, self._settings, tally)
        self._hints = Hints(self._engine, self._settings, self._notifier, tally, place)
        self._database = Database(self._engine, self._settings, tally, place, self._hints.committed)
        self._capabilities = self._describe(None)

    @classmethod
    def from_url(
        cls,
        url: str | URL,
        *,
        schema: str = "public",
        prefix: str = "durable_",
        pooler: bool = False,
        pool_size: int = 8,
        connect_timeout: float = 10.0,
        command_timeout: float = 60.0,
    ) -> Self:
        """Make a storage with connections of its own, closed by `close`.

        Args:
            url: As ``postgresql://user:password@host:5432/database``.
            schema: See the class.
            prefix: See the class.
            pooler: Whether a pooler in transaction mode stands between; no statement is prepared
                then, and there are no hints.
            pool_size: Connections at most, each opened when it is first needed; one more listens
                for hints, and one more sends heartbeats.
            connect_timeout: Seconds for connecting.
            command_timeout: Seconds for one statement, and for a connection to become free.

        Raises:
            InvalidArgumentError: The URL is not PostgreSQL's, or an option is not allowed.
        """
        engine = open_engine(
            url,
            pool_size=pool_size,
            pooler=pooler,
            connect_timeout=connect_timeout,
            command_timeout=command_timeout,
        )
        storage = cls(
            engine, schema=schema, prefix=prefix, pooler=pooler, connect_timeout=connect_timeout
        )
        storage._own = True
        return storage

    def _describe(self, server: Server | None) -> Capabilities:
        return Capabilities(
            protocol=PROTOCOL_VERSION,
            push=not self._settings.pooler,
            bind=True,
            bind_checkpoint=True,
            pulse=True,
            leases=True,
            shared=True,
            durable=server is None or server.durable,
            resolution_us=1,
            max_batch_rows=1_000,
            best_batch_rows=500,
            max_batch_bytes=64 * 1024 * 1024,
            max_payload=16 * 1024 * 1024,
            durability="PostgreSQL" if server is None else server.text,
        )

    @property
    def capabilities(self) -> Capabilities:
        """What this storage can do; `setup` asks the server what its commits are worth."""
        return self._capabilities

    async def setup(self, *, migrate: bool = True) -> SchemaReport:
        """See `Storage.setup`. Also opens a storage again that was closed."""
        self._database.closed = False
        self._capabilities = self._describe(await self._database.read(look_at_server))
        place = self._database.place
        work = partial(set_up, settings=self._settings, place=place, migrate=migrate)
        return await self._database.write(work)

    async def close(self) -> None:
        """Carry out what was called before, then release what this storage opened. Idempotent."""
        await self._database.close()
        await self._hints.close()
        await self._notifier.close()
        if self._own:
            await self._engine.dispose()

    async def clock(self) -> int:
        """Return the server's time."""
        rows = await self._database.read(lambda s: s.rows(CLOCK))
        clock: int = rows[0][0]
        return clock

    async def insert(self, *, items: Sequence[NewExecution], now: int) -> Sequence[Inserted]:
        """See `Storage.insert`."""
        check_insert(items, self._capabilities)
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
        """See `Storage.claim`."""
        check_claim(executor, limit, gates, self._capabilities)
        if ids is not None:
            return await self._database.write(lambda s: claim_ids(s, executor, ids, limit, now))
        return await self._database.write(
            lambda s: claim_due(s, executor, tasks=tasks, queues=queues, limit=limit, now=now)
        )

    async def apply(self, *, items: Sequence[Transition], now: int) -> Sequence[Applied]:
        """See `Storage.apply`."""
        check_apply(items, self._capabilities)
        if not items:
            return []
        if any(has_children(item) for item in items):
            return await self._database.write(lambda s: apply_families(s, items, now))
        return await self._database.write(lambda s: apply_plain(s, items, now))

    async def wake(self, *, items: Sequence[Wake], now: int) -> Sequence[Woken]:
        """See `Storage.wake`."""
        check_wake(items, self._capabilities)
        if not items:
            return []
        return await self._database.write(lambda s: wake_all(s, items, now))

    async def cancel(self, *, ids: Sequence[str], request: str, now: int) -> Sequence[Cancelled]:
        """See `Storage.cancel`."""
        check_cancel(ids, request, self._capabilities)
        if not ids:
            return []
        return await self._database.write(lambda s: cancel_all(s, ids, request, now))

    async def heartbeat(
        self, *, executor: str, ttl: int, now: int, register: bool = False, info: bytes = b""
    ) -> Beat:
        """See `Storage.heartbeat`."""
        check_executor(executor)
        lease = Lease(executor=executor, started_at=now, expires_at=now + ttl, info=info)
        return await self._database.write(
            lambda s: beat(s, lease, register=register, signs_off=ttl <= 0)
        )

    async def reap(self, *, now: int, limit: int) -> Reaped:
        """See `Storage.reap`."""
        return await self._database.write(lambda s: reap_dead(s, now, limit))

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
        if self._settings.pooler:
            msg = "no hints behind a transaction pooler: the capability 'push' is not declared"
            raise NotImplementedError(msg)
        if self._database.closed:
            msg = f"the PostgresStorage on {self._database.place} is closed"
            raise ClosedError(msg)
        return self._hints.listen(queues)

    async def leases(self, *, limit: int, cursor: str | None = None) -> Page[Lease]:
        """See `Leases.leases`."""
        return await self._database.read(lambda s: lease_page(s, limit, cursor))

    def pulse(self) -> PulseConnection:
        """See `Pulse.pulse`."""
        return PostgresPulse(self._engine, self._settings, self._database.place)

    def bind(self, tx: object) -> BoundStorage:
        """See `Bind.bind`.

        Args:
            tx: SQLAlchemy's `AsyncConnection` or `AsyncSession`, or an `asyncpg.Connection`, on
                the same database. It is in a transaction when something is written.
        """
        check_transaction(tx)
        return Bound(
            tx, self._settings, self._database.tally, self._database.place, self._capabilities
        )

    def statistics(self) -> Statistics:
        """Return what was sent to the database so far."""
        return self._database.tally.total()
