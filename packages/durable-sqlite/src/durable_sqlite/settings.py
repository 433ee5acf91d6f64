"""What the user of the storage may choose, checked once."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, TypedDict

from durable_core.storage import InvalidArgumentError

Synchronous: TypeAlias = Literal["EXTRA", "FULL", "NORMAL", "OFF"]
"""When SQLite waits for the disk; see `SQLiteStorage`."""

SYNCHRONOUS: Final = ("OFF", "NORMAL", "FULL", "EXTRA")
"""In the order of the numbers that `PRAGMA synchronous` answers."""


class Options(TypedDict, total=False):
    """The options of `SQLiteStorage`, which documents them."""

    prefix: str
    synchronous: Synchronous
    busy_timeout: float
    poll_interval: float
    clock: Callable[[], int]


_PREFIX: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to open the database.

    Attributes:
        path: The file, absolute and with symbolic links resolved; None keeps all in memory.
        prefix: Begins every table's and index's name.
        synchronous: When SQLite waits for the disk.
        busy_timeout: Seconds to wait for another process's transaction.
        poll_interval: Seconds between two looks for commits of other processes.
        clock: The storage's time, µs.
    """

    path: str | None
    prefix: str
    synchronous: Synchronous
    busy_timeout: float
    poll_interval: float
    clock: Callable[[], int]

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            InvalidArgumentError: Which option, its value, and what is allowed.
        """
        if _PREFIX.fullmatch(self.prefix) is None or self.prefix.lower().startswith("sqlite_"):
            msg = (
                f"prefix {self.prefix!r}: a table prefix has 1 to 63 ASCII letters, digits and "
                "underscores, begins with none of the digits, and not with 'sqlite_'"
            )
            raise InvalidArgumentError(msg)
        if self.synchronous not in SYNCHRONOUS:
            msg = f"synchronous={self.synchronous!r}: choose one of {', '.join(SYNCHRONOUS)}"
            raise InvalidArgumentError(msg)
        if not 0 <= self.busy_timeout <= _DAY:
            msg = f"busy_timeout={self.busy_timeout!r}: choose seconds from 0 to {_DAY}"
            raise InvalidArgumentError(msg)
        if not _FASTEST_POLL <= self.poll_interval <= _DAY:
            msg = (
                f"poll_interval={self.poll_interval!r}: choose seconds from {_FASTEST_POLL} "
                f"to {_DAY}"
            )
            raise InvalidArgumentError(msg)

    @property
    def leases_path(self) -> str | None:
        """The file beside the database in which executors say that they are alive."""
        return None if self.path is None else f"{self.path}-leases"


_DAY: Final = 86_400
_FASTEST_POLL: Final = 0.001
