"""What a promise is: a numbered sentence, its level, and what it takes to judge it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple


class Level(StrEnum):
    """How hard the promises were tried; each level includes the ones before."""

    CONTRACT = "Contract"
    """Every promise by itself, and races of several handles in one process."""
    CONCURRENT = "Concurrent"
    """Races of several processes, and generated concurrent histories."""
    CRASH_SAFE = "Crash-safe"
    """Kills, restarts, cut connections and lost replies."""

    @property
    def rank(self) -> int:
        """Place in the order of levels, from 0."""
        return LEVELS.index(self)


LEVELS: Final = tuple(Level)
"""All levels, the lowest first."""

JUDGED: Final = frozenset({Level.CONTRACT})
"""The levels whose checks this release of the suite has in full; it certifies no other."""


class Hook(StrEnum):
    """What an author may give besides `open`; named like the method to override."""

    RESTART = "restart"
    CUT = "cut"
    LOCK = "lock"
    TRANSACTION = "transaction"
    NEWER_SCHEMA = "newer_schema"


class Again(NamedTuple):
    """A promise is judged once more at a higher level, by harder means."""

    level: Level
    hook: Hook | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """One sentence that a storage keeps.

    Attributes:
        area: The word before the number.
        number: Counts from 1 in each area; never given to another promise.
        text: The promise itself, in the names of `durable_core.storage`.
        level: The level at which it is judged first.
        requires: The capability without which it does not apply.
        hook: What the author must give so that it can be judged.
        again: Higher levels at which it is judged once more.
    """

    area: str
    number: int
    text: str
    level: Level = Level.CONTRACT
    requires: str | None = None
    hook: Hook | None = None
    again: tuple[Again, ...] = ()

    @property
    def id(self) -> str:
        """The name by which everybody speaks of it, such as ``CLAIM-3``."""
        return f"{self.area}-{self.number}"


class Draft(NamedTuple):
    """A promise before it got its number."""

    text: str
    level: Level = Level.CONTRACT
    requires: str | None = None
    hook: Hook | None = None
    again: tuple[Again, ...] = ()


RACED: Final = (Again(Level.CONCURRENT),)
"""Judged once more by several processes."""

KILLED: Final = (Again(Level.CRASH_SAFE, Hook.RESTART),)
"""Judged once more by killing the server."""


def area(name: str, *drafts: Draft) -> tuple[Promise, ...]:
    """Number the promises of one area, in the order given."""
    return tuple(
        Promise(
            area=name,
            number=number,
            text=" ".join(draft.text.split()),
            level=draft.level,
            requires=draft.requires,
            hook=draft.hook,
            again=draft.again,
        )
        for number, draft in enumerate(drafts, 1)
    )
