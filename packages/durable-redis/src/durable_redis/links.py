"""The way to the server that has the namespace's slot: a pool, or a cluster's client."""

# The driver's own annotations leave much open; what is used of it is written down here.

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, Protocol, TypeAlias

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import MaxConnectionsError, MovedError, RedisError

from durable_core.storage import InvalidArgumentError

Client: TypeAlias = "Redis | RedisCluster"
"""A client of the driver's, standalone or of a cluster."""

_SCHEMES: Final = ("redis://", "rediss://", "unix://")
_PATIENCE: Final = 60.0
_LOOK_AGAIN: Final = 0.05

_CLUSTER_SCHEMES: Final = ("redis+cluster://", "rediss+cluster://")


class Connection(Protocol):
    """What is used of a connection of the driver's."""

    @property
    def is_connected(self) -> bool: ...  # noqa: D102

    def connect(self) -> Awaitable[None]: ...  # noqa: D102

    def disconnect(self, nowait: bool = False) -> Awaitable[None]: ...  # noqa: D102, FBT001, FBT002

    def send_packed_command(  # noqa: D102
        self,
        command: bytes,
        check_health: bool = True,  # noqa: FBT001, FBT002
    ) -> Awaitable[None]: ...

    def read_response(  # noqa: D102
        self,
        disable_decoding: bool = False,  # noqa: FBT001, FBT002
        timeout: float | None = None,
    ) -> Awaitable[Any]: ...


class Link(Protocol):
    """Lends connections to the server that has the namespace's slot."""

    @property
    def place(self) -> str:
        """The server, for messages; without a password."""
        ...

    async def acquire(self) -> Connection:
        """Return a connected connection."""
        ...

    async def release(self, connection: Connection) -> None:
        """Take a connection back."""
        ...

    async def ready(self) -> None:
        """Find out where the slot is, so that `make` knows."""
        ...

    def make(self, moved: MovedError | None = None) -> Connection:
        """Return a new connection that is nobody else's and not connected; for RESP 2.

        Args:
            moved: What the server said that has the slot no more; it names the one that has it.
        """
        ...

    def doubt(self) -> None:
        """Look anew where the slot is before the next command."""
        ...

    async def close(self) -> None:
        """Close the client."""
        ...


def pack(command: Iterable[bytes]) -> bytes:
    """Return a command as it is sent."""
    parts = list(command)
    pieces = [b"*%d\r\n" % len(parts)]
    for part in parts:
        pieces += (b"$%d\r\n" % len(part), part, b"\r\n")
    return b"".join(pieces)


def _single(kind: Any, options: Mapping[str, Any]) -> Connection:
    # Notices of maintenance need RESP 3 and belong to pools.
    kwargs = {name: value for name, value in options.items() if "maint" not in name}
    kwargs |= {"protocol": 2, "retry": Retry(NoBackoff(), 0)}
    connection: Connection = kind(**kwargs)
    return connection


async def _refresh(connection: Any) -> None:
    """Connect anew if the server has closed the connection while it lay still.

    The driver's pool looks too, but not where it expects notices of maintenance.
    """
    try:
        stale = await connection.can_read()
    except RedisError:
        stale = True
    if stale:
        await connection.disconnect(nowait=True)
        await connection.connect()


class _Queue:
    """Waits for a connection where the driver's pool would refuse at once.

    Args:
        options: Of the pool's connections; nobody waits longer than for an answer.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._patience: float = options.get("socket_timeout") or _PATIENCE
        self._released = asyncio.Event()

    async def take(self, acquire: Callable[[], Awaitable[Any]]) -> Any:
        """Return a connection.

        Raises:
            MaxConnectionsError: None became free.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        while True:
            self._released.clear()
            try:
                return await acquire()
            except MaxConnectionsError:
                if loop.time() >= deadline:
                    raise
            # A pool of the caller's may be given a connection back without our knowing.
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_AGAIN):
                    await self._released.wait()

    def next(self) -> None:
        """Let the next one try."""
        self._released.set()


class Standalone:
    """A link by a client's pool.

    Args:
        client: The client.
    """

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._pool: Any = client.connection_pool
        self._queue = _Queue(self._pool.connection_kwargs)

    @property
    def place(self) -> str:
        """See `Link.place`."""
        options: Mapping[str, Any] = self._pool.connection_kwargs
        where = options.get("path") or f"{options.get('host')}:{options.get('port')}"
        if "connection_pool" in options:
            # Sentinel's pool asks for the address of each connection.
            where = f"primary of {self._pool.service_name!r}"
        return f"{where}/{options.get('db') or 0}"

    async def acquire(self) -> Connection:
        """See `Link.acquire`."""
        connection: Connection = await self._queue.take(self._pool.get_connection)
        try:
            await _refresh(connection)
        except BaseException:
            await self._pool.release(connection)
            raise
        return connection

    async def release(self, connection: Connection) -> None:
        """See `Link.release`."""
        await self._pool.release(connection)
        self._queue.next()

    async def ready(self) -> None:
        """There is but one server."""

    def make(self, moved: MovedError | None = None) -> Connection:
        """See `Link.make`."""
        return _single(self._pool.connection_class, self._pool.connection_kwargs)

    def doubt(self) -> None:
        """There is but one server."""

    async def close(self) -> None:
        """See `Link.close`."""
        await self._client.aclose()
        await self._pool.disconnect()


class Clustered:
    """A link by a cluster's client, to the primary of the namespace's slot.

    Args:
        client: The client.
        key: A key of the namespace.
    """

    def __init__(self, client: RedisCluster, key: bytes) -> None:
        self._client = client
        self._slot = key_slot(key)
        self._nodes: dict[int, Any] = {}
        self._doubtful = False
        self._queue = _Queue(client.get_connection_kwargs())

    @property
    def _manager(self) -> Any:
        return self._client.nodes_manager

    @property
    def place(self) -> str:
        """See `Link.place`."""
        names = ",".join(sorted(self._manager.startup_nodes))
        return f"cluster {names}"

    def _node(self) -> Any:
        return self._manager.get_node_from_slot(self._slot)

    async def ready(self) -> None:
        """See `Link.ready`."""
        _ = await self._client.initialize()
        if self._doubtful:
            await self._manager.initialize()
            self._doubtful = False

    async def acquire(self) -> Connection:
        """See `Link.acquire`."""
        await self.ready()
        node = self._node()

        async def acquire() -> Any:
            return node.acquire_connection()

        connection = await self._queue.take(acquire)
        try:
            await node.disconnect_if_needed(connection)
            await connection.connect()
            await _refresh(connection)
        except BaseException:
            node.release(connection)
            self._doubtful = True
            raise
        self._nodes[id(connection)] = node
        lent: Connection = connection
        return lent

    async def release(self, connection: Connection) -> None:
        """See `Link.release`."""
        self._nodes.pop(id(connection)).release(connection)
        self._queue.next()

    def make(self, moved: MovedError | None = None) -> Connection:
        """See `Link.make`."""
        node = self._node()
        options = dict(node.connection_kwargs)
        if moved is not None:
            there: Any = moved
            place = self._manager.remap_host_port(there.host, there.port)
            options["host"], options["port"] = place
        return _single(node.connection_class, options)

    def doubt(self) -> None:
        """See `Link.doubt`."""
        self._doubtful = True

    async def close(self) -> None:
        """See `Link.close`."""
        await self._client.aclose()


def link_of(client: object, key: bytes) -> Link:
    """Return the link by a caller's client.

    Raises:
        InvalidArgumentError: It is none of the driver's asyncio clients.
    """
    if isinstance(client, RedisCluster):
        return Clustered(client, key)
    if isinstance(client, Redis):
        return Standalone(client)
    msg = (
        "RedisStorage takes a redis.asyncio.Redis or redis.asyncio.RedisCluster, not "
        f"{type(client).__module__}.{type(client).__name__}; RedisStorage.from_url() makes one"
    )
    raise InvalidArgumentError(msg)


def open_client(
    url: str, *, pool_size: int, connect_timeout: float, command_timeout: float
) -> Client:
    """Return a client that does nothing by itself: no command is sent twice.

    Raises:
        InvalidArgumentError: The URL is not Redis's, or an option is not allowed.
    """
    if pool_size < 1:
        msg = f"pool_size={pool_size!r}: choose a number of connections from 1 on"
        raise InvalidArgumentError(msg)
    for name, seconds in (
        ("connect_timeout", connect_timeout),
        ("command_timeout", command_timeout),
    ):
        if not seconds > 0:
            msg = f"{name}={seconds!r}: choose seconds above 0"
            raise InvalidArgumentError(msg)
    options: dict[str, Any] = {
        "socket_connect_timeout": connect_timeout,
        "socket_timeout": command_timeout,
        "retry": Retry(NoBackoff(), 0),
        "max_connections": pool_size,
    }
    try:
        if url.startswith(_CLUSTER_SCHEMES):
            return _cluster(url.replace("+cluster", "", 1), options)
        if url.startswith(_SCHEMES):
            return _standalone(url, options, command_timeout)
    except Exception as error:
        msg = f"{_hidden(url)} is no URL that the driver understands: {error}"
        raise InvalidArgumentError(msg) from error
    msg = (
        f"{_hidden(url)} is no URL of Redis: it is redis://user:password@host:6379/0, rediss://… "
        "with TLS, unix:///path/to/socket, or redis+cluster://host:6379 for a cluster"
    )
    raise InvalidArgumentError(msg)


def _cluster(url: str, options: Mapping[str, Any]) -> RedisCluster:
    kind: Any = RedisCluster
    client: RedisCluster = kind.from_url(url, **options)
    return client


def _standalone(url: str, options: Mapping[str, Any], patience: float) -> Redis:
    kind: Any = BlockingConnectionPool
    return Redis(connection_pool=kind.from_url(url, timeout=patience, **options))


def _hidden(url: str) -> str:
    """Return a URL without its password."""
    before, at, host = url.rpartition("@")
    scheme, _, user = before.partition("://")
    return repr(f"{scheme}://{user.partition(':')[0]}:***@{host}" if at else url)
