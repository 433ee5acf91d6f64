"""The public class: every method of the protocol, carried out on a client's connections."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from functools import partial
from typing import Self

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
from .clients import open_client
from .database import Database
from .drivers import Client, driver_for
from .hints import Hints, permitted
from .inserting import insert_all
from .leases import beat, clock, lease_page
from .pulse import MongoPulse
from .purging import CHUNK, delete_over, find_over, forget_messages
from .reading import checkpoint_page, count_all, find_page, get_all
from .reaping import reap_dead
from .setting_up import Server, look_at_server, set_up
from .settings import Settings
from .statistics import Statistics, Tally
from .waking import wake_all


class MongoStorage:
    """Keeps executions in a MongoDB replica set, shared by any number of processes.

    Belongs to one event loop. Every write waits until a majority of the members has it in the
    journal, and what is answered was read from what a majority has, whatever the client's own
    settings are. Transactions that another one was in the way of are begun again.

    Args:
        client: A `pymongo.AsyncMongoClient`, or a `motor.motor_asyncio.AsyncIOMotorClient`. It
            stays the caller's: it is never closed here.
        database: The database of the collections.
        prefix: Begins the names of all collections; another prefix is another namespace.

    Raises:
        InvalidArgumentError: An option is outside of what is allowed.
    """

    def __init__(
        self, client: object, *, database: str = "durable", prefix: str = "durable_"
    ) -> None:
        self._settings = Settings(database=database, prefix=prefix)
        self._driver = driver_for(client)
        self._own: Client | None = None
        self._push = True
        place = f"mongodb://{self._driver.hosts()}/{database}"
        self._tally = Tally()
        self._database = Database(self._driver, self._settings, self._tally, place)
        self._hints = Hints(self._driver, self._settings, place, self._database.line)
        self._capabilities = self._describe(None)

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        database: str | None = None,
        prefix: str = "durable_",
        pool_size: int = 20,
        selection_timeout: float = 15.0,
        command_timeout: float = 60.0,
    ) -> Self:
        """Make a storage with a client of its own, closed by `close`.

        Args:
            url: As ``mongodb://user:password@host1,host2/database?replicaSet=name``, or
                ``mongodb+srv://…``. What it says of read and write concerns is overridden; other
                options that it names go before those given here.
            database: The database of the collections; by default the URL's, or ``durable``.
            prefix: See the class.
            pool_size: Connections at most to each member; one more listens for hints.
            selection_timeout: Seconds that a call waits for a primary.
            command_timeout: Seconds for the reply to one command.

        Raises:
            InvalidArgumentError: The URL is not MongoDB's, or an option is not allowed.
        """
        client, named = open_client(
            url,
            pool_size=pool_size,
            selection_timeout=selection_timeout,
            command_timeout=command_timeout,
        )
        storage = cls(client, database=database or named or "durable", prefix=prefix)
        storage._own = client
        return storage

    def _describe(self, server: Server | None) -> Capabilities:
        return Capabilities(
            protocol=PROTOCOL_VERSION,
            push=self._push,
            bind=True,
            bind_checkpoint=True,
            pulse=self._driver.knows_how_to_connect(),
            leases=True,
            shared=True,
            durable=True,
            resolution_us=1,
            max_batch_rows=1_000,
            best_batch_rows=500,
            max_batch_bytes=16 * 1024 * 1024,
            # A document has six payloads at most, and at most 16 MB.
            max_payload=2_560 * 1024,
            durability="MongoDB" if server is None else server.text,
        )

    @property
    def capabilities(self) -> Capabilities:
        """What this storage can do; `setup` looks whether the user may watch changes (`push`)."""
        return self._capabilities

    async def setup(self, *, migrate: bool = True) -> SchemaReport:
        """See `Storage.setup`. Also opens a storage on the caller's client again that was closed.

        Raises:
            PermanentError: The server belongs to no replica set, or is older than MongoDB 6.0.
            ReadOnlyError: The client is tied to a secondary.
        """
        database = self._database
        database.closed = False
        place = database.place
        server = await database.read(partial(look_at_server, place=place), schema=False)
        work = partial(set_up, place=place, migrate=migrate)
        report = await database.write(work, schema=False)
        database.complete = not report.missing
        if database.complete:
            self._push = await database.read(
                lambda _: permitted(self._driver, self._settings), schema=False
            )
        self._capabilities = self._describe(server)
        return report

    async def close(self) -> None:
        """Carry out what was called before, then release what this storage opened. Idempotent."""
        await self._database.close()
        await self._hints.close()
        if self._own is not None:
            await self._own.close()

    async def clock(self) -> int:
        """Return the server's time, which knows milliseconds."""
        return await self._database.read(clock)

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
        return await self._database.write(lambda s: apply_all(s, items, now))

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
                partial(find_over, finished_before=finished_before, limit=wanted)
            )
            if not rows:
                break
            work = partial(delete_over, rows=rows, finished_before=finished_before)
            deleted = await self._database.write(work)
            gone += deleted
            if not deleted or len(rows) < wanted:
                break
        await self._database.write(partial(forget_messages, now=now))
        return gone

    def listen(self, *, queues: Collection[str]) -> AsyncIterator[Hint]:
        """See `Listen.listen`."""
        if not self._push:
            msg = "the user may not watch changes: the capability 'push' is not declared"
            raise NotImplementedError(msg)
        if self._database.closed:
            msg = f"the MongoStorage on {self._database.place} is closed"
            raise ClosedError(msg)
        return self._hints.listen(queues)

    async def leases(self, *, limit: int, cursor: str | None = None) -> Page[Lease]:
        """See `Leases.leases`."""
        return await self._database.read(lambda s: lease_page(s, limit, cursor))

    def pulse(self) -> PulseConnection:
        """See `Pulse.pulse`."""
        return MongoPulse(self._driver, self._settings, self._database.place)

    def bind(self, tx: object) -> BoundStorage:
        """See `Bind.bind`.

        Args:
            tx: A session in a transaction: PyMongo's `AsyncClientSession`, or Motor's. It may
                belong to any client of the same replica set.
        """
        return Bound(tx, self._database, self._capabilities)

    def statistics(self) -> Statistics:
        """Return what was sent to the database so far, hints and heartbeats of threads aside."""
        return self._tally.total()
