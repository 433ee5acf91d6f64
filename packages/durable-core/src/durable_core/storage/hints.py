"""What a listener yields: hints that something may have changed."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Hint: something of this queue may have become claimable.

    Attributes:
        queue: Where.
        own: It is about a call of the very storage object that listens, whose answer tells the
            caller the same: no haste. A storage that cannot know says False.
    """

    queue: str
    own: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """Hint: something finished.

    Attributes:
        own: See `Ready`.
    """

    own: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconnected:
    """Hints may have been lost until now: read."""


Hint: TypeAlias = Ready | Finished | Reconnected
"""What a listener yields."""
