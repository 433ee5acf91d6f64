"""What the user of the storage may choose, checked once, and how names in SQL come from it."""

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from durable_core.storage import InvalidArgumentError

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}", re.ASCII)
_TABLE: Final = re.compile(r"~(\w+)")
_INDEX: Final = re.compile(r"\^(\w+)")
_DAY: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the tables are and how they are reached.

    Attributes:
        schema: The database schema that holds the tables.
        prefix: Begins every table's and index's name.
        pooler: Whether a transaction pooler stands between: no prepared statements, no listening.
        connect_timeout: Seconds to wait for a connection that is not the pool's.
    """

    schema: str
    prefix: str
    pooler: bool
    connect_timeout: float

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            InvalidArgumentError: Which option, its value, and what is allowed.
        """
        for what, name in (("schema", self.schema), ("prefix", self.prefix)):
            if _NAME.fullmatch(name) is None or name.lower().startswith("pg_"):
                msg = (
                    f"{what} {name!r}: a {what} has 1 to 40 ASCII letters, digits and "
                    "underscores, begins with none of the digits, and not with 'pg_'"
                )
                raise InvalidArgumentError(msg)
        if not 0 < self.connect_timeout <= _DAY:
            msg = f"connect_timeout={self.connect_timeout!r}: choose seconds up to {_DAY}"
            raise InvalidArgumentError(msg)

    def expand(self, text: str) -> str:
        """Return a statement with the names of this namespace: `~table` and `^index`."""
        text = _TABLE.sub(rf'"{self.schema}"."{self.prefix}\1"', text)
        return _INDEX.sub(rf'"{self.prefix}\1"', text)

    def index(self, name: str) -> str:
        """Return the full name of an index or table, as the catalogs have it."""
        return self.prefix + name

    @property
    def lock(self) -> int:
        """The advisory lock under which the schema is changed."""
        digest = hashlib.blake2b(self._namespace, digest_size=8, person=b"durable setup")
        return int.from_bytes(digest.digest(), "big", signed=True)

    @property
    def listeners(self) -> int:
        """The advisory lock that everybody shares who listens for hints."""
        digest = hashlib.blake2b(self._namespace, digest_size=8, person=b"durable ears")
        return int.from_bytes(digest.digest(), "big", signed=True)

    @property
    def channel(self) -> str:
        """The channel of the hints."""
        digest = hashlib.blake2b(self._namespace, digest_size=16, person=b"durable hints")
        return f"durable_{digest.hexdigest()}"

    @property
    def _namespace(self) -> bytes:
        return f"{self.schema}.{self.prefix}".encode()


class Expanded(dict[str, str]):
    """Statements by their text with `~` and `^`; each is expanded once."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings

    def __missing__(self, text: str) -> str:
        """Expand a statement on its first use."""
        self[text] = expanded = self._settings.expand(text)
        return expanded
