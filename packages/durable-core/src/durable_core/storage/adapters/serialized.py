"""One call at a time, for a storage that cannot work in parallel."""

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from ..protocol import Storage
from .forwarding import Forwarding
from .wrapper import MethodName

P = ParamSpec("P")
T = TypeVar("T")


class Serialized(Forwarding):
    """Lets one call at a time through to the inner storage, reads too, in order of arrival.

    Calls may come from several threads and event loops. Hints and the blocking heartbeat of
    `Pulse` are not held up: a storage that declares them has connections of their own for them.

    Args:
        storage: The storage that cannot work in parallel.
    """

    def __init__(self, storage: Storage) -> None:
        super().__init__(storage)
        self._turns = _Turns()

    async def around(
        self,
        method: MethodName,
        function: Callable[P, Awaitable[T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Carry out one call when its turn has come."""
        await self._turns.take()
        try:
            return await function(*args, **kwargs)
        finally:
            self._turns.give_up()


class _Turns:
    """A fair lock for coroutines of any event loop; `asyncio.Lock` serves only one."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._taken = False
        self._queue: deque[asyncio.Future[None]] = deque()

    async def take(self) -> None:
        """Wait for the turn."""
        with self._guard:
            if not self._taken:
                self._taken = True
                return
            turn = asyncio.get_running_loop().create_future()
            self._queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            with self._guard:
                queued = turn in self._queue
                if queued:
                    self._queue.remove(turn)
            if not queued:
                self.give_up()
            raise

    def give_up(self) -> None:
        """Pass the turn on to whoever has waited longest."""
        with self._guard:
            while self._queue:
                turn = self._queue.popleft()
                try:
                    turn.get_loop().call_soon_threadsafe(_grant, turn)
                except RuntimeError:  # its loop is closed: nobody waits there any more
                    continue
                return
            self._taken = False


def _grant(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)
