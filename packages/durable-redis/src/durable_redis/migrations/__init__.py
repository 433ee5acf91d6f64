"""The numbered steps from an empty namespace to the newest layout of its keys."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step; once released it never changes.

    Attributes:
        number: The schema's version after it.
        name: For people.
    """

    number: int
    name: str


MIGRATIONS: Final = (Migration(number=1, name="0001_initial"),)
"""In order, numbered without a gap from 1. The first one has nothing to change: keys are made when
they are needed, and only the version has to be there."""

LATEST: Final = MIGRATIONS[-1].number
"""The schema's version that this release works with."""
