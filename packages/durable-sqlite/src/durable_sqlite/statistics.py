"""What a storage has sent to its database so far."""

from collections.abc import Iterable
from dataclasses import dataclass

from .session import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Counted since the storage was made.

    Attributes:
        statements: Statements, transaction control and looks at the file's version included.
        table_statements: Those that read or write tables.
        commits: Transactions that wrote.
    """

    statements: int
    table_statements: int
    commits: int


def total(tallies: Iterable[Tally]) -> Statistics:
    """Add up what several threads have counted."""
    counted = list(tallies)
    return Statistics(
        statements=sum(tally.statements for tally in counted),
        table_statements=sum(tally.table_statements for tally in counted),
        commits=sum(tally.commits for tally in counted),
    )
