"""Telling other processes what was committed: one small row for each queue, after the commit."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import Final

from .database import Database
from .literals import name, text
from .session import Session, Told
from .statements import NOTIFY, ONE_NOTE, UNION

_PER_ROW: Final = 0.000_2
_LONGEST_PAUSE: Final = 0.05
"""A busy writer's hints wait so many seconds per changed row, and so many at most."""

FINISHED: Final = ""
"""Stands for *something finished* where a queue's name stands else: no queue has this name."""


def notes(told: Told) -> list[str]:
    """Return the queues in which something is ready, and `FINISHED`."""
    return [*sorted(told.ready), FINISHED] if told.finished else sorted(told.ready)


class Notifier:
    """Sends hints: one packet at a time, what comes meanwhile goes with the next.

    Args:
        database: Whose pool is used.
        sender: The name of this process.
    """

    def __init__(self, database: Database, sender: str) -> None:
        self._database = database
        self._sender = sender
        self._waiting = Told()
        self._task: asyncio.Task[None] | None = None

    def send(self, told: Told) -> None:
        """Send soon."""
        self._waiting.ready |= told.ready
        self._waiting.finished |= told.finished
        self._waiting.rows += told.rows
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._waiting.ready or self._waiting.finished:
                told, self._waiting = self._waiting, Told()
                # A hint that cannot be sent is lost, as hints may be.
                with suppress(Exception):
                    await self._database.aside(partial(self._notify, notes(told)))
                await asyncio.sleep(min(told.rows * _PER_ROW, _LONGEST_PAUSE))
        finally:
            self._task = None

    async def _notify(self, queues: Iterable[str], session: Session) -> None:
        rows = UNION.join(ONE_NOTE % name(queue) for queue in queues)
        sender = text(self._sender)
        await session.write(session.fill(NOTIFY, sender, rows, sender))

    async def close(self) -> None:
        """Send what waits. Idempotent."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
