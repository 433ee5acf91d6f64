"""What the user of the storage may choose, checked once."""

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from durable_core.storage import InvalidArgumentError

Durability: TypeAlias = Literal["require", "warn", "ignore"]
"""What `setup` does about a server that may forget what it answered."""

_NAMESPACE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_DAY: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the keys are and when a commit counts.

    Attributes:
        namespace: Between braces it begins the name of every key, so that all are in one slot.
        durability: What `setup` does about a server that may forget.
        wait_replicas: Replicas that must have confirmed a write before it is answered.
        wait_aof: Whether the server must have synced its append-only file before that.
        wait_timeout: Seconds to wait for both.
    """

    namespace: str
    durability: Durability
    wait_replicas: int
    wait_aof: bool
    wait_timeout: float

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            InvalidArgumentError: Which option, its value, and what is allowed.
        """
        if _NAMESPACE.fullmatch(self.namespace) is None:
            msg = (
                f"namespace {self.namespace!r}: a namespace has 1 to 64 ASCII letters, digits, "
                "dots, hyphens and underscores"
            )
            raise InvalidArgumentError(msg)
        if self.durability not in get_args(Durability):
            msg = f"durability={self.durability!r}: choose one of {get_args(Durability)}"
            raise InvalidArgumentError(msg)
        if not 0 <= self.wait_replicas <= 100:  # noqa: PLR2004 - more than anybody has
            msg = f"wait_replicas={self.wait_replicas!r}: choose a number from 0 to 100"
            raise InvalidArgumentError(msg)
        if not 0 < self.wait_timeout <= _DAY:
            msg = f"wait_timeout={self.wait_timeout!r}: choose seconds up to {_DAY}"
            raise InvalidArgumentError(msg)

    @property
    def prefix(self) -> bytes:
        """What every key begins with; the braces make it decide about the slot."""
        return b"{%b}:" % self.namespace.encode()

    @property
    def schema(self) -> bytes:
        """The key of the schema's version, which every script is given."""
        return self.prefix + b"schema"

    @property
    def channel(self) -> bytes:
        """The channel of the hints."""
        return self.prefix + b"hints"

    @property
    def confirmation(self) -> tuple[bytes, ...]:
        """The command that waits for what a write must have reached; empty for none."""
        timeout = b"%d" % max(1, round(self.wait_timeout * 1000))
        if self.wait_aof:
            return (b"WAITAOF", b"1", b"%d" % self.wait_replicas, timeout)
        if self.wait_replicas:
            return (b"WAIT", b"%d" % self.wait_replicas, timeout)
        return ()
