"""What a storage has sent to its server so far."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Counted since the storage was made.

    Attributes:
        commands: Commands of every kind.
        scripts: Those that ran a script.
        writes: Those that ran a script which may write.
        round_trips: How often an answer was waited for; commands that are sent together share one.
    """

    commands: int
    scripts: int
    writes: int
    round_trips: int


class Tally:
    """The same numbers while they grow."""

    def __init__(self) -> None:
        self.commands = 0
        self.scripts = 0
        self.writes = 0
        self.round_trips = 0

    def total(self) -> Statistics:
        """Return the numbers as they are."""
        return Statistics(
            commands=self.commands,
            scripts=self.scripts,
            writes=self.writes,
            round_trips=self.round_trips,
        )
