"""What a listener yields: hints that something may have changed."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Hint: something of this queue may have become claimable."""

    queue: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """Hint: something finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconnected:
    """Hints may have been lost until now: read."""


Hint: TypeAlias = Ready | Finished | Reconnected
"""What a listener yields."""
