"""What MySQL and MariaDB say differently, as a value found by asking the server."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from durable_core.storage import PermanentError


@dataclass(frozen=True, slots=True, kw_only=True)
class Flavor:
    """The fragments of statements that differ.

    Attributes:
        name: Of the product.
        oldest: The oldest version that skips locked rows.
        isolation: The variable that holds the session's isolation level.
        new_row: Names the row that an ``INSERT`` would have made.
        new_value: How that row's value of a column is named.
    """

    name: str
    oldest: tuple[int, int]
    isolation: str
    new_row: str
    new_value: str

    def upsert(self, columns: Iterable[str]) -> str:
        """Return the end of an ``INSERT`` that gives rows which are there these new values."""
        values = ", ".join(f"{one} = {self.new_value.format(one)}" for one in columns)
        return f"{self.new_row} ON DUPLICATE KEY UPDATE {values}"


_MYSQL: Final = Flavor(
    name="MySQL",
    oldest=(8, 0),
    isolation="@@transaction_isolation",
    new_row=" AS fresh",
    new_value="fresh.{}",
)

_MARIADB: Final = Flavor(
    name="MariaDB",
    oldest=(10, 6),
    # MariaDB has MySQL's name for it only from 11.1 on.
    isolation="@@tx_isolation",
    new_row="",
    new_value="VALUES({})",
)


def flavor_of(version: str, comment: str, place: str) -> Flavor:
    """Return the flavor of a server.

    Args:
        version: As in ``@@version``.
        comment: As in ``@@version_comment``.
        place: The database, for messages.

    Raises:
        PermanentError: The server is too old.
    """
    flavor = _MARIADB if "mariadb" in f"{version} {comment}".lower() else _MYSQL
    numbers = version.removeprefix("5.5.5-").split("-")[0].split(".")
    found = (int(numbers[0]), int(numbers[1]))
    if found < flavor.oldest:
        oldest = ".".join(map(str, flavor.oldest))
        msg = f"{place}: {flavor.name} {version} is too old, {oldest} or newer is needed"
        raise PermanentError(msg)
    return flavor
