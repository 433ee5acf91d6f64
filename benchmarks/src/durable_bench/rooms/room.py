"""What every room has."""

import hashlib
import json
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..sample import Counts
from ..sketch.store import Store

if TYPE_CHECKING:
    # The sketch's process loads no engine.
    from durable_core.storage import Storage

Reader: TypeAlias = Callable[[], Awaitable[Counts | None]]
"""Reads what reached a database so far; None if nobody knows."""


@dataclass(frozen=True)
class Place:
    """Where one run keeps its rows: a folder, and a name for what a server has for it.

    Attributes:
        folder: The run's own folder.
    """

    folder: Path

    @property
    def name(self) -> str:
        """A name that no other folder has: letters, digits and underscores."""
        digest = hashlib.blake2b(str(self.folder).encode(), digest_size=8).hexdigest()
        return f"bench_{digest}"


class Room(ABC):
    """One storage.

    Args:
        target: As whom it is called: several servers may share a room.
    """

    shared: bool = True
    """Whether several processes can use the storage, and it outlives them."""

    copies: bool = True
    """Whether a place can be copied; else each run fills its own."""

    served: bool = True
    """Whether it lives in a server, which the environment names."""

    def __init__(self, target: str) -> None:
        self.target = target

    @property
    def url(self) -> str:
        """Where the server is.

        Raises:
            LookupError: The environment does not say.
        """
        return self._variable("URL")

    @property
    def restart_command(self) -> Sequence[str]:
        """The command that kills the server and starts it again.

        Raises:
            LookupError: The environment does not say.
        """
        command: list[str] = json.loads(self._variable("RESTART"))
        return command

    def _variable(self, what: str) -> str:
        name = f"DURABLE_TEST_{self.target.upper().replace('-', '_')}_{what}"
        try:
            return os.environ[name]
        except KeyError:
            msg = f"{name} is not set: `./dev bench` and `./dev storm` start a server and set it"
            raise LookupError(msg) from None

    @abstractmethod
    def storage(self, place: Place) -> "Storage":
        """Return the engine's storage, which is not set up yet."""

    @abstractmethod
    def store(self, place: Place) -> Store:
        """Return the sketch's storage, which is not opened yet."""

    async def create(self, place: Place) -> None:  # noqa: B027  # most need nothing
        """Make what a run needs beside its folder."""

    async def drop(self, place: Place) -> None:  # noqa: B027  # likewise
        """Remove what a run has left on a server."""

    async def copy(self, template: Place, place: Place) -> None:
        """Make a run's place with what another one was filled with; its folder does not exist yet.

        Called if `copies`.
        """
        shutil.copytree(template.folder, place.folder)
        # What is still on its way to the disk would be paid for by the first commits.
        os.sync()

    async def fill(self, place: Place, storage: "Storage", finished: int, scheduled: int) -> None:
        """Store executions that ended, and others that are due next week.

        Args:
            place: Where.
            storage: Opened there and set up.
            finished: How many have ended.
            scheduled: How many are due next week.
        """
        from ..engine.fill import fill  # noqa: PLC0415  # see above

        await fill(storage, finished=finished, scheduled=scheduled)

    async def settle(self, place: Place) -> None:  # noqa: B027  # likewise
        """Let the server do at once what it does sooner or later with rows that are new."""

    async def counts(self, place: Place) -> Counts | None:
        """Return what reached the place's database so far, all processes together, if known."""
        return None

    async def times(self) -> Mapping[str, float]:
        """Begin to time the server's calls; the next time, end that. It costs the server something.

        Returns:
            Percentiles by name, in milliseconds; empty at the beginning, and where nobody knows.
        """
        return {}

    def said(self, storage: "Storage") -> Counts | None:
        """Return what a storage says that it has sent to its database; None if it does not count.

        Args:
            storage: Opened by this room.
        """
        statistics: Any = getattr(storage, "statistics", None)
        return None if statistics is None else self._said(statistics())

    def _said(self, statistics: Any) -> Counts:
        """Return a storage's own statistics as those that all have in common."""
        return Counts(
            statements=statistics.statements,
            table_statements=statistics.table_statements,
            commits=statistics.commits,
        )

    async def watch(self, place: Place) -> Reader:
        """Begin to count what reaches the place's database; it may be slowed down by this.

        Called before the storage is opened, for runs that are not against the clock.
        """

        async def read() -> Counts | None:
            return await self.counts(place)

        return read

    async def audit(self, place: Place) -> bool:
        """Let the database itself write down every end of an execution from now on.

        Returns:
            False if it cannot.
        """
        return False

    async def ends(self, place: Place) -> Mapping[str, int]:
        """Return how often each execution has ended, as the database wrote it down."""
        raise NotImplementedError
