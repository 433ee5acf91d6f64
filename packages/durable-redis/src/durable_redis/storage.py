"""The public class: every method of the protocol, carried out by scripts on the server."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
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
from .database import Database
from .hints import Hints
from .inserting import insert_all
from .leases import beat, lease_page
from .links import Client, Clustered, link_of, open_client
from .pulse import RedisPulse
from .purging import purge_over
from .reading import checkpoint_page, count_all, find_page, get_all
from .reaping import reap_dead
from .setting_up import Server, check_server, look_at_server, set_up
from .settings import Durability, Settings
from .statistics import Statistics, Tally
from .transactions import transaction_of
from .waking import wake_all


class RedisStorage:
    """Keeps executions in Redis or Valkey, shared by any number of processes.

    Belongs to one event loop. All keys of a namespace are in one slot of a cluster; several
    namespaces spread over its nodes.

    Args:
        client: A `redis.asyncio.Redis` or `redis.asyncio.RedisCluster`. It stays the caller's: it
            is never closed here. Its pool lends the connections; its retries are not used.
        namespace: Begins the name of every key, between braces; another one is another storage.
        durability: What `setup` does about a server that may forget what it answered: ``"warn"``
            logs a warning, ``"require"`` refuses the server, ``"ignore"`` says nothing.
        wait_replicas: Replicas that must have confirmed a write before it counts.
        wait_aof: Whether a write counts only when the server has synced its append-only file.
        wait_timeout: Seconds to wait for both; then the outcome is unknown.

    Raises:
        InvalidArgumentError: An option is outside of what is allowed.
    """

    def __init__(
        self,
        client: Client,
        *,
        namespace: str = "durable",
        durability: Durability = "warn",
        wait_replicas: int = 0,
        wait_aof: bool = False,
        wait_timeout: float = 5.0,
    ) -> None:
        self._settings = Settings(
            namespace=namespace,
            durability=durability,
            wait_replicas=wait_replicas,
            wait_aof=wait_aof,
            wait_timeout=wait_timeout,
        )
        tally = Tally()
        self._own = False
        self._client = client
        self._link = link_of(client, self._settings.schema)
        self._database = Database(self._link, self._settings, tally)
        self._hints = Hints(self._link, self._settings, tally)
        self._capabilities = self._describe(None)

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        namespace: str = "durable",
        durability: Durability = "warn",
        wait_replicas: int = 0,
        wait_aof: bool = False,
        wait_timeout: float = 5.0,
        pool_size: int = 10,
        connect_timeout: float = 10.0,
        command_timeout: float = 60.0,
    ) -> Self:
        """Make a storage with connections of its own, closed by `close`.

        Args:
            url: ``redis://user:password@host:6379/0``, ``rediss://…`` with TLS,
                ``unix:///path/to/socket``; ``redis+cluster://host:6379`` names a node of a
                cluster, ``rediss+cluster://…`` with TLS.
            namespace: See the class.
            durability: See the class.
            wait_replicas: See the class.
            wait_aof: See the class.
            wait_timeout: See the class.
            pool_size: Connections that are opened at most; one more listens for hints.
            connect_timeout: Seconds for connecting.
            command_timeout: Seconds for an answer, and for a connection to become free.

        Raises:
            InvalidArgumentError: The URL is not Redis's, or an option is not allowed.
        """
        client = open_client(
            url,
            pool_size=pool_size,
            connect_timeout=connect_timeout,
            command_timeout=command_timeout,
        )
        storage = cls(
            client,
            namespace=namespace,
            durability=durability,
            wait_replicas=wait_replicas,
            wait_aof=wait_aof,
            wait_timeout=wait_timeout,
        )
        storage._own = True
        return storage

    def _describe(self, server: Server | None) -> Capabilities:
        return Capabilities(
            protocol=PROTOCOL_VERSION,
            push=True,
            bind=True,
            pulse=True,
            leases=True,
            shared=True,
            durable=server is not None and server.durable,
            resolution_us=1_000,
            max_batch_rows=200,
            max_batch_bytes=64 * 1024 * 1024,
            max_payload=16 * 1024 * 1024,
            durability="Redis" if server is None else server.text,
        )

    @property
    def capabilities(self) -> Capabilities:
        """What this storage can do; `setup` asks the server what its answers are worth."""
        return self._capabilities

    async def setup(self, *, migrate: bool = True) -> SchemaReport:
        """See `Storage.setup`. Also opens a storage again that was closed.

        Raises:
            PermanentError: The server is too old, or may forget although ``durability`` is
                ``"require"``.
            ReadOnlyError: The server is a replica.
        """
        self._database.closed = False
        server = await look_at_server(self._database)
        check_server(
            server,
            self._settings,
            self._database.place,
            clustered=isinstance(self._link, Clustered),
        )
        self._capabilities = self._describe(server)
        return await set_up(self._database, migrate=migrate)

    async def close(self) -> None:
        """Carry out what was called before, then release what this storage opened. Idempotent."""
        await self._database.close()
        await self._hints.close()
        if self._own:
            await self._link.close()

    async def clock(self) -> int:
        """Return the server's time."""
        seconds, microseconds = await self._database.command(b"TIME")
        return int(seconds) * 1_000_000 + int(microseconds)

    async def insert(self, *, items: Sequence[NewExecution], now: int) -> Sequence[Inserted]:
        """See `Storage.insert`."""
        check_insert(items, self._capabilities)
        return await insert_all(self._database, items, now)

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
            return await claim_ids(self._database, executor, ids, limit, now)
        return await claim_due(
            self._database, executor, tasks=tasks, queues=queues, limit=limit, now=now
        )

    async def apply(self, *, items: Sequence[Transition], now: int) -> Sequence[Applied]:
        """See `Storage.apply`."""
        check_apply(items, self._capabilities)
        return await apply_all(self._database, items, now)

    async def wake(self, *, items: Sequence[Wake], now: int) -> Sequence[Woken]:
        """See `Storage.wake`."""
        check_wake(items, self._capabilities)
        return await wake_all(self._database, items, now)

    async def cancel(self, *, ids: Sequence[str], request: str, now: int) -> Sequence[Cancelled]:
        """See `Storage.cancel`."""
        check_cancel(ids, request, self._capabilities)
        return await cancel_all(self._database, ids, request, now)

    async def heartbeat(
        self, *, executor: str, ttl: int, now: int, register: bool = False, info: bytes = b""
    ) -> Beat:
        """See `Storage.heartbeat`."""
        check_executor(executor)
        lease = Lease(executor=executor, started_at=now, expires_at=now + ttl, info=info)
        return await beat(self._database, lease, register=register)

    async def reap(self, *, now: int, limit: int) -> Reaped:
        """See `Storage.reap`. Several scripts, each of a bounded size."""
        return await reap_dead(self._database, now, limit)

    async def get(self, *, ids: Sequence[str], payload: bool = True) -> Sequence[Head | None]:
        """See `Storage.get`."""
        return await get_all(self._database, ids, payload=payload)

    async def find(
        self, *, query: Query, limit: int, cursor: str | None = None, payload: bool = False
    ) -> Page[Head]:
        """See `Storage.find`."""
        return await find_page(self._database, query, limit, cursor, payload=payload)

    async def count(
        self, *, query: Query, by: CountBy | None = None, cap: int | None = None
    ) -> Mapping[str, int]:
        """See `Storage.count`."""
        return await count_all(self._database, query, by, cap)

    async def checkpoints(
        self,
        *,
        execution_id: str,
        limit: int,
        cursor: str | None = None,
    ) -> Page[Checkpoint]:
        """See `Storage.checkpoints`."""
        return await checkpoint_page(self._database, execution_id, limit, cursor)

    async def purge(self, *, finished_before: int, now: int, limit: int) -> int:
        """See `Storage.purge`. Several scripts, each of a bounded size."""
        return await purge_over(self._database, finished_before, now, limit)

    def listen(self, *, queues: Collection[str]) -> AsyncIterator[Hint]:
        """See `Listen.listen`."""
        if self._database.closed:
            msg = f"the RedisStorage on {self._database.place} is closed"
            raise ClosedError(msg)
        return self._hints.listen(queues)

    async def leases(self, *, limit: int, cursor: str | None = None) -> Page[Lease]:
        """See `Leases.leases`."""
        return await lease_page(self._database, limit, cursor)

    def pulse(self) -> PulseConnection:
        """See `Pulse.pulse`."""
        return RedisPulse(self._link, self._settings)

    def bind(self, tx: object) -> BoundStorage:
        """See `Bind.bind`.

        Args:
            tx: A pipeline with ``transaction=True`` of a `redis.asyncio` client on the same
                server; on a cluster all its keys are in the slot of the namespace. Its EXEC also
                answers, in the place of each `insert`, what is no concern of the caller's. If
                somebody else inserts one of the same ids or keys meanwhile, EXEC raises the
                driver's `WatchError` and nothing at all is done: repeat the transaction.
        """
        transaction = transaction_of(tx, self._client)
        return Bound(
            transaction,
            self._settings,
            self._capabilities,
            self._database.place,
            self._database.tally,
        )

    def statistics(self) -> Statistics:
        """Return what was sent to the server so far."""
        return self._database.tally.total()
