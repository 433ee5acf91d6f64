"""One connection while a call uses it: what is sent, counted, and in or out of doubt."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from .drivers import Driver, Result, Row, query
from .server import Server
from .settings import Expanded
from .statistics import Tally

_BEGIN: Final = "START TRANSACTION"
_COMMIT: Final = "COMMIT"
_LEVEL: Final = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"
_CONTROL: Final = frozenset({_BEGIN, _COMMIT, _LEVEL})

_PATIENCE: Final = 5.0
"""Seconds to wait for the server to undo what a failed call has left behind."""


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


class Session:
    """A connection as one call sees it.

    Args:
        driver: The connection.
        server: What its server is.
        texts: Expands statements.
        tally: Where statements are counted.
        bound: Whether it is in a transaction of the caller's already.

    Attributes:
        doubt: Whether something is on its way that commits.
        written: Whether something of this call was committed.
        told: What to tell listeners after the commit.
        in_transaction: Whether what is sent is a part of a transaction.
        left_open: Whether a transaction failed and was not yet undone.
    """

    def __init__(
        self, driver: Driver, server: Server, texts: Expanded, tally: Tally, *, bound: bool = False
    ) -> None:
        self.driver = driver
        self.server = server
        self.texts = texts
        self.tally = tally
        self.doubt = False
        self.written = False
        self.told = Told()
        self.bound = bound
        self.in_transaction = bound
        self.left_open = False
        self._waiting: list[str] = []

    def fill(self, text: str, *values: str) -> str:
        """Return a statement with the names of this namespace and with values, as literals."""
        return self.texts[text] % values

    async def read(self, *texts: str) -> list[Result]:
        """Return the results of statements that read, or that are a part of a transaction."""
        if self.in_transaction or self.texts.settings.own:
            return await self._send(texts)
        # On a caller's connection they would begin a transaction and leave it open.
        results = await self._send((_LEVEL, _BEGIN, *texts, _COMMIT))
        return results[2:-1]

    async def rows(self, text: str) -> Sequence[Row]:
        """Return the rows of one statement, see `read`."""
        return (await self.read(text))[-1].rows

    async def write(self, *texts: str) -> list[Result]:
        """Return the results of statements that write; by themselves they are a transaction."""
        if self.in_transaction:
            return await self._send(texts)
        if len(texts) == 1 and self.texts.settings.own:
            self.doubt = True
            results = await self._send(texts)
            self._committed()
            return results
        async with self.transaction():
            return await self.finish(*texts)

    def later(self, *texts: str) -> None:
        """Send statements of a transaction with what is sent next, at the latest its commit."""
        self._waiting += texts

    def later_rows(self, start: str, rows: Iterable[str], end: str = "") -> None:
        """Send a statement with many rows like `later`; as several if it would be too large."""
        self._waiting += in_pieces(start, rows, end, self.server.packet)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[None]:
        """Make one transaction of what is done meanwhile; in a caller's, be a part of it.

        It begins with the first packet and ends with the last one: neither costs a round trip.
        """
        if self.in_transaction:
            yield
            await self._send(())
            return
        self.in_transaction = True
        if not self.texts.settings.own:
            self.later(_LEVEL)
        self.later(_BEGIN)
        try:
            yield
            if self.in_transaction:
                await self.finish()
        except BaseException:
            self.left_open = True
            raise
        finally:
            self.in_transaction = False

    async def finish(self, *texts: str) -> list[Result]:
        """Send the last statements of a transaction with its commit; return their results."""
        if self.bound:
            return await self._send(texts)
        self.doubt = True
        results = await self._send((*texts, _COMMIT))
        self.in_transaction = False
        self._committed()
        return results[:-1]

    def _committed(self) -> None:
        self.doubt = False
        self.written = True
        self.tally.commits += 1

    async def _send(self, texts: Iterable[str]) -> list[Result]:
        """Send what waits, and these; return the results of these."""
        waiting, self._waiting = self._waiting, []
        statements = [*waiting, *texts]
        if not statements:
            return []
        self.tally.statements += len(statements)
        self.tally.table_statements += sum(one not in _CONTROL for one in statements)
        results: list[Result] = []
        async with asyncio.timeout(self.texts.settings.command_timeout):
            for packet in self._packets(statements):
                self.tally.round_trips += 1
                results += await query(self.driver, packet)
        return results[len(waiting) :]

    def _packets(self, statements: Sequence[str]) -> Iterator[str]:
        """Join statements to as few packets as the server takes."""
        packet: list[str] = []
        size = 0
        for one in statements:
            if packet and (size + len(one) > self.server.packet or not self.server.multi):
                yield ";".join(packet)
                packet, size = [], 0
            packet.append(one)
            size += len(one) + 1
        yield ";".join(packet)

    async def clear(self) -> None:
        """Undo what a failed transaction has left behind."""
        self._waiting.clear()
        self.doubt = self.left_open = False
        async with asyncio.timeout(_PATIENCE):
            await query(self.driver, "ROLLBACK")


def in_pieces(start: str, rows: Iterable[str], end: str, limit: int) -> Iterator[str]:
    """Yield statements of a start, some of the rows and an end, each as large as allowed."""
    piece: list[str] = []
    size = len(start) + len(end)
    for row in rows:
        if piece and size + len(row) > limit:
            yield f"{start}{', '.join(piece)}{end}"
            piece, size = [], len(start) + len(end)
        piece.append(row)
        size += len(row) + 2
    if piece:
        yield f"{start}{', '.join(piece)}{end}"
