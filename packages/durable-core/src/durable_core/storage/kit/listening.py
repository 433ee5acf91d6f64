"""Listeners for hints: each is told what concerns it, what it has not yet taken only once."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Iterator
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

from ..hints import Finished, Hint, Ready, Reconnected


class Listener:
    """One that listens, on the event loop on which it was made.

    Args:
        queues: Those whose `Ready` it hears.

    Attributes:
        over: Whether no more hints will come.
    """

    def __init__(self, queues: Collection[str]) -> None:
        self.queues = frozenset(queues)
        self.over = False
        self._loop = asyncio.get_running_loop()
        self._told = asyncio.Event()
        self._waiting: dict[Hint, None] = {}

    def tell(self, hints: Iterable[Hint]) -> None:
        """Take hints; from any thread."""
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
        """Let it end; from any thread. What it has not taken may be lost, as hints may."""
        self.over = True
        self.tell(())

    async def news(self) -> Iterable[Hint]:
        """Wait for hints, and return those that were not taken yet, in the order they came."""
        await self._told.wait()
        self._told.clear()
        waiting, self._waiting = self._waiting, {}
        return waiting

    def _take(self, hints: Iterable[Hint]) -> None:
        self._waiting.update(dict.fromkeys(hints))
        self._told.set()


class Listeners:
    """The open listeners of one storage. All but `listen` may be called from any thread."""

    def __init__(self) -> None:
        self._open: set[Listener] = set()

    def __iter__(self) -> Iterator[Listener]:
        """Iterate over those that are open now."""
        return iter(tuple(self._open))

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._open)

    def add(self, queues: Collection[str]) -> Listener:
        """Open one; from now on it is told."""
        listener = Listener(queues)
        self._open.add(listener)
        return listener

    def discard(self, listener: Listener) -> None:
        """Forget one, if it is still there."""
        self._open.discard(listener)

    def tell(self, queues: Iterable[str], *, finished: bool, own: bool = False) -> None:
        """Tell every listener what concerns it.

        Args:
            queues: Where something may have become claimable.
            finished: Whether something finished.
            own: See `Ready.own`.
        """
        ready = [Ready(queue=queue, own=own) for queue in queues]
        for listener in self:
            hints: list[Hint] = [hint for hint in ready if hint.queue in listener.queues]
            if finished:
                hints.append(Finished(own=own))
            if hints:
                listener.tell(hints)

    def reconnected(self) -> None:
        """Tell every listener that hints may have been lost."""
        for listener in self:
            listener.tell([Reconnected()])

    def end(self) -> None:
        """End and forget all."""
        for listener in self:
            listener.end()
            self.discard(listener)

    async def listen(self, queues: Collection[str]) -> AsyncGenerator[Hint]:
        """Yield hints, as `Listen.listen` says, where the storage itself knows all there is."""
        listener = self.add(queues)
        try:
            yield Reconnected()
            while not listener.over:
                for hint in await listener.news():
                    yield hint
        finally:
            self.discard(listener)


class Source(Protocol):
    """What hears of other processes, from when it is made, and tells the listeners."""

    @property
    def begun(self) -> asyncio.Event:
        """Set when it hears, or has failed to begin."""
        ...

    @property
    def failure(self) -> Exception | None:
        """Why it has failed to begin."""
        ...

    async def close(self) -> None:
        """Hear no more."""
        ...


SourceT = TypeVar("SourceT", bound=Source)


class SharedSource(Generic[SourceT]):
    """A source that is there while anybody listens, on one event loop.

    Args:
        listeners: Whom the source tells.
        make: Begins to hear.
        explain: Turns the reason why a source has failed to begin into an error of the protocol's.
    """

    def __init__(
        self,
        listeners: Listeners,
        make: Callable[[], SourceT],
        explain: Callable[[Exception], Exception],
    ) -> None:
        self._listeners = listeners
        self._make = make
        self._explain = explain
        self._source: SourceT | None = None

    @property
    def source(self) -> SourceT | None:
        """It, while anybody listens."""
        return self._source

    async def listen(self, queues: Collection[str]) -> AsyncGenerator[Hint]:
        """Yield hints, as `Listen.listen` says.

        Raises:
            StorageError: The source has failed to begin.
        """
        listener = self._listeners.add(queues)
        try:
            await self._begun()
            yield Reconnected()
            while not listener.over:
                for hint in await listener.news():
                    yield hint
        finally:
            self._listeners.discard(listener)
            if not self._listeners:
                await self._stop()

    async def close(self) -> None:
        """End all listeners, and the source. Idempotent."""
        self._listeners.end()
        await self._stop()

    async def _begun(self) -> None:
        if self._source is None:
            self._source = self._make()
        source = self._source
        await source.begun.wait()
        if source.failure is not None:
            await self._stop()
            raise self._explain(source.failure) from source.failure

    async def _stop(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            await source.close()
