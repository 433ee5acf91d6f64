"""The threads of one storage, started when they are first needed."""

import os
import threading

from durable_core.storage import ClosedError

from .hints import Hints
from .reader import Reader
from .session import Tally
from .settings import Settings
from .writer import Writer


class Threads:
    """Writer and readers. Safe to use from several threads.

    Args:
        settings: How to open the database.
        place: The database, for messages.
        hints: Told of commits.
    """

    def __init__(self, settings: Settings, place: str, hints: Hints) -> None:
        self._settings = settings
        self._place = place
        self._hints = hints
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._closed = False
        self._writer: Writer | None = None
        self._readers: dict[str, Reader] = {}

    @property
    def writer(self) -> Writer:
        """The thread that writes; in memory it reads too.

        Raises:
            ClosedError: The storage was closed, or belongs to the process that this one was
                forked from.
        """
        writer = self._writer
        if writer is None or self._process != os.getpid():
            with self._lock:
                self._check()
                if self._writer is None:
                    self._writer = Writer(self._settings, self._place, self._hints.committed)
                writer = self._writer
        return writer

    def reader(self, name: str) -> Reader:
        """Return a thread that reads.

        Raises:
            ClosedError: See `writer`.
        """
        with self._lock:
            self._check()
            if name not in self._readers:
                self._readers[name] = Reader(self._settings, self._place, f"durable-sqlite-{name}")
            return self._readers[name]

    def _check(self) -> None:
        if self._closed:
            msg = f"the SQLiteStorage on {self._place} is closed"
            raise ClosedError(msg)
        if self._process != os.getpid():
            msg = (
                f"the SQLiteStorage on {self._place} was opened before this process was forked: "
                "open another one here"
            )
            raise ClosedError(msg)

    async def close(self) -> None:
        """Carry out what waits and end all threads. Idempotent."""
        with self._lock:
            self._closed = True
        if self._process != os.getpid():
            return
        for reader in self._readers.values():
            await reader.stop()
        if self._writer is not None:
            await self._writer.stop()

    @property
    def tallies(self) -> list[Tally]:
        """What the threads count."""
        tallies = [reader.tally for reader in self._readers.values()]
        return tallies if self._writer is None else [self._writer.tally, *tallies]
