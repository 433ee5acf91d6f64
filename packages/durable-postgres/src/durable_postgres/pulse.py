"""Heartbeats of a thread, with a connection and an event loop of their own."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from durable_core.storage import Beat, ClosedError, Lease
from durable_core.storage.kit import check_executor

from .connections import driver_of, lonely_engine
from .errors import lost, original, translate
from .leases import beat
from .session import Driver, Session
from .settings import Expanded, Settings
from .statistics import Tally


class PostgresPulse:
    """See `PulseConnection`: connects with the first beat, and again after a loss.

    Args:
        engine: Says how to connect.
        settings: Where the tables are.
        place: The database, for messages.
    """

    def __init__(self, engine: AsyncEngine, settings: Settings, place: str) -> None:
        self._engine = lonely_engine(engine)
        self._texts = Expanded(settings)
        self._place = place
        self._loop: asyncio.AbstractEventLoop | None = None
        self._driver: Driver | None = None
        self._closed = False

    def beat(self, *, executor: str, ttl: int, now: int) -> Beat:
        """See `PulseConnection.beat`."""
        check_executor(executor)
        if self._closed:
            msg = f"this heartbeat's connection to {self._place} is closed"
            raise ClosedError(msg)
        lease = Lease(executor=executor, started_at=now, expires_at=now + ttl, info=b"")
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        return self._loop.run_until_complete(self._beat(lease, ttl))

    async def _beat(self, lease: Lease, ttl: int) -> Beat:
        session: Session | None = None
        try:
            async with asyncio.timeout(max(ttl, 3) / 3_000_000):
                session = Session(await self._connect(), self._texts, Tally())
                try:
                    return await self._renew(session, lease)
                except Exception as error:
                    if not lost(error):
                        raise
                    # It may have died while it lay still; to beat twice is to beat.
                    self._drop()
                    session = Session(await self._connect(), self._texts, Tally())
                    return await self._renew(session, lease)
        except Exception as error:  # noqa: BLE001 - translated, whatever it is
            cause = original(error)
            if lost(cause):
                self._drop()
            doubt = session is not None and session.doubt
            raise translate(
                cause, self._place, write=session is not None, doubt=doubt, written=False
            ) from cause

    @staticmethod
    async def _renew(session: Session, lease: Lease) -> Beat:
        signs_off = lease.expires_at <= lease.started_at
        return await beat(session, lease, register=False, signs_off=signs_off)

    async def _connect(self) -> Driver:
        if self._driver is None or self._driver.is_closed():
            pooled = await self._engine.raw_connection()
            self._driver = driver_of(pooled)
            pooled.detach()
        return self._driver

    def _drop(self) -> None:
        if self._driver is not None:
            self._driver.terminate()
            self._driver = None

    def close(self) -> None:
        """Release the connection. Idempotent."""
        self._closed = True
        self._drop()
        if self._loop is not None:
            # The transport closes in a later turn of the loop.
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.close()
            self._loop = None
