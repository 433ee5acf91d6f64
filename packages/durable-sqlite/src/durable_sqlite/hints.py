"""Hints: from this storage's own commits at once, from other processes' by the file's version."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Collection, Iterable, Mapping
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final

from durable_core.storage import Hint, Reconnected
from durable_core.storage.kit import Listener, Listeners

from .errors import translate
from .session import Session, Tally, open_reader
from .settings import Settings
from .statements import HINTS
from .writer import FINISHED, Committed

_VERSION: Final = "PRAGMA data_version"

_SHORT: Final = 0.002
"""Seconds to the next look after something was seen, ..."""

_GROWS: Final = 1.2
"""... and how the time between two looks grows while nothing is seen."""

_LONG: Final = 0.01
"""Seconds of waiting that are worth to be cut short."""


class Hints:
    """The open listeners of one storage, and the thread that looks for commits of others.

    Args:
        settings: How to open the database.
        place: The database, for messages.
    """

    def __init__(self, settings: Settings, place: str) -> None:
        self.tally = Tally()
        self._settings = settings
        self._place = place
        self._lock = threading.Lock()
        self._listeners = Listeners()
        self._poller: _Poller | None = None

    def committed(self, commit: Committed) -> None:
        """Tell what a commit of this storage may have changed; from the writer's thread."""
        if not self._listeners:
            return
        with self._lock:
            if self._poller is not None:
                self._poller.own(commit.counters)
                if commit.queues:
                    # What others may take up now they may soon have done.
                    self._poller.hurry()
        self.tell(commit.queues, finished=commit.finished, own=True)

    def tell(self, queues: Iterable[str], *, finished: bool, own: bool = False) -> None:
        """Tell every listener what concerns it."""
        self._listeners.tell(queues, finished=finished, own=own)

    def reconnected(self) -> None:
        """Tell every listener that hints may have been lost."""
        self._listeners.reconnected()

    async def listen(self, queues: Collection[str]) -> AsyncGenerator[Hint]:
        """Yield hints, `Reconnected` first; what is not yet taken is told once."""
        # From now on nothing that it could miss is missed.
        listener = self._listeners.add(queues)
        try:
            await self._watching()
            yield Reconnected()
            while not listener.over:
                for hint in await listener.news():
                    yield hint
        finally:
            self._forget(listener)

    async def _watching(self) -> None:
        """Return when a thread looks for commits of others."""
        with self._lock:
            if self._settings.path is None:
                return
            if self._poller is None:
                self._poller = _Poller(self, self._settings)
            poller = self._poller
        await asyncio.to_thread(poller.begun.wait)
        if poller.failure is not None:
            raise translate(poller.failure, self._place) from poller.failure

    def _forget(self, listener: Listener) -> None:
        with self._lock:
            self._listeners.discard(listener)
            if not self._listeners and self._poller is not None:
                self._poller.stop()
                self._poller = None

    async def close(self) -> None:
        """End all listeners. Idempotent."""
        with self._lock:
            poller, self._poller = self._poller, None
        self._listeners.end()
        if poller is not None:
            poller.stop()
            await asyncio.to_thread(poller.thread.join)


class _Poller:
    """Looks at the file's version, and at the counters of the hints when it has changed.

    The version is read from shared memory; it changes only by commits of other connections than
    the asking one, so this one never writes.
    """

    def __init__(self, hints: Hints, settings: Settings) -> None:
        self.begun = threading.Event()
        self.failure: Exception | None = None
        self._stopped = False
        self._hints = hints
        self._settings = settings
        self._lock = threading.Lock()
        self._seen: dict[str, int] = {}
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._interval = settings.poll_interval
        self.thread = threading.Thread(target=self._main, name="durable-sqlite-hints", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """End the thread soon."""
        self._stopped = True
        self._wake.put(None)

    def hurry(self) -> None:
        """Look often for a while."""
        before, self._interval = self._interval, min(_SHORT, self._settings.poll_interval)
        if before > _LONG:
            self._wake.put(None)

    def _pause(self) -> None:
        """Wait for the next look: shortly while something goes on, longer when all is quiet."""
        interval = self._interval
        self._interval = min(interval * _GROWS, self._settings.poll_interval)
        with suppress(Empty):
            self._wake.get(timeout=interval)

    def own(self, counters: Mapping[str, int]) -> None:
        """Take note of counters that this storage has raised and told of itself."""
        with self._lock:
            for name, counter in counters.items():
                # Else somebody else has raised it too, and the next look must find that.
                if self._seen.get(name, 0) == counter - 1:
                    self._seen[name] = counter

    def _main(self) -> None:
        try:
            self._watch_until_stopped()
        finally:
            # Stopped before it had begun: whoever waits for the beginning must not wait for ever.
            self.begun.set()

    def _watch_until_stopped(self) -> None:
        while not self._stopped:
            try:
                self._watch()
            except Exception as error:  # noqa: BLE001 - see below
                if not self.begun.is_set():
                    # The listener that waits for the beginning is told.
                    self.failure = error
                    self.begun.set()
                    return
                # Writes and reads meet the trouble too, and have a caller to tell.
                self._pause()

    def _watch(self) -> None:
        """Poll until told to stop, or until the database fails."""
        session = Session(open_reader(self._settings), self._settings.prefix, self._hints.tally)
        try:
            version = session.control(_VERSION)
            self._look(session)
            if self.begun.is_set():
                self._hints.reconnected()
            self.begun.set()
            self._pause()
            while not self._stopped:
                before, version = version, session.control(_VERSION)
                if version != before:
                    self._report(self._look(session))
                self._pause()
        finally:
            session.close()

    def _report(self, raised: list[str]) -> None:
        if raised:
            self.hurry()
            queues = [name for name in raised if name != FINISHED]
            self._hints.tell(queues, finished=FINISHED in raised)

    def _look(self, session: Session) -> list[str]:
        """Return the hints that were raised since the last look."""
        counters: dict[str, int] = dict(session.rows(HINTS))
        with self._lock:
            raised = [name for name, n in counters.items() if n > self._seen.get(name, 0)]
            self._seen = counters
        return raised
