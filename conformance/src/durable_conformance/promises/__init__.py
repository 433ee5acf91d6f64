"""The promise table: every promise of the storage protocol, as data."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from .edges import BIND, CAPABILITY, ERROR, HINT, PURGE, SCHEMA
from .model import JUDGED, LEVELS, Again, Hook, Level, Promise
from .outside import CANCEL, LEASE, READ, TIME, WAKE
from .writing import APPLY, CLAIM, INSERT, PARENT

AREAS: Final[Mapping[str, tuple[Promise, ...]]] = MappingProxyType(
    {
        promises[0].area: promises
        for promises in (
            *(INSERT, CLAIM, APPLY, PARENT),
            *(WAKE, CANCEL, LEASE, TIME, READ),
            *(HINT, BIND, PURGE, SCHEMA, ERROR, CAPABILITY),
        )
    }
)
"""Area -> its promises, in the order of the protocol."""

PROMISES: Final[Mapping[str, Promise]] = MappingProxyType(
    {promise.id: promise for promises in AREAS.values() for promise in promises}
)
"""Id -> promise, in the order of the protocol."""

__all__ = [
    "AREAS",
    "JUDGED",
    "LEVELS",
    "PROMISES",
    "Again",
    "Hook",
    "Level",
    "Promise",
]
