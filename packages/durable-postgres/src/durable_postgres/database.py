"""Calls on connections of the pool: acquired, retried, translated, given back or thrown away."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import PoolProxiedConnection

from durable_core.storage import ClosedError

from .connections import driver_of, give_back
from .errors import answered, original, passing, translate
from .session import Session, Told
from .settings import Expanded, Settings
from .statistics import Tally

T = TypeVar("T")

_ATTEMPTS: Final = 8
_FIRST_PAUSE: Final = 0.005
_STALE: Final = 100
"""Dead connections to throw away at most before one is expected to live."""


class Database:
    """The pool of one storage.

    Args:
        engine: Whose pool is used.
        settings: Where the tables are.
        tally: Where statements are counted.
        place: The database, for messages.
        tell: Called after a commit that may concern listeners.

    Attributes:
        closed: Whether calls are refused.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        settings: Settings,
        tally: Tally,
        place: str,
        tell: Callable[[Told], None],
    ) -> None:
        self.engine = engine
        self.texts = Expanded(settings)
        self.tally = tally
        self.closed = False
        self.place = place
        self._tell = tell
        self._calls = 0
        self._quiet = asyncio.Event()

    async def close(self) -> None:
        """Refuse new calls and wait for those under way. Idempotent."""
        self.closed = True
        while self._calls:
            self._quiet.clear()
            await self._quiet.wait()

    async def read(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Carry out a call that only reads."""
        return await self._counted(work, write=False)

    async def write(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Carry out a call that writes, and tell listeners what it told the session.

        Args:
            work: Repeated from its beginning after a deadlock, so it must not keep anything.
        """
        return await self._counted(work, write=True)

    async def _counted(self, work: Callable[[Session], Awaitable[T]], *, write: bool) -> T:
        self._calls += 1
        try:
            return await self._call(work, write=write)
        finally:
            self._calls -= 1
            self._quiet.set()

    async def _call(self, work: Callable[[Session], Awaitable[T]], *, write: bool) -> T:
        attempt = 0
        while True:
            attempt += 1
            if self.closed:
                msg = f"the PostgresStorage on {self.place} is closed"
                raise ClosedError(msg)
            session: Session | None = None
            pooled: PoolProxiedConnection | None = None
            try:
                pooled = await self._acquire()
                session = Session(driver_of(pooled), self.texts, self.tally)
                answer = await work(session)
            except BaseException as error:
                if pooled is not None and session is not None:
                    await self._give_back(pooled, session, error)
                if not isinstance(error, Exception):
                    raise
                cause = original(error)
                written = session is not None and session.written
                if passing(cause) and not written and attempt < _ATTEMPTS:
                    await asyncio.sleep(_FIRST_PAUSE * attempt * _jitter())
                    continue
                raise translate(
                    cause,
                    self.place,
                    # Without a connection nothing was sent.
                    write=write and session is not None,
                    doubt=session is not None and session.doubt,
                    written=written,
                ) from cause
            if session.told.rows:
                self._tell(session.told)
            await give_back(pooled)
            return answer

    async def _acquire(self) -> PoolProxiedConnection:
        """Return a connection that was not closed while it lay in the pool."""
        pooled = await self.engine.raw_connection()
        for _ in range(_STALE):
            if not driver_of(pooled).is_closed():
                break
            pooled.invalidate()
            await give_back(pooled)
            pooled = await self.engine.raw_connection()
        return pooled

    async def _give_back(
        self, pooled: PoolProxiedConnection, session: Session, error: BaseException
    ) -> None:
        """Return a connection whose call failed, in order again or not at all."""
        clean = answered(error) and not session.driver.is_in_transaction()
        if not clean and not session.driver.is_closed():
            try:
                await session.clear()
                clean = True
            except (Exception, asyncio.CancelledError):  # noqa: BLE001 - it is thrown away then
                session.driver.terminate()
        if not clean:
            pooled.invalidate()
        await give_back(pooled)


def _jitter() -> float:
    """Return a number from 0.5 to 1.5 that two processes are unlikely to share."""
    return 0.5 + asyncio.get_running_loop().time() % 0.001 * 1_000
