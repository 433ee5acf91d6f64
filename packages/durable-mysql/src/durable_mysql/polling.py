"""Looking for hints of other processes: often while something goes on, once a second else."""

import asyncio
from contextlib import suppress
from typing import Final

from durable_core.storage.kit import cut_off

from .connections import connected, pooled_driver
from .database import Database
from .drivers import Driver
from .errors import original
from .literals import text
from .notifying import FINISHED
from .process import Hears
from .server import look_at
from .session import Session
from .statements import FORGET_HINTS, FORGET_LISTENERS, HEAR, LISTEN

_SHORT: Final = 0.02
"""Seconds to the next look after something was seen, ..."""

_GROWS: Final = 1.3
"""... and how the time between two looks grows while nothing is seen."""

_LATE: Final = 5_000_000
"""µs for which a hint's transaction may last and the hint is still found."""

_RENEWED: Final = 20.0
"""Seconds after which a listener says again that it listens."""

_FIRST_RETRY: Final = 0.05
_LONGEST_RETRY: Final = 5.0


class Poller:
    """A connection of its own that looks for hints; made again whenever it breaks.

    Args:
        database: Its pool makes the connection.
        listener: The name of this process: its own hints are not looked for.
        hints: Whom to tell.

    Attributes:
        begun: Set when the first look was taken, or has failed.
        failure: Why the first look has failed.
        driver: The connection, if there is one.
    """

    def __init__(self, database: Database, listener: str, hints: Hears) -> None:
        self.begun = asyncio.Event()
        self.failure: Exception | None = None
        self.driver: Driver | None = None
        self._database = database
        self._listener = listener
        self._hints = hints
        self._longest = database.texts.settings.poll_interval
        self._interval = self._longest
        self._hurry = asyncio.Event()
        self._seen: dict[tuple[str, bytes], int] = {}
        self._task = asyncio.get_running_loop().create_task(self._run())

    def hurry(self) -> None:
        """Look often for a while."""
        self._interval = min(_SHORT, self._longest)
        self._hurry.set()

    async def close(self) -> None:
        """Stop looking."""
        await cut_off(self._task)
        # Who waits for the beginning must not wait for ever.
        self.begun.set()

    async def _run(self) -> None:
        pause = _FIRST_RETRY
        while True:
            try:
                await self._watch()
            except Exception as error:  # noqa: BLE001 - told to who waits; later it is tried again
                if not self.begun.is_set():
                    self.failure = original(error)
                    self.begun.set()
                    return
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_RETRY)

    async def _watch(self) -> None:
        """Look until the connection breaks."""
        database = self._database
        pooled = await connected(database.engine)
        driver = self.driver = pooled_driver(pooled)
        pooled.detach()
        try:
            server = database.server or await look_at(driver, database.place)
            session = Session(driver, server, database.texts, database.tally)
            renewed = await self._listen(session)
            await self._look(session)
            if self.begun.is_set():
                self._hints.reconnected()
            self.begun.set()
            loop = asyncio.get_running_loop()
            while True:
                await self._pause()
                if loop.time() > renewed + _RENEWED:
                    renewed = await self._listen(session)
                raised = await self._look(session)
                if raised:
                    self.hurry()
                    queues = [queue for queue in raised if queue != FINISHED]
                    self._hints.tell(queues, finished=FINISHED in raised)
        finally:
            self.driver = None
            driver.close()

    async def _listen(self, session: Session) -> float:
        """Say that somebody listens here; forget what nobody looks for any more."""
        await session.write(session.fill(LISTEN, text(self._listener)))
        await session.write(session.fill(FORGET_LISTENERS))
        await session.write(session.fill(FORGET_HINTS))
        return asyncio.get_running_loop().time()

    async def _look(self, session: Session) -> list[str]:
        """Return the queues of hints that were raised since the last look."""
        window = _LATE + round(self._longest * 1_000_000)
        rows = await session.rows(session.fill(HEAR, str(window), text(self._listener)))
        found = {(row[0], row[1]): row[2] for row in rows}
        raised = {key[1] for key, number in found.items() if self._seen.get(key) != number}
        self._seen = found
        return [queue.decode() for queue in raised]

    async def _pause(self) -> None:
        """Wait for the next look: shortly while something goes on, longer when all is quiet."""
        interval = self._interval
        self._interval = min(interval * _GROWS, self._longest)
        self._hurry.clear()
        await asyncio.sleep(min(interval, _SHORT))
        if interval > _SHORT:
            with suppress(TimeoutError):
                async with asyncio.timeout(interval - _SHORT):
                    await self._hurry.wait()
