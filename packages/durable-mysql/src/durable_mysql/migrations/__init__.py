"""The numbered steps from an empty schema to the newest one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from . import m0001_initial


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step; once released it never changes.

    Attributes:
        number: The schema's version after it.
        name: For people.
        protocol: The version of the storage protocol that the schema serves after it.
        statements: What to execute; `~` begins a table's name. The server commits each of them,
            so each does nothing where it was carried out before: a step that died is repeated.
    """

    number: int
    name: str
    protocol: int
    statements: Sequence[str]


MIGRATIONS: Final = (
    Migration(number=1, name="0001_initial", protocol=1, statements=m0001_initial.STATEMENTS),
)
"""In order, numbered without a gap from 1."""

LATEST: Final = MIGRATIONS[-1].number
"""The schema's version that this release works with."""
