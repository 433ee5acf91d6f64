"""Deleting what finished long ago."""

import logging
from functools import partial

from .clock import Clock, StorageTime, sleep
from .writer import Writer

_LOG = logging.getLogger("durable.purge")
_LIMIT = 1000
_LONGEST_PAUSE = 3600.0


class Retention:
    """Purges, as a call and as a duty in the background.

    Args:
        writer: The way to the storage.
        clock: For the pauses.
        time: The storage's time.
    """

    def __init__(self, writer: Writer, *, clock: Clock, time: StorageTime) -> None:
        self._writer = writer
        self._clock = clock
        self._time = time

    async def purge(self, older_than_us: int) -> int:
        """Delete executions that finished longer ago than this, in bounded batches.

        Returns:
            How many.
        """
        total = 0
        while True:
            gone = await self._writer.patiently(partial(self._purge_some, older_than_us))
            total += gone
            if gone < _LIMIT:
                return total

    async def keep(self, seconds: float) -> None:
        """Purge for ever what finished longer ago than this."""
        while True:
            try:
                await self.purge(int(seconds * 1e6))
            except Exception as error:  # noqa: BLE001 - nobody else would purge
                _LOG.warning("purging failed: %s; tried again later", error)
            await sleep(self._clock, max(1.0, min(_LONGEST_PAUSE, seconds / 10)))

    async def _purge_some(self, older_than_us: int) -> int:
        now = self._time.now()
        return await self._writer.storage.purge(
            finished_before=max(0, now - older_than_us), now=now, limit=_LIMIT
        )
