"""Taking the storage's hints."""

import logging
from collections.abc import Collection

from ..storage import Finished, Hint, Listen, Ready
from .claimer import Claimer
from .waiters import Waiters

_LOG = logging.getLogger("durable.hints")


class Hints:
    """Wakes the claimer and the waiters by what a storage hints at.

    Args:
        claimer: Told that something may be claimable.
        waiters: Told that something finished.
    """

    def __init__(self, claimer: Claimer, waiters: Waiters) -> None:
        self._claimer = claimer
        self._waiters = waiters
        self.heard = False

    async def listen(self, listener: Listen, queues: Collection[str]) -> None:
        """Take hints until they end; without them the storage is polled more often."""
        try:
            async for hint in listener.listen(queues=queues):
                self.heard = self._waiters.hinted = True
                self._take(hint)
        except Exception as error:  # noqa: BLE001 - hints are never needed
            _LOG.warning("hints have stopped: %s; polling instead", error)
        finally:
            self.heard = self._waiters.hinted = False
            self._waiters.look_soon()

    def _take(self, hint: Hint) -> None:
        """Look at once, or soon if the hint is about this executor's own calls.

        Their answers have told it already, but for those that were lost.
        """
        if isinstance(hint, Ready):
            if hint.own:
                self._claimer.wake_later()
            else:
                self._claimer.wake()
        elif isinstance(hint, Finished):
            if hint.own:
                self._waiters.look_later()
            else:
                self._waiters.look_soon()
        else:
            self._claimer.wake()
            self._waiters.look_soon()
