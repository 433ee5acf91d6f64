"""The one server session in which a storage carries out its transactions, one at a time."""

import asyncio
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any, Final

from .drivers import Driver

_SENDER: Final = 8
_NUMBER: Final = 8
"""Bytes of a stamp: whose it is, and of which call."""


class Line:
    """Where the transactions of a storage queue.

    They would be in each other's way, and the server answers that by undoing all but one. And a
    transaction whose process was killed stays open on the server for a minute, with all that it
    has written locked: whoever knows the session can end it sooner.

    Args:
        driver: Of the client.

    Attributes:
        sender: Begins the stamps of this storage.
    """

    def __init__(self, driver: Driver) -> None:
        self.sender = secrets.token_bytes(_SENDER)
        self._calls = count()
        self._driver = driver
        self._lock = asyncio.Lock()
        self._session: Any = None

    def stamp(self) -> bytes:
        """Return a mark for what a call writes, that no other call has."""
        return self.sender + next(self._calls).to_bytes(_NUMBER, "big")

    def is_own(self, stamp: object) -> bool:
        """Whether a call of this very storage has made a mark."""
        return isinstance(stamp, bytes) and stamp.startswith(self.sender)

    async def session(self) -> Any:
        """Return the session."""
        if self._session is None:
            self._session = await self._driver.start_session()
        return self._session

    async def id(self) -> Any:
        """Return by what the server knows the session."""
        return (await self.session()).session_id["id"]

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[Any]:
        """Wait for one's turn; yield the session in a transaction, undone if nobody commits it."""
        async with self._lock:
            session = await self.session()
            try:
                await self._driver.start_transaction(session)
                yield session
            finally:
                if session.in_transaction:
                    # It may be that nobody answers; the server undoes what nobody commits.
                    with suppress(Exception):
                        await session.abort_transaction()

    async def close(self) -> None:
        """End the session."""
        session, self._session = self._session, None
        if session is not None:
            with suppress(Exception):
                await session.end_session()
