"""Hints: told at once in this process, found by polite polling in other ones."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Iterable
from contextlib import suppress

from durable_core.storage import Finished, Hint, Ready, Reconnected

from .database import Database
from .errors import original, translate
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
        self._listeners: set[_Listener] = set()
        self._poller: Poller | None = None
        neighbours.hints.add(self)

    @property
    def poller(self) -> Poller | None:
        """What looks for hints of other processes, while somebody listens."""
        return self._poller

    def committed(self, told: Told) -> None:
        """Tell listeners here at once, and those elsewhere soon, what a commit has changed."""
        if not told.ready and not told.finished:
            return
        for hints in tuple(self._neighbours.hints):
            hints.tell(told.ready, finished=told.finished, own=hints is self)
        if self._poller is not None and told.ready:
            # What others may take up now they may soon have done.
            self._poller.hurry()
        self._notifier.send(told)

    def tell(self, queues: Iterable[str], *, finished: bool, own: bool = False) -> None:
        """Tell every listener what concerns it; from any thread."""
        ready = [Ready(queue=queue, own=own) for queue in queues]
        for listener in tuple(self._listeners):
            hints: list[Hint] = [hint for hint in ready if hint.queue in listener.queues]
            if finished:
                hints.append(Finished(own=own))
            if hints:
                listener.tell(hints)

    def reconnected(self) -> None:
        """Tell every listener that hints may have been lost."""
        for listener in tuple(self._listeners):
            listener.tell([Reconnected()])

    async def listen(self, queues: Collection[str]) -> AsyncGenerator[Hint]:
        """Yield hints, `Reconnected` first; what is not yet taken is told once."""
        listener = _Listener(frozenset(queues))
        try:
            self._listeners.add(listener)
            await self._begun()
            yield Reconnected()
            while not listener.over:
                await listener.told.wait()
                listener.told.clear()
                waiting, listener.waiting = listener.waiting, {}
                for hint in waiting:
                    yield hint
        finally:
            self._listeners.discard(listener)
            if not self._listeners:
                await self._stop()

    async def _begun(self) -> None:
        if self._poller is None:
            self._poller = Poller(self._database, self._neighbours.sender, self)
        poller = self._poller
        await poller.begun.wait()
        if poller.failure is not None:
            await self._stop()
            cause = original(poller.failure)
            place = self._database.place
            raise translate(cause, place, write=False, doubt=False, written=False) from cause

    async def _stop(self) -> None:
        poller, self._poller = self._poller, None
        if poller is not None:
            await poller.close()

    async def close(self) -> None:
        """End all listeners. Idempotent."""
        for listener in tuple(self._listeners):
            listener.end()
        self._listeners.clear()
        await self._stop()


class _Listener:
    def __init__(self, queues: frozenset[str]) -> None:
        self.queues = queues
        self.told = asyncio.Event()
        self.waiting: dict[Hint, None] = {}
        self.over = False
        self._loop = asyncio.get_running_loop()

    def tell(self, hints: Iterable[Hint]) -> None:
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if here:
            self._take(hints)
            return
        # A loop that was closed under its listener must not fail the write it is told of.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._take, hints)

    def end(self) -> None:
        self.over = True
        self.tell(())

    def _take(self, hints: Iterable[Hint]) -> None:
        self.waiting.update(dict.fromkeys(hints))
        self.told.set()
