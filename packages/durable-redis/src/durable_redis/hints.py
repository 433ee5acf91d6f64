"""Hints: told by the scripts themselves, heard on a connection of their own."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import suppress
from typing import Any, Final

from redis import exceptions as exc

from durable_core.storage import Hint, StorageError
from durable_core.storage.kit import Listeners, SharedSource, cut_off

from .errors import translate
from .links import Connection, Link, pack
from .settings import Settings
from .statistics import Tally

_FIRST_RETRY: Final = 0.05
_LONGEST_RETRY: Final = 5.0
_ALIVE: Final = 15.0
"""Seconds between two looks whether a silent connection still lives."""


class Hints:
    """The open listeners of one storage.

    Args:
        link: Makes the connection.
        settings: Names the channel.
        tally: Where commands are counted.
    """

    def __init__(self, link: Link, settings: Settings, tally: Tally) -> None:
        self._link = link
        self._settings = settings
        self._tally = tally
        self._listeners = Listeners()
        self._shared = SharedSource(self._listeners, self._dial, self._explain)

    @property
    def connection(self) -> Connection | None:
        """The connection on which hints are heard, if there is one."""
        line = self._shared.source
        return None if line is None else line.connection

    def heard(self, payload: bytes) -> None:
        """Take note of what a script has told: whether something finished, and ready queues."""
        finished, *names = payload.split(b"\0")
        self._listeners.tell([name.decode() for name in names], finished=finished == b"1")

    def reconnected(self) -> None:
        """Tell every listener that hints may have been lost."""
        self._listeners.reconnected()

    def listen(self, queues: Collection[str]) -> AsyncIterator[Hint]:
        """Yield hints, `Reconnected` first; what is not yet taken is told once."""
        return self._shared.listen(queues)

    async def close(self) -> None:
        """End all listeners. Idempotent."""
        await self._shared.close()

    def _dial(self) -> "_Line":
        return _Line(self, self._link, self._settings.channel, self._tally)

    def _explain(self, error: Exception) -> StorageError:
        place = f"{self._link.place} {self._settings.namespace!r}"
        return translate(error, place, write=False, doubt=False, written=False)


class _Line:
    """The connection on which hints are heard; made again whenever it breaks."""

    def __init__(self, hints: Hints, link: Link, channel: bytes, tally: Tally) -> None:
        self.begun = asyncio.Event()
        self.failure: Exception | None = None
        self.connection: Connection | None = None
        self._hints = hints
        self._link = link
        self._channel = channel
        self._tally = tally
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        pause = _FIRST_RETRY
        while True:
            try:
                await self._hear()
                pause = _FIRST_RETRY
            except Exception as error:  # noqa: BLE001 - told to who waits; later it is tried again
                self._link.doubt()
                if not self.begun.is_set():
                    self.failure = error
                    self.begun.set()
                    return
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_RETRY)

    async def _hear(self) -> None:
        """Listen until the connection breaks."""
        await self._link.ready()
        connection = self.connection = self._link.make()
        try:
            await connection.connect()
            await self._send(connection, b"SSUBSCRIBE", self._channel)
            silent = False
            while True:
                said: Any = await connection.read_response(disable_decoding=True, timeout=_ALIVE)
                if said is None:
                    if silent:
                        return
                    await self._send(connection, b"PING")
                silent = said is None
                if said is not None and not self._understand(said):
                    return
        except exc.ConnectionError:
            if not self.begun.is_set():
                raise
        finally:
            self.connection = None
            with suppress(Exception):
                await connection.disconnect(nowait=True)

    async def _send(self, connection: Connection, *command: bytes) -> None:
        self._tally.commands += 1
        await connection.send_packed_command(pack(command), check_health=False)

    def _understand(self, said: Any) -> bool:
        """Take note of a message; return whether more may come."""
        parts: Sequence[bytes] = [said] if isinstance(said, bytes) else said
        kind = parts[0]
        if kind == b"smessage":
            self._hints.heard(parts[2])
        elif kind == b"ssubscribe":
            if self.begun.is_set():
                self._hints.reconnected()
            self.begun.set()
        # When the slot moves away, the server ends the subscription.
        return kind != b"sunsubscribe"

    async def close(self) -> None:
        await cut_off(self._task)
