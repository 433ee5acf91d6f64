"""The numbered steps from an empty database to the newest schema."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from . import m0001_initial


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step; once released it never changes, and it may be carried out twice or by two at once.

    Attributes:
        number: The schema's version after it.
        name: For people.
        protocol: The version of the storage protocol that the schema serves after it.
        indexes: What to create: collection → indexes, in the words of the command createIndexes;
            their names are without the prefix.
    """

    number: int
    name: str
    protocol: int
    indexes: Mapping[str, Sequence[Mapping[str, Any]]]


MIGRATIONS: Final = (
    Migration(number=1, name="0001_initial", protocol=1, indexes=m0001_initial.INDEXES),
)
"""In order, numbered without a gap from 1."""

LATEST: Final = MIGRATIONS[-1].number
"""The schema's version that this release works with."""
