"""Which storages there are to measure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Traits:
    """What the order of runs depends on.

    Attributes:
        shared: Several processes can use the storage, and it outlives them.
    """

    shared: bool


STORAGES: Final[Mapping[str, Traits]] = {
    "memory": Traits(shared=False),
    "sqlite": Traits(shared=True),
}
"""Name → traits."""
