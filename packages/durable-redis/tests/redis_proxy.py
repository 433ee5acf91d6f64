"""A small TCP proxy before Redis that breaks connections when it is told to."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from durable_conformance import Cut

_COMMAND = re.compile(rb"\*\d+\r\n\$\d+\r\n([A-Za-z]+)\r\n")

_HANDSHAKE = (b"HELLO", b"CLIENT", b"AUTH", b"SELECT", b"PING", b"READONLY", b"CLUSTER")
"""What a driver says before it does any work."""


class Proxy:
    """Passes bytes on, until told to cut.

    Args:
        host: Of the server.
        port: Of the server.

    Attributes:
        port: Where it listens.
        cut: Where the next connection breaks; None passes everything on.
        cuts: How many connections it has broken.
        refusing: Whether new connections are closed at once.
    """

    def __init__(self, host: str, port: int) -> None:
        self.port = 0
        self.cut: Cut | None = None
        self.cuts = 0
        self.refusing = False
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
            proxy.break_all()

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
        self._working = False

    def sent(self, data: bytes) -> None:
        """Pass on what the client sends."""
        begun = _COMMAND.match(data)
        if begun is not None:
            self._working = begun[1].upper() not in _HANDSHAKE
        if self._working and self._proxy.cut is Cut.BEFORE_SENDING:
            self._break()
        elif self.server is not None:
            self.server.write(data)

    def answered(self, data: bytes) -> None:
        """Pass on what the server sends."""
        if self._working and self._proxy.cut is Cut.AFTER_SENDING:
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
        if self._proxy.refusing:
            transport.abort()
            return
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
