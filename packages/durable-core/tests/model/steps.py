"""What an actor may do next, and how it waits for the storage's answers."""

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")

SECOND = 1_000_000


class BrokenError(AssertionError):
    """Something that must hold does not."""


def need(condition: object, *message: object) -> None:
    """Require something that must hold in every world without a weakness."""
    if not condition:
        raise BrokenError(" ".join(map(str, message)))


class LostError(Exception):
    """The call or its answer was lost: it may have landed or not."""


@dataclass(frozen=True, slots=True)
class Call:
    """Send a request to the storage; continues with the answer, or with `LostError`."""

    method: str
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Work:
    """Let others go first."""


@dataclass(frozen=True, slots=True)
class Idle:
    """Do nothing for up to two seconds."""


@dataclass(frozen=True, slots=True)
class Die:
    """Take the whole executor down."""


Step: TypeAlias = Call | Work | Idle | Die
Steps: TypeAlias = Generator[Step, Any, T]
"""What an actor does until it returns a `T`."""


def call(method: str, **arguments: Any) -> Steps[Any]:
    """Send a request once."""
    return (yield Call(method, arguments))


def surely(method: str, **arguments: Any) -> Steps[Any]:
    """Send a request again and again, unchanged, until an answer comes."""
    while True:
        try:
            return (yield Call(method, arguments))
        except LostError:
            continue
