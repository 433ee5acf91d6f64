"""The optional abilities of a storage, found by what it declares and only then by its methods."""

from typing import NoReturn, Protocol

from ..capabilities import Capabilities
from ..errors import PermanentError
from ..protocol import Bind, Leases, Listen, Pulse


class HasCapabilities(Protocol):
    """Anything that says what it can do: a storage, or what an adapter makes one of."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...


def listener_of(storage: HasCapabilities) -> Listen | None:
    """Return the storage as a source of hints, or None if it does not declare ``push``.

    A storage is asked for its capabilities first: a wrapper has every method, and only its
    capabilities tell whether what it wraps can carry them out.

    Raises:
        PermanentError: It declares ``push`` and has no `listen`.
    """
    if not storage.capabilities.push:
        return None
    return storage if isinstance(storage, Listen) else _without(storage, "push", "listen")


def leases_of(storage: HasCapabilities) -> Leases | None:
    """Return the storage as a list of leases, or None if it does not declare ``leases``.

    Raises:
        PermanentError: It declares ``leases`` and has no method of that name.
    """
    if not storage.capabilities.leases:
        return None
    return storage if isinstance(storage, Leases) else _without(storage, "leases", "leases")


def binder_of(storage: HasCapabilities) -> Bind | None:
    """Return the storage as one that joins transactions, or None if it does not declare ``bind``.

    Raises:
        PermanentError: It declares ``bind`` and has no method of that name.
    """
    if not storage.capabilities.bind:
        return None
    return storage if isinstance(storage, Bind) else _without(storage, "bind", "bind")


def pulse_of(storage: HasCapabilities) -> Pulse | None:
    """Return the storage as one that a thread can beat on, or None if ``pulse`` is not declared.

    Raises:
        PermanentError: It declares ``pulse`` and has no method of that name.
    """
    if not storage.capabilities.pulse:
        return None
    return storage if isinstance(storage, Pulse) else _without(storage, "pulse", "pulse")


def _without(storage: HasCapabilities, capability: str, method: str) -> NoReturn:
    msg = (
        f"{type(storage).__name__} declares the capability {capability!r} but has no method "
        f"{method}(): add the method, or declare {capability}=False"
    )
    raise PermanentError(msg)
