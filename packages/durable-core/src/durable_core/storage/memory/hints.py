"""Hints inside one process: listeners are told after each change, from whatever thread."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import suppress

from ..hints import Finished, Hint, Ready, Reconnected


class Listeners:
    """The open listeners of one namespace."""

    def __init__(self) -> None:
        self._open: set[_Listener] = set()

    def ready(self, queues: Iterable[str]) -> None:
        """Tell that something of these queues may have become claimable."""
        for listener in tuple(self._open):
            for queue in queues:
                if queue in listener.queues:
                    listener.tell(Ready(queue=queue))

    def finished(self) -> None:
        """Tell that something finished."""
        for listener in tuple(self._open):
            listener.tell(Finished())

    async def listen(self, queues: Collection[str]) -> AsyncIterator[Hint]:
        """Yield hints, `Reconnected` first; what is not yet taken is told once."""
        listener = _Listener(frozenset(queues), asyncio.get_running_loop())
        self._open.add(listener)
        try:
            yield Reconnected()
            while True:
                await listener.told.wait()
                listener.told.clear()
                waiting, listener.waiting = listener.waiting, {}
                for hint in waiting:
                    yield hint
        finally:
            self._open.discard(listener)


class _Listener:
    def __init__(self, queues: frozenset[str], loop: asyncio.AbstractEventLoop) -> None:
        self.queues = queues
        self.told = asyncio.Event()
        self.waiting: dict[Hint, None] = {}
        self._loop = loop

    def tell(self, hint: Hint) -> None:
        # A loop that was closed under its listener must not fail the write it is told of.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._take, hint)

    def _take(self, hint: Hint) -> None:
        self.waiting[hint] = None
        self.told.set()
