"""Hints: heard on a connection of their own, handed to the listeners of this storage."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import suppress
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from durable_core.storage import Hint, StorageError
from durable_core.storage.kit import Listeners, SharedSource, cut_off

from .connections import driver_of
from .errors import original, translate
from .notifying import Notifier
from .session import Driver, Told
from .settings import Settings
from .statistics import Tally

_FIRST_RETRY: Final = 0.05
_LONGEST_RETRY: Final = 5.0
_ALIVE: Final = 30.0
"""Seconds between two looks whether a silent connection still lives."""


class Hints:
    """The open listeners of one storage, and the connection on which other processes are heard.

    Args:
        engine: Its pool makes the connection.
        settings: Names the channel.
        notifier: Sends to other processes.
        tally: Where statements are counted.
        place: The database, for messages.
    """

    def __init__(
        self, engine: AsyncEngine, settings: Settings, notifier: Notifier, tally: Tally, place: str
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._notifier = notifier
        self._tally = tally
        self._place = place
        self._listeners = Listeners()
        self._shared = SharedSource(self._listeners, self._dial, self._explain)

    @property
    def driver(self) -> Driver | None:
        """The connection on which hints are heard, if there is one."""
        line = self._shared.source
        return None if line is None else line.driver

    def committed(self, told: Told) -> None:
        """Tell listeners here at once, and those elsewhere soon, what a commit has changed."""
        if not told.ready and not told.finished:
            return
        self._listeners.tell(told.ready, finished=told.finished, own=True)
        if not self._settings.pooler:
            self._notifier.send(told)

    def heard(self, payload: str) -> None:
        """Take note of what another storage has sent."""
        hint = self._notifier.heard(payload)
        if hint is not None:
            _, _, queue = hint.partition(" ")
            self._listeners.tell([queue] if queue else [], finished=not queue)

    async def begin(self, driver: Driver) -> None:
        """Let others know of a connection that hears them from now on."""
        await self._notifier.begin(driver.fetch)

    def end(self) -> None:
        """That connection is gone."""
        self._notifier.end()

    def reconnected(self) -> None:
        """Tell every listener that hints may have been lost."""
        self._listeners.reconnected()

    def listen(self, queues: Collection[str]) -> AsyncIterator[Hint]:
        """Yield hints, `Reconnected` first; what is not yet taken is told once."""
        return self._shared.listen(queues)

    async def close(self) -> None:
        """End all listeners. Idempotent."""
        await self._shared.close()

    def _dial(self) -> "_Line":
        return _Line(self, self._engine, self._settings.channel, self._tally)

    def _explain(self, error: Exception) -> StorageError:
        return translate(error, self._place, write=False, doubt=False, written=False)


class _Line:
    """The connection on which hints are heard; made again whenever it breaks."""

    def __init__(self, hints: Hints, engine: AsyncEngine, channel: str, tally: Tally) -> None:
        self.begun = asyncio.Event()
        self.failure: Exception | None = None
        self.driver: Driver | None = None
        self._hints = hints
        self._engine = engine
        self._channel = channel
        self._tally = tally
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        pause = _FIRST_RETRY
        while True:
            try:
                await self._hear()
                pause = _FIRST_RETRY
            except Exception as error:  # noqa: BLE001 - told to who waits; later it is tried again
                if not self.begun.is_set():
                    self.failure = original(error)
                    self.begun.set()
                    return
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_RETRY)

    async def _hear(self) -> None:
        """Listen until the connection breaks."""
        pooled = await self._engine.raw_connection()
        driver = self.driver = driver_of(pooled)
        pooled.detach()
        lost = asyncio.Event()
        try:
            driver.add_termination_listener(lambda _: lost.set())
            self._tally.statements += 1
            await driver.add_listener(self._channel, self._heard)
            await self._hints.begin(driver)
            if self.begun.is_set():
                self._hints.reconnected()
            self.begun.set()
            while not lost.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(_ALIVE):
                        await lost.wait()
                    return
                self._tally.statements += 1
                await driver.execute("SELECT 1", timeout=_ALIVE)
        finally:
            self.driver = None
            self._hints.end()
            driver.terminate()

    def _heard(self, _driver: Any, _pid: int, _channel: str, payload: object) -> None:
        self._hints.heard(str(payload))

    async def close(self) -> None:
        await cut_off(self._task)
