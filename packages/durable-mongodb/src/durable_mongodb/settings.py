"""What the user of the storage may choose, checked once, and the names that come from it."""

import re
from dataclasses import dataclass
from typing import Final

from durable_core.storage import InvalidArgumentError

_DATABASE: Final = re.compile(r"[A-Za-z0-9_-]{1,60}", re.ASCII)
_PREFIX: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}", re.ASCII)

EXECUTIONS: Final = "executions"
CHECKPOINTS: Final = "checkpoints"
MAILBOXES: Final = "mailboxes"
LEASES: Final = "leases"
SCHEMA: Final = "schema"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the documents are.

    Attributes:
        database: The database that holds the collections.
        prefix: Begins every collection's name.
    """

    database: str
    prefix: str

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            InvalidArgumentError: Which option, its value, and what is allowed.
        """
        if _DATABASE.fullmatch(self.database) is None:
            msg = (
                f"database {self.database!r}: a database has 1 to 60 ASCII letters, digits, "
                "underscores and hyphens"
            )
            raise InvalidArgumentError(msg)
        if _PREFIX.fullmatch(self.prefix) is None or self.prefix.startswith("system"):
            msg = (
                f"prefix {self.prefix!r}: a prefix has 1 to 40 ASCII letters, digits and "
                "underscores, begins with none of the digits, and not with 'system'"
            )
            raise InvalidArgumentError(msg)

    def name(self, collection: str) -> str:
        """Return the full name of a collection."""
        return self.prefix + collection
