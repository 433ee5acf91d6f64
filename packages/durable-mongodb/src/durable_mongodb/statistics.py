"""What a storage has sent to its database so far."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Counted since the storage was made; what the driver does by itself is not in it.

    Attributes:
        commands: Commands, commits of transactions included.
        commits: Commands and transactions that may have written, each acknowledged by a majority.
        transactions: Transactions that were begun.
        conflicts: Calls that were begun again, because somebody else was in the way.
    """

    commands: int
    commits: int
    transactions: int
    conflicts: int


class Tally:
    """The same numbers while they grow."""

    def __init__(self) -> None:
        self.commands = 0
        self.commits = 0
        self.transactions = 0
        self.conflicts = 0

    def total(self) -> Statistics:
        """Return the numbers as they are."""
        return Statistics(
            commands=self.commands,
            commits=self.commits,
            transactions=self.transactions,
            conflicts=self.conflicts,
        )
