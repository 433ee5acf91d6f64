"""One call at a time, for a storage that cannot work in parallel."""

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
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


@dataclass(slots=True, eq=False)
class _Waiter:
    """Somebody in the queue; `granted` once the turn was passed to it."""

    turn: asyncio.Future[None]
    granted: bool = False


class _Turns:
    """A fair lock for coroutines of any event loop; `asyncio.Lock` serves only one."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._taken = False
        self._queue: deque[_Waiter] = deque()

    async def take(self) -> None:
        """Wait for the turn."""
        with self._guard:
            if not self._taken:
                self._taken = True
                return
            waiter = _Waiter(asyncio.get_running_loop().create_future())
            self._queue.append(waiter)
        try:
            await waiter.turn
        except BaseException:
            with self._guard:
                if waiter.granted:
                    self._pass_on()
                elif waiter in self._queue:
                    self._queue.remove(waiter)
            raise

    def give_up(self) -> None:
        """Pass the turn on to whoever has waited longest."""
        with self._guard:
            self._pass_on()

    def _pass_on(self) -> None:
        while self._queue:
            waiter = self._queue.popleft()
            # A closed loop raises: nobody waits there any more.
            with suppress(RuntimeError):
                waiter.turn.get_loop().call_soon_threadsafe(_grant, waiter.turn)
                waiter.granted = True
                return
        self._taken = False


def _grant(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)
