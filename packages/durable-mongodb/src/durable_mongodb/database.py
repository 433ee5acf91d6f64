"""Calls: translated when they fail, and ended whole when they are cancelled."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from durable_core.storage import ClosedError
from durable_core.storage.kit import cut_off

from .drivers import Driver
from .errors import translate
from .line import Line
from .session import Session
from .setting_up import check_schema
from .settings import Settings
from .statistics import Tally

T = TypeVar("T")

_PATIENCE: Final = 5.0
"""Seconds that a cancelled write may take to end whole, before it is cut off."""


class Database:
    """The client of one storage.

    Args:
        driver: Of the client.
        settings: Where the documents are.
        tally: Where commands are counted.
        place: The database, for messages.

    Attributes:
        closed: Whether calls are refused.
        complete: Whether the schema is known to be there.
        line: Where transactions queue.
    """

    def __init__(self, driver: Driver, settings: Settings, tally: Tally, place: str) -> None:
        self.closed = False
        self.complete = False
        self.settings = settings
        self.tally = tally
        self.place = place
        self._driver = driver
        self.line = Line(driver)
        self._calls = 0
        self._quiet = asyncio.Event()

    async def close(self) -> None:
        """Refuse new calls and wait for those under way. Idempotent."""
        self.closed = True
        while self._calls:
            self._quiet.clear()
            await self._quiet.wait()
        await self.line.close()

    async def read(self, work: Callable[[Session], Awaitable[T]], *, schema: bool = True) -> T:
        """Carry out a call that only reads.

        Args:
            work: What to do.
            schema: Whether the schema must be there.
        """
        task = asyncio.ensure_future(self._counted(work, write=False, schema=schema))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await cut_off(task)
            raise

    async def write(self, work: Callable[[Session], Awaitable[T]], *, schema: bool = True) -> T:
        """Carry out a call that writes.

        One that is cancelled ends whole before the cancellation goes on, if it ends soon: nobody
        would undo half a transaction of it for a minute, and others would be kept waiting.

        Args:
            work: What to do.
            schema: Whether the schema must be there.
        """
        task = asyncio.ensure_future(self._counted(work, write=True, schema=schema))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.done():
                await asyncio.wait([task], timeout=_PATIENCE)
            await cut_off(task)
            raise

    async def _counted(
        self, work: Callable[[Session], Awaitable[T]], *, write: bool, schema: bool
    ) -> T:
        self._calls += 1
        try:
            return await self._call(work, write=write, schema=schema)
        finally:
            self._calls -= 1
            self._quiet.set()

    async def _call(
        self, work: Callable[[Session], Awaitable[T]], *, write: bool, schema: bool
    ) -> T:
        session: Session | None = None
        try:
            await self.check(schema=schema)
            session = self.session()
            return await work(session)
        except Exception as error:
            doubt = session is not None and session.doubt
            written = session is not None and session.written
            raise translate(error, self.place, write=write, doubt=doubt, written=written) from error

    def session(self) -> Session:
        """Return a new way to the database."""
        return Session(self._driver, self.settings, self.tally, self.line)

    async def check(self, *, schema: bool = True) -> None:
        """Refuse a call after the end, and before there is a schema.

        Args:
            schema: Whether to look for a schema, if none has been seen yet.

        Raises:
            ClosedError: The storage is closed.
            SchemaMissingError: It is not.
        """
        if self.closed:
            msg = f"the MongoStorage on {self.place} is closed"
            raise ClosedError(msg)
        if schema and not self.complete:
            await check_schema(self.session(), self.place)
            self.complete = True
