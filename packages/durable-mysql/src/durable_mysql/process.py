"""Who else in this process works on the same tables: hints reach them without the database."""

import os
import secrets
from collections.abc import Iterable
from typing import Protocol, TypeAlias
from weakref import WeakSet

Key: TypeAlias = tuple[str | None, int | None, str, str]
"""Host, port, database and prefix."""


class Hears(Protocol):
    """Who is told what a commit may have changed."""

    def tell(self, queues: Iterable[str], *, finished: bool, own: bool = False) -> None:
        """Take note of it, and whether it was one's own commit; from any thread."""
        ...

    def reconnected(self) -> None:
        """Take note that something may have been missed."""
        ...


class Neighbours:
    """The hints of all storages of this process on the same tables.

    Attributes:
        hints: Theirs.
    """

    def __init__(self) -> None:
        self.hints: WeakSet[Hears] = WeakSet()
        self._name = secrets.token_hex(12)

    @property
    def sender(self) -> str:
        """The name of this process on these tables; a forked process has another one."""
        return f"{self._name}-{os.getpid():x}"


_NEIGHBOURS: dict[Key, Neighbours] = {}


def neighbours(key: Key) -> Neighbours:
    """Return who works on these tables."""
    return _NEIGHBOURS.setdefault(key, Neighbours())
