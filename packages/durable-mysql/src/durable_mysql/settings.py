"""What the user of the storage may choose, checked once, and how names in SQL come from it."""

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from durable_core.storage import InvalidArgumentError

_PREFIX: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}", re.ASCII)
_DATABASE: Final = re.compile(r"[A-Za-z0-9_$-]{1,64}", re.ASCII)
_TABLE: Final = re.compile(r"~(\w+)")
_DAY: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the tables are and how they are reached.

    Attributes:
        database: The database that holds the tables.
        prefix: Begins every table's name.
        own: Whether the connections are the storage's: then they commit by themselves and have
            the isolation that it needs.
        command_timeout: Seconds for one round trip.
        poll_interval: Seconds between two looks for other processes' commits, when all is quiet.
    """

    database: str
    prefix: str
    own: bool = False
    command_timeout: float = 60.0
    poll_interval: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            InvalidArgumentError: Which option, its value, and what is allowed.
        """
        if _DATABASE.fullmatch(self.database) is None:
            msg = (
                f"database {self.database!r}: name one in the URL or by the option database; 1 to "
                "64 ASCII letters, digits, underscores, dollar signs and hyphens"
            )
            raise InvalidArgumentError(msg)
        if _PREFIX.fullmatch(self.prefix) is None:
            msg = (
                f"prefix {self.prefix!r}: a prefix has 1 to 40 ASCII letters, digits and "
                "underscores, and begins with none of the digits"
            )
            raise InvalidArgumentError(msg)
        for what, seconds in (
            ("command_timeout", self.command_timeout),
            ("poll_interval", self.poll_interval),
        ):
            if not 0 < seconds <= _DAY:
                msg = f"{what}={seconds!r}: choose seconds up to {_DAY}"
                raise InvalidArgumentError(msg)

    def expand(self, text: str) -> str:
        """Return a statement with the names of this namespace: `~table`."""
        return _TABLE.sub(rf"`{self.database}`.`{self.prefix}\1`", text)

    @property
    def lock(self) -> str:
        """The named lock under which the schema is changed."""
        namespace = f"{self.database}.{self.prefix}".encode()
        digest = hashlib.blake2b(namespace, digest_size=16, person=b"durable setup")
        return f"durable_{digest.hexdigest()}"


class Expanded(dict[str, str]):
    """Statements by their text with `~`; each is expanded once."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings

    def __missing__(self, text: str) -> str:
        """Expand a statement on its first use."""
        self[text] = expanded = self.settings.expand(text)
        return expanded
