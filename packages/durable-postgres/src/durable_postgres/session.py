"""One driver connection while a call uses it: what is sent, counted, and in or out of doubt."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg

from .records import Row
from .settings import Expanded
from .statistics import Tally

if TYPE_CHECKING:
    Driver: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    Driver: TypeAlias = asyncpg.Connection
"""The driver's connection."""


class Told:
    """What a call has changed that listeners may want to know, once it is committed.

    Attributes:
        ready: Queues in which something may have become claimable.
        finished: Whether something finished.
        rows: How many rows this is about.
    """

    def __init__(self) -> None:
        self.ready: set[str] = set()
        self.finished = False
        self.rows = 0

    @property
    def any(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.ready) or self.finished

    def add(self, other: "Told") -> None:
        """Tell this, too."""
        self.ready |= other.ready
        self.finished |= other.finished
        self.rows += other.rows


class Session:
    """A connection as one call sees it.

    Args:
        driver: The connection.
        texts: Expands statements.
        tally: Where statements are counted.
        bound: Whether it is in a transaction of the caller's already.

    Attributes:
        doubt: Whether a statement is on its way that commits what it does.
        written: Whether something of this call was committed.
        told: What to tell listeners after the commit.
    """

    def __init__(
        self, driver: Driver, texts: Expanded, tally: Tally, *, bound: bool = False
    ) -> None:
        self.driver = driver
        self.texts = texts
        self.tally = tally
        self.doubt = False
        self.written = False
        self.told = Told()
        self._in_transaction = bound

    async def rows(self, text: str, *values: Any) -> Sequence[Row]:
        """Return the rows of a statement that reads, or that is part of a transaction."""
        self.tally.statements += 1
        self.tally.table_statements += 1
        # A Record is a sequence, but its stubs do not say so.
        found: Any = await self.driver.fetch(self.texts[text], *values)
        rows: Sequence[Row] = found
        return rows

    async def row(self, text: str, *values: Any) -> Row | None:
        """Return a statement's only row, if there is one."""
        found = await self.rows(text, *values)
        return found[0] if found else None

    async def write(self, text: str, *values: Any) -> Sequence[Row]:
        """Return the rows of a statement that writes; by itself it is a transaction."""
        if self._in_transaction:
            return await self.rows(text, *values)
        self.doubt = True
        found = await self.rows(text, *values)
        self.doubt = False
        self.written = True
        self.tally.commits += 1
        return found

    async def control(self, text: str) -> None:
        """Execute a statement that touches no table."""
        self.tally.statements += 1
        await self.driver.execute(text)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[None]:
        """Make one transaction of what is done meanwhile, undone if an error leaves the context."""
        await self.control("BEGIN ISOLATION LEVEL READ COMMITTED")
        self._in_transaction = True
        try:
            yield
            self.doubt = True
            await self.control("COMMIT")
            self.doubt = False
            self.written = True
            self.tally.commits += 1
        finally:
            self._in_transaction = False

    async def clear(self) -> None:
        """Wait for what a cancelled call has left behind, and undo its transaction."""
        async with asyncio.timeout(_PATIENCE):
            await self.driver.execute("ROLLBACK" if self.driver.is_in_transaction() else "")


_PATIENCE = 5.0
"""Seconds to wait for the server to confirm that a statement was cancelled."""
