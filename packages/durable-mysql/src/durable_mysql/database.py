"""Calls on connections of the pool: acquired, retried, translated, given back or thrown away."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.util import greenlet_spawn

from durable_core.storage import ClosedError, StorageError

from .connections import connected, pooled_driver
from .drivers import Driver, alive
from .errors import answered, original, passing, translate
from .server import Server, look_at
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
        server: What the server is; None until it was asked.
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
        self.server: Server | None = None
        self._tell = tell
        self._calls = 0
        self._quiet = asyncio.Event()

    async def close(self) -> None:
        """Refuse new calls and wait for those under way. Idempotent."""
        self.closed = True
        while self._calls:
            self._quiet.clear()
            await self._quiet.wait()

    async def look(self) -> Server:
        """Ask the server what it is, again if it was asked before."""
        self.server = None
        return await self.read(_its_server)

    async def read(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Carry out a call that only reads."""
        return await self._counted(work, write=False)

    async def write(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Carry out a call that writes, and tell listeners what it told the session.

        Args:
            work: Repeated from its beginning after a deadlock, so it must not keep anything.
        """
        return await self._counted(work, write=True)

    async def aside(self, work: Callable[[Session], Awaitable[object]]) -> None:
        """Carry out what may fail and is nobody's call: once, also while the storage closes."""
        pooled = await self._acquire()
        try:
            driver = pooled_driver(pooled)
            await work(Session(driver, await self._asked(driver), self.texts, self.tally))
        except BaseException:
            await _throw_away(pooled)
            raise
        finally:
            await greenlet_spawn(pooled.close)

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
                msg = f"the MySQLStorage on {self.place} is closed"
                raise ClosedError(msg)
            session: Session | None = None
            pooled: PoolProxiedConnection | None = None
            try:
                pooled = await self._acquire()
                driver = pooled_driver(pooled)
                session = Session(driver, await self._asked(driver), self.texts, self.tally)
                answer = await work(session)
            except BaseException as error:
                if pooled is not None:
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
            await greenlet_spawn(pooled.close)
            if session.told.rows:
                self._tell(session.told)
            return answer

    async def _asked(self, driver: Driver) -> Server:
        """Return what the server is: the first connection asks."""
        if self.server is None:
            async with asyncio.timeout(self.texts.settings.command_timeout):
                self.server = await look_at(driver, self.place)
        return self.server

    async def _acquire(self) -> PoolProxiedConnection:
        """Return a connection that did not die while it lay in the pool."""
        # For a place in the pool, and for a server that accepts and says nothing.
        async with asyncio.timeout(2 * self.texts.settings.command_timeout):
            pooled = await connected(self.engine)
            for _ in range(_STALE):
                if alive(pooled_driver(pooled)):
                    break
                await _throw_away(pooled)
                await greenlet_spawn(pooled.close)
                pooled = await connected(self.engine)
        return pooled

    async def _give_back(
        self, pooled: PoolProxiedConnection, session: Session | None, error: BaseException
    ) -> None:
        """Return a connection whose call failed, in order again or not at all."""
        clean = False
        # What was raised between two packets has left nothing unread.
        if session is not None and (answered(error) or isinstance(error, StorageError)):
            # Where that fails, the connection is thrown away.
            with suppress(Exception, asyncio.CancelledError):
                await session.clear()
                clean = True
        if not clean:
            await _throw_away(pooled)
        await greenlet_spawn(pooled.close)


async def _throw_away(pooled: PoolProxiedConnection) -> None:
    """Close a connection, whatever is still to be said on it."""
    pooled_driver(pooled).close()
    # SQLAlchemy's pools close and roll back by waiting, which they do in a greenlet.
    await greenlet_spawn(pooled.invalidate)


async def _its_server(session: Session) -> Server:
    return session.server


def _jitter() -> float:
    """Return a number from 0.5 to 1.5 that two processes are unlikely to share."""
    return 0.5 + asyncio.get_running_loop().time() % 0.001 * 1_000
