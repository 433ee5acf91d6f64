"""A small TCP proxy before a server that breaks connections when it is told to."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from durable_conformance import Cut

_QUERY = 3
"""The command that carries statements."""

_IN_TRANSACTION = 0x0001
_MORE_RESULTS = 0x0008

_OK = 0x00
_ERROR = 0xFF
_END = 0xFE
_LONGEST_END = 9


class Answers:
    """Follows what a server says, to know when it has answered a packet of statements.

    Attributes:
        idle: Whether the last packet is answered and no transaction is open: what it wrote is
            committed.
    """

    def __init__(self) -> None:
        self.idle = False
        self._buffer = b""
        self._asked = False
        self._columns = False
        self._columns_over = False

    def asked(self) -> None:
        """A packet of statements is on its way."""
        self.idle = False
        self._asked = True
        self._columns = False

    def feed(self, data: bytes) -> None:
        """Take note of what the server sends."""
        self._buffer += data
        while len(self._buffer) >= 4:
            size = int.from_bytes(self._buffer[:3], "little")
            if len(self._buffer) < 4 + size:
                return
            body, self._buffer = self._buffer[4 : 4 + size], self._buffer[4 + size :]
            if self._asked:
                self._packet(body)

    def _packet(self, body: bytes) -> None:
        first = body[0] if body else _END
        if self._columns:
            if first == _END and len(body) < _LONGEST_END:
                # Ends the columns, then the rows.
                if self._columns_over:
                    self._status(int.from_bytes(body[3:5], "little"))
                self._columns_over = not self._columns_over
        elif first == _OK:
            place = _skip(body, _skip(body, 1))
            self._status(int.from_bytes(body[place : place + 2], "little"))
        elif first == _ERROR:
            self._asked = False
        else:
            self._columns, self._columns_over = True, False

    def _status(self, status: int) -> None:
        self._columns = False
        if not status & _MORE_RESULTS:
            self._asked = False
            self.idle = not status & _IN_TRANSACTION


def _skip(body: bytes, place: int) -> int:
    """Return where a number of variable length ends."""
    return place + {0xFC: 3, 0xFD: 4, 0xFE: 9}.get(body[place], 1)


class Proxy:
    """Passes bytes on, until told to cut.

    Args:
        host: Of the server.
        port: Of the server.

    Attributes:
        port: Where it listens.
        cut: Where the next connection breaks; None passes everything on.
        cuts: How many connections it has broken.
        queries: How many packets of statements have passed.
    """

    def __init__(self, host: str, port: int) -> None:
        self.port = 0
        self.cut: Cut | None = None
        self.cuts = 0
        self.queries = 0
        self._server_at = (host, port)
        self._links: set[_Link] = set()

    @classmethod
    @asynccontextmanager
    async def open(cls, host: str, port: int) -> AsyncGenerator["Proxy"]:
        """Listen on a free port."""
        proxy = cls(host, port)
        server = await asyncio.get_running_loop().create_server(
            lambda: _Client(proxy), "127.0.0.1", 0
        )
        proxy.port = server.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            server.close()
            for link in tuple(proxy._links):
                link.abort()

    def break_client(self, port: int) -> None:
        """Break the connection that a client made from this port."""
        for link in tuple(self._links):
            if link.client.get_extra_info("peername")[1] == port:
                self.cuts += 1
                link.abort()

    def break_all(self) -> None:
        """Break all connections."""
        for link in tuple(self._links):
            link.abort()

    async def link(self, client: asyncio.Transport) -> "_Link":
        """Connect a client with the server."""
        link = _Link(self, client)
        self._links.add(link)
        await asyncio.get_running_loop().create_connection(lambda: _Server(link), *self._server_at)
        return link

    def unlink(self, link: "_Link") -> None:
        """Forget a connection."""
        self._links.discard(link)


class _Link:
    """One client's connection and the server's."""

    def __init__(self, proxy: Proxy, client: asyncio.Transport) -> None:
        self.client = client
        self.server: asyncio.Transport | None = None
        self._proxy = proxy
        self._answers = Answers()

    def sent(self, data: bytes) -> None:
        """Pass on what the client sends."""
        if len(data) > 4 and data[3] == 0 and data[4] == _QUERY:
            self._proxy.queries += 1
            self._answers.asked()
            if self._proxy.cut is Cut.BEFORE_SENDING:
                self._break()
                return
        if self.server is not None:
            self.server.write(data)

    def answered(self, data: bytes) -> None:
        """Pass on what the server sends."""
        self._answers.feed(data)
        if self._answers.idle and self._proxy.cut is Cut.AFTER_SENDING:
            self._break()
        else:
            self.client.write(data)

    def _break(self) -> None:
        self._proxy.cut = None
        self._proxy.cuts += 1
        self.abort()

    def abort(self) -> None:
        """Break both connections at once."""
        self._proxy.unlink(self)
        self.client.abort()
        if self.server is not None:
            self.server.abort()


class _Client(asyncio.Protocol):
    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._link: _Link | None = None
        self._early: list[bytes] = []
        self._linking: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._linking = asyncio.get_running_loop().create_task(self._connect(transport))

    async def _connect(self, transport: asyncio.Transport) -> None:
        try:
            self._link = await self._proxy.link(transport)
        except OSError:
            transport.abort()
            return
        for data in self._early:
            self._link.sent(data)

    def data_received(self, data: bytes) -> None:
        if self._link is None:
            self._early.append(data)
        else:
            self._link.sent(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._link is not None:
            self._link.abort()


class _Server(asyncio.Protocol):
    def __init__(self, link: _Link) -> None:
        self._link = link

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._link.server = transport

    def data_received(self, data: bytes) -> None:
        self._link.answered(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._link.abort()
