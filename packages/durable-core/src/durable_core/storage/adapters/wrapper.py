"""What every wrapper has: the inner storage's capabilities and optional abilities."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from typing import Final, Literal, ParamSpec, TypeAlias, TypeVar, get_args

from ..capabilities import Capabilities
from ..errors import InvalidArgumentError
from ..hints import Hint
from ..protocol import BoundStorage, PulseConnection
from ..records import Lease, Page, Token
from ..requests import Beat, Inserted, NewExecution
from .optional import HasCapabilities, binder_of, leases_of, listener_of, pulse_of

P = ParamSpec("P")
T = TypeVar("T")

MethodName: TypeAlias = Literal[
    "setup",
    "close",
    "clock",
    "insert",
    "claim",
    "apply",
    "wake",
    "cancel",
    "heartbeat",
    "reap",
    "get",
    "find",
    "count",
    "checkpoints",
    "purge",
    "leases",
    "bind_insert",
    "bind_checkpoint",
    "pulse_beat",
]
"""A method of the protocol, or of what `Bind.bind` and `Pulse.pulse` return."""

METHODS: Final[tuple[MethodName, ...]] = get_args(MethodName)
"""All method names, in the protocol's order."""


class Wrapper:
    """Offers what the inner storage offers beside the fifteen methods; the base of all adapters.

    A wrapper has the methods of all optional Protocols, its capabilities are the inner storage's,
    and `listener_of` and its like read those first.

    Args:
        storage: The storage that does the work.
    """

    def __init__(self, storage: HasCapabilities) -> None:
        self._storage = storage

    @property
    def capabilities(self) -> Capabilities:
        """What the inner storage can do."""
        return self._storage.capabilities

    async def around(
        self,
        method: MethodName,
        function: Callable[P, Awaitable[T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Carry out one call of the inner storage: what a wrapper overrides.

        Args:
            method: What was called.
            function: The inner storage's method.
            args: Its positional arguments: none in this protocol.
            kwargs: Its keyword arguments.
        """
        return await function(*args, **kwargs)

    def around_blocking(
        self,
        method: MethodName,
        function: Callable[P, T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Carry out one call of a thread's heartbeat: what a wrapper may override.

        Args:
            method: What was called.
            function: The inner connection's method.
            args: Its positional arguments: none in this protocol.
            kwargs: Its keyword arguments.
        """
        return function(*args, **kwargs)

    def listen(self, *, queues: Collection[str]) -> AsyncIterator[Hint]:
        """See `Listen.listen`.

        Raises:
            InvalidArgumentError: The inner storage does not declare ``push``.
        """
        return _offered(listener_of(self._storage), self._storage, "push").listen(queues=queues)

    async def leases(self, *, limit: int, cursor: str | None = None) -> Page[Lease]:
        """See `Leases.leases`.

        Raises:
            InvalidArgumentError: The inner storage does not declare ``leases``.
        """
        inner = _offered(leases_of(self._storage), self._storage, "leases")
        return await self.around("leases", inner.leases, limit=limit, cursor=cursor)

    def bind(self, tx: object) -> BoundStorage:
        """See `Bind.bind`.

        Raises:
            InvalidArgumentError: The inner storage does not declare ``bind``.
        """
        inner = _offered(binder_of(self._storage), self._storage, "bind").bind(tx)
        return _Bound(self, inner)

    def pulse(self) -> PulseConnection:
        """See `Pulse.pulse`.

        Raises:
            InvalidArgumentError: The inner storage does not declare ``pulse``.
        """
        return _Pulse(self, _offered(pulse_of(self._storage), self._storage, "pulse").pulse())


def _offered(ability: T | None, storage: HasCapabilities, capability: str) -> T:
    if ability is None:
        msg = (
            f"{type(storage).__name__} does not declare the capability {capability!r}: "
            f"read `capabilities.{capability}` first"
        )
        raise InvalidArgumentError(msg)
    return ability


class _Bound:
    """The inner storage inside the caller's transaction, through the wrapper."""

    def __init__(self, wrapper: Wrapper, inner: BoundStorage) -> None:
        self._wrapper = wrapper
        self._inner = inner

    async def insert(self, *, items: Sequence[NewExecution], now: int) -> Sequence[Inserted]:
        return await self._wrapper.around("bind_insert", self._inner.insert, items=items, now=now)

    async def checkpoint(
        self, *, execution_id: str, token: Token, name: str, value: bytes, now: int
    ) -> bool:
        return await self._wrapper.around(
            "bind_checkpoint",
            self._inner.checkpoint,
            execution_id=execution_id,
            token=token,
            name=name,
            value=value,
            now=now,
        )


class _Pulse:
    """The inner storage's blocking heartbeat, through the wrapper."""

    def __init__(self, wrapper: Wrapper, inner: PulseConnection) -> None:
        self._wrapper = wrapper
        self._inner = inner

    def beat(self, *, executor: str, ttl: int, now: int) -> Beat:
        return self._wrapper.around_blocking(
            "pulse_beat", self._inner.beat, executor=executor, ttl=ttl, now=now
        )

    def close(self) -> None:
        self._inner.close()
