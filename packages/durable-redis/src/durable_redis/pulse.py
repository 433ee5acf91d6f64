"""Heartbeats of a thread, with a connection and an event loop of their own."""

import asyncio
from typing import Any

from redis import exceptions as exc

from durable_core.storage import Beat, ClosedError, Lease
from durable_core.storage.kit import check_executor

from .errors import lost, translate
from .leases import beat_answer, beat_arguments
from .links import Connection, Link, pack
from .scripts import BEAT
from .settings import Settings


class RedisPulse:
    """See `PulseConnection`: connects with the first beat, and again after a loss.

    Args:
        link: Says how to connect.
        settings: The namespace.
    """

    def __init__(self, link: Link, settings: Settings) -> None:
        self._link = link
        self._settings = settings
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection: Connection | None = None
        self._closed = False

    @property
    def _place(self) -> str:
        return f"{self._link.place} {self._settings.namespace!r}"

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
        try:
            async with asyncio.timeout(max(ttl, 3) / 3_000_000):
                try:
                    return await self._renew(lease)
                except Exception as error:
                    moved = error if isinstance(error, exc.MovedError) else None
                    if not lost(error) and moved is None:
                        raise
                    # It may have died while it lay still; to beat twice is to beat.
                    await self._drop()
                    self._link.doubt()
                    return await self._renew(lease, moved)
        except Exception as error:
            await self._drop()
            # A beat that is sent again is the same beat, so what became of this one is no matter.
            raise translate(error, self._place, write=False, doubt=False, written=False) from error

    async def _renew(self, lease: Lease, moved: exc.MovedError | None = None) -> Beat:
        if self._connection is None:
            self._connection = self._link.make(moved)
            await self._connection.connect()
        arguments = (b"1", self._settings.schema, *beat_arguments(lease, register=False))
        try:
            reply = await self._ask(self._connection, b"EVALSHA", BEAT.digest, *arguments)
        except exc.NoScriptError:
            reply = await self._ask(self._connection, b"EVAL", BEAT.text, *arguments)
        return beat_answer(reply)

    @staticmethod
    async def _ask(connection: Connection, *command: bytes) -> Any:
        await connection.send_packed_command(pack(command), check_health=False)
        return await connection.read_response(disable_decoding=True)

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)

    def close(self) -> None:
        """Release the connection. Idempotent."""
        self._closed = True
        if self._loop is not None:
            self._loop.run_until_complete(self._drop())
            # The transport closes in a later turn of the loop.
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.close()
            self._loop = None
