"""The caller's transaction: a pipeline of the driver's that ends with EXEC."""

# The driver offers no way to WATCH more keys once commands are queued, although the server takes
# them until MULTI is sent, and that is sent with EXEC. What is used beside its public interface is
# all in this module.

from collections.abc import Sequence
from typing import Any, Protocol

from redis.asyncio.client import Pipeline
from redis.asyncio.cluster import ClusterPipeline
from redis.client import NEVER_DECODE

from durable_core.storage import InvalidArgumentError

_TAKES = (
    "bind() takes a redis.asyncio pipeline of the storage's own server with transaction=True, as "
    "client.pipeline(transaction=True)"
)


class Transaction(Protocol):
    """What is needed of a caller's transaction."""

    @property
    def queued(self) -> Sequence[Sequence[Any]]:
        """The commands that wait for EXEC."""
        ...

    async def watch(self, keys: Sequence[bytes]) -> None:
        """Let EXEC fail if one of these changes before."""
        ...

    async def ask(self, *command: bytes) -> bytes:
        """Send a command at once and return its answer."""
        ...

    def queue(self, *command: bytes) -> None:
        """Let a command wait for EXEC."""
        ...


class _Standalone:
    """A pipeline of a standalone server's client."""

    def __init__(self, pipe: Any) -> None:
        if pipe.watching and not pipe.explicit_transaction:
            msg = "the pipeline watches keys, but multi() was not called: call it before bind()"
            raise InvalidArgumentError(msg)
        self._pipe = pipe

    @property
    def queued(self) -> Sequence[Sequence[Any]]:
        return [args for args, _ in self._pipe.command_stack]

    async def watch(self, keys: Sequence[bytes]) -> None:
        await self._pipe.immediate_execute_command("WATCH", *keys)
        # Else what the caller does next would be done at once, not by EXEC.
        self._pipe.explicit_transaction = True

    async def ask(self, *command: bytes) -> bytes:
        name, *rest = command
        options = {NEVER_DECODE: True}
        answer: bytes = await self._pipe.immediate_execute_command(name.decode(), *rest, **options)
        return answer

    def queue(self, *command: bytes) -> None:
        name, *rest = command
        self._pipe.pipeline_execute_command(name.decode(), *rest)


class _Clustered:
    """A pipeline of a cluster's client."""

    def __init__(self, pipe: Any) -> None:
        self._pipe = pipe
        self._strategy = pipe._execution_strategy  # noqa: SLF001
        if self._strategy._watching and not self._strategy._explicit_transaction:  # noqa: SLF001
            msg = "the pipeline watches keys, but multi() was not called: call it before bind()"
            raise InvalidArgumentError(msg)

    @property
    def queued(self) -> Sequence[Sequence[Any]]:
        return [command.args for command in self._strategy._command_queue]  # noqa: SLF001

    async def watch(self, keys: Sequence[bytes]) -> None:
        await self._at_once("WATCH", *keys)

    async def ask(self, *command: bytes) -> bytes:
        name, *rest = command
        answer: bytes = await self._at_once(name.decode(), *rest, **{NEVER_DECODE: True})
        return answer

    async def _at_once(self, *command: Any, **options: Any) -> Any:
        self._strategy._explicit_transaction = False  # noqa: SLF001
        try:
            answer = await self._strategy._execute_command(*command, **options)  # noqa: SLF001
            return await answer
        finally:
            self._strategy._explicit_transaction = True  # noqa: SLF001

    def queue(self, *command: bytes) -> None:
        name, *rest = command
        self._pipe.execute_command(name.decode(), *rest)


def transaction_of(tx: object, client: Any) -> Transaction:
    """Return a caller's pipeline as what is needed of it.

    Args:
        tx: The pipeline.
        client: The storage's own client.

    Raises:
        InvalidArgumentError: It is none, no transaction, or another server's.
    """
    pipe: Any = tx
    if isinstance(tx, ClusterPipeline):
        if not pipe._transaction or not _same_cluster(pipe, client):  # noqa: SLF001
            raise InvalidArgumentError(_TAKES)
        return _Clustered(tx)
    if isinstance(tx, Pipeline):
        if not pipe.is_transaction or not _same_server(pipe, client):
            raise InvalidArgumentError(_TAKES)
        return _Standalone(tx)
    msg = f"{_TAKES}, not {type(tx).__module__}.{type(tx).__name__}"
    raise InvalidArgumentError(msg)


def _same_server(pipe: Any, client: Any) -> bool:
    ours = getattr(client, "connection_pool", None)
    if ours is None:
        return False
    theirs = pipe.connection_pool
    names = ("host", "port", "path", "service_name")
    a, b = ours.connection_kwargs, theirs.connection_kwargs
    same = all(a.get(name) == b.get(name) for name in names)
    return ours is theirs or (same and int(a.get("db") or 0) == int(b.get("db") or 0))


def _same_cluster(pipe: Any, client: Any) -> bool:
    ours = getattr(client, "nodes_manager", None)
    if ours is None:
        return False
    theirs = pipe.cluster_client.nodes_manager
    return ours is theirs or bool({*ours.startup_nodes} & {*theirs.startup_nodes})
