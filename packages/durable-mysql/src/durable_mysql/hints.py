"""Hints: told at once in this process, found by polite polling in other ones."""

from collections.abc import AsyncIterator, Collection, Iterable

from durable_core.storage import Hint, StorageError
from durable_core.storage.kit import Listeners, SharedSource

from .database import Database
from .errors import translate
from .notifying import Notifier
from .polling import Poller
from .process import Neighbours
from .session import Told


class Hints:
    """The open listeners of one storage.

    Args:
        database: Its pool makes the connection that looks for hints.
        notifier: Tells other processes.
        neighbours: Tells the other storages of this process.
    """

    def __init__(self, database: Database, notifier: Notifier, neighbours: Neighbours) -> None:
        self._database = database
        self._notifier = notifier
        self._neighbours = neighbours
        self._listeners = Listeners()
        self._shared = SharedSource(self._listeners, self._look, self._explain)
        neighbours.hints.add(self)

    @property
    def poller(self) -> Poller | None:
        """What looks for hints of other processes, while somebody listens."""
        return self._shared.source

    def committed(self, told: Told) -> None:
        """Tell listeners here at once, and those elsewhere soon, what a commit has changed."""
        if not told.ready and not told.finished:
            return
        for hints in tuple(self._neighbours.hints):
            hints.tell(told.ready, finished=told.finished, own=hints is self)
        poller = self._shared.source
        if poller is not None and told.ready:
            # What others may take up now they may soon have done.
            poller.hurry()
        self._notifier.send(told)

    def tell(self, queues: Iterable[str], *, finished: bool, own: bool = False) -> None:
        """Tell every listener what concerns it; from any thread."""
        self._listeners.tell(queues, finished=finished, own=own)

    def reconnected(self) -> None:
        """Tell every listener that hints may have been lost."""
        self._listeners.reconnected()

    def listen(self, queues: Collection[str]) -> AsyncIterator[Hint]:
        """Yield hints, `Reconnected` first; what is not yet taken is told once."""
        return self._shared.listen(queues)

    async def close(self) -> None:
        """End all listeners. Idempotent."""
        await self._shared.close()

    def _look(self) -> Poller:
        return Poller(self._database, self._neighbours.sender, self)

    def _explain(self, error: Exception) -> StorageError:
        place = self._database.place
        return translate(error, place, write=False, doubt=False, written=False)
