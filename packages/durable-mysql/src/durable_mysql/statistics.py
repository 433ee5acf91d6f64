"""What a storage has sent to its database so far."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Counted since the storage was made.

    Attributes:
        round_trips: Packets sent; each may hold several statements.
        statements: Statements, transaction control included.
        table_statements: Those that read or write tables.
        commits: Transactions that may have written: single writing statements, commits, and
            notifications.
    """

    round_trips: int
    statements: int
    table_statements: int
    commits: int


class Tally:
    """The same numbers while they grow."""

    def __init__(self) -> None:
        self.round_trips = 0
        self.statements = 0
        self.table_statements = 0
        self.commits = 0

    def total(self) -> Statistics:
        """Return the numbers as they are."""
        return Statistics(
            round_trips=self.round_trips,
            statements=self.statements,
            table_statements=self.table_statements,
            commits=self.commits,
        )
