"""Heartbeats of a thread, with a connection and an event loop of their own."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from durable_core.storage import Beat, ClosedError, Lease
from durable_core.storage.kit import check_executor

from .connections import connected, lonely_engine, pooled_driver
from .drivers import Driver, alive
from .errors import answered, lost, original, translate
from .leases import beat
from .server import Server, look_at
from .session import Session
from .settings import Expanded, Settings
from .statistics import Tally


class MySQLPulse:
    """See `PulseConnection`: connects with the first beat, and again after a loss.

    Args:
        engine: Says how to connect.
        settings: Where the tables are.
        place: The database, for messages.
        server: What the server is, if it was asked.
    """

    def __init__(
        self, engine: AsyncEngine, settings: Settings, place: str, server: Server | None
    ) -> None:
        self._engine = lonely_engine(engine)
        self._texts = Expanded(settings)
        self._place = place
        self._server = server
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
                session = await self._session()
                try:
                    return await self._renew(session, lease)
                except Exception as error:
                    if not lost(error):
                        raise
                    # It may have died while it lay still; to beat twice is to beat.
                    self._drop()
                    session = await self._session()
                    return await self._renew(session, lease)
        except Exception as error:  # noqa: BLE001 - translated, whatever it is
            cause = original(error)
            if not answered(cause):
                self._drop()
            doubt = session is not None and session.doubt
            raise translate(
                cause, self._place, write=session is not None, doubt=doubt, written=False
            ) from cause

    @staticmethod
    async def _renew(session: Session, lease: Lease) -> Beat:
        signs_off = lease.expires_at <= lease.started_at
        return await beat(session, lease, register=False, signs_off=signs_off)

    async def _session(self) -> Session:
        if self._driver is None or not alive(self._driver):
            self._drop()
            pooled = await connected(self._engine)
            self._driver = pooled_driver(pooled)
            pooled.detach()
        if self._server is None:
            self._server = await look_at(self._driver, self._place)
        return Session(self._driver, self._server, self._texts, Tally())

    def _drop(self) -> None:
        if self._driver is not None:
            self._driver.close()
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
