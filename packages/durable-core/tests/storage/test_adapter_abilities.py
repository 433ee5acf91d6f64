"""Optional abilities are found by what a storage declares, also through wrappers."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from inspect import signature
from typing import Any, cast

import pytest

from durable_core.storage import (
    Bind,
    BoundStorage,
    Capabilities,
    Inserted,
    InvalidArgumentError,
    Leases,
    Listen,
    MemoryStorage,
    NewExecution,
    PermanentError,
    Pulse,
    Reconnected,
    Storage,
    Token,
)
from durable_core.storage.adapters import (
    METHODS,
    Forwarding,
    HasCapabilities,
    Metered,
    MethodName,
    Retrying,
    Serialized,
    binder_of,
    leases_of,
    listener_of,
    pulse_of,
)
from durable_core.testing.faults import FaultyStorage

NOTHING = {"push": False, "leases": False, "pulse": False, "bind": False}
WRAPPERS: list[Callable[[Storage], Forwarding]] = [
    Forwarding,
    Serialized,
    Metered,
    Retrying,
    FaultyStorage,
    lambda storage: Metered(Serialized(Retrying(storage))),
]


class Declaring(MemoryStorage):
    """A memory storage that declares what it is told to, and joins lists as transactions."""

    def __init__(self, **declared: bool) -> None:
        super().__init__()
        everything: dict[str, Any] = {**NOTHING, **declared}
        self._declared = replace(super().capabilities, **everything)

    @property
    def capabilities(self) -> Capabilities:
        return self._declared

    def bind(self, tx: object) -> BoundStorage:
        return _Bound(self, cast("list[str]", tx))


class _Bound:
    def __init__(self, storage: MemoryStorage, tx: list[str]) -> None:
        self._storage = storage
        self._tx = tx

    async def insert(self, *, items: Sequence[NewExecution], now: int) -> Sequence[Inserted]:
        self._tx.append("insert")
        return await self._storage.insert(items=items, now=now)

    async def checkpoint(
        self, *, execution_id: str, token: Token, name: str, value: bytes, now: int
    ) -> bool:
        self._tx.append(f"checkpoint {execution_id} {token} {name} {value!r} {now}")
        return True


class Boastful:
    """Declares everything and has nothing."""

    capabilities = Capabilities(protocol=1, push=True, leases=True, pulse=True, bind=True)


def _bare(storage: Storage) -> Storage:
    return storage


@pytest.mark.parametrize("wrap", [_bare, *WRAPPERS])
def test_an_ability_is_there_exactly_if_declared(wrap: Callable[[Storage], Storage]) -> None:
    everything = wrap(Declaring(push=True, leases=True, pulse=True, bind=True))
    assert isinstance(listener_of(everything), Listen)
    assert isinstance(leases_of(everything), Leases)
    assert isinstance(pulse_of(everything), Pulse)
    assert isinstance(binder_of(everything), Bind)
    nothing = wrap(Declaring())
    assert listener_of(nothing) is None
    assert leases_of(nothing) is None
    assert pulse_of(nothing) is None
    assert binder_of(nothing) is None


@pytest.mark.parametrize(
    ("find", "capability"),
    [
        (listener_of, "push"),
        (leases_of, "leases"),
        (pulse_of, "pulse"),
        (binder_of, "bind"),
    ],
)
def test_declaring_what_is_not_there_is_an_error(
    find: Callable[[HasCapabilities], object], capability: str
) -> None:
    with pytest.raises(PermanentError, match=f"Boastful declares the capability '{capability}'"):
        find(Boastful())


@pytest.mark.parametrize("wrap", WRAPPERS)
async def test_abilities_work_through_a_wrapper(wrap: Callable[[Storage], Forwarding]) -> None:
    storage = wrap(Declaring(push=True, leases=True, pulse=True, bind=True))
    await storage.heartbeat(executor="e", ttl=10, now=100, register=True)
    pulse = storage.pulse()
    assert pulse.beat(executor="e", ttl=10, now=105).alive
    pulse.close()
    (lease,) = (await storage.leases(limit=10)).items
    assert lease.expires_at == 115

    transaction: list[str] = []
    bound = storage.bind(transaction)
    (inserted,) = await bound.insert(items=[NewExecution(id="a", task="t")], now=1)
    assert inserted.record.id == "a"
    token = Token("e", 1)
    assert await bound.checkpoint(execution_id="a", token=token, name="n", value=b"v", now=2)
    assert transaction == ["insert", "checkpoint a e/1 n b'v' 2"]

    async for hint in storage.listen(queues=["default"]):
        assert hint == Reconnected()
        break


@pytest.mark.parametrize("wrap", WRAPPERS)
async def test_an_ability_that_is_not_declared_cannot_be_used(
    wrap: Callable[[Storage], Forwarding],
) -> None:
    storage = wrap(Declaring())
    with pytest.raises(InvalidArgumentError, match="does not declare the capability 'pulse'"):
        storage.pulse()
    with pytest.raises(InvalidArgumentError, match="does not declare the capability 'bind'"):
        storage.bind([])
    with pytest.raises(InvalidArgumentError, match="does not declare the capability 'leases'"):
        await storage.leases(limit=1)
    with pytest.raises(InvalidArgumentError, match="does not declare the capability 'push'"):
        await anext(storage.listen(queues=[]))


class Recording:
    """Takes any call and answers with something of its own."""

    capabilities = Capabilities(protocol=1)

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, object], object]] = []

    def __getattr__(self, name: str) -> Callable[..., Awaitable[object]]:
        async def call(**arguments: object) -> object:
            answer = object()
            self.calls.append((name, arguments, answer))
            return answer

        return call


def _methods() -> list[str]:
    return [name for name in vars(Storage) if not name.startswith("_") and name != "capabilities"]


@pytest.mark.parametrize("name", _methods())
@pytest.mark.parametrize("wrap", WRAPPERS)
async def test_every_method_is_handed_on_with_its_arguments(
    wrap: Callable[[Storage], Forwarding], name: str
) -> None:
    recording = Recording()
    method = getattr(wrap(cast("Storage", recording)), name)
    promised = list(signature(getattr(Storage, name)).parameters.values())[1:]
    assert list(signature(method).parameters.values()) == promised
    arguments = {parameter.name: object() for parameter in promised}
    answer = await method(**arguments)
    ((called, given, answered),) = recording.calls
    assert (called, given) == (name, arguments)
    assert answer is (None if name == "close" else answered)


def test_every_method_has_a_name_for_adapters() -> None:
    beside: set[MethodName] = {"leases", "bind_insert", "bind_checkpoint", "pulse_beat"}
    assert list(METHODS) == [*_methods(), *(name for name in METHODS if name in beside)]
