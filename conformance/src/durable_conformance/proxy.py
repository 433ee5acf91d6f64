"""A small TCP proxy before a server, which breaks connections when it is told to.

For the hook `cut` of a storage whose server is reached by TCP: let `open` connect through a proxy,
subclass `Link` where the server's protocol is known, and set `Proxy.cut` in the hook.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Self

from .author import Cut


class Proxy:
    """Passes bytes on, until told to cut. Override `link` to know what they mean.

    Args:
        host: Of the server.
        port: Of the server.

    Attributes:
        port: Where it listens, on the loopback interface.
        cut: Where the next connection breaks; None passes everything on. None again after a cut.
        cuts: How many connections it has broken for that, or by `break_client`.
        refusing: Whether new connections are closed at once.
    """

    def __init__(self, host: str, port: int) -> None:
        self.port = 0
        self.cut: Cut | None = None
        self.cuts: int = 0
        self.refusing = False
        self._server_at = (host, port)
        self._links: set[Link] = set()

    @classmethod
    @asynccontextmanager
    async def open(cls, host: str, port: int) -> AsyncGenerator[Self]:
        """Listen on a free port until the end of the context.

        Args:
            host: Of the server; nobody connects to it before a client comes.
            port: Of the server.
        """
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

    def link(self, client: asyncio.Transport) -> "Link":
        """Return what passes on the bytes of a client that has just connected."""
        return Link(self, client)

    @property
    def links(self) -> "tuple[Link, ...]":
        """The connections that are open."""
        return tuple(self._links)

    def break_client(self, port: int) -> None:
        """Break the connection that a client made from this port."""
        for link in self.links:
            if link.client.get_extra_info("peername")[1] == port:
                self.cuts += 1
                link.abort()

    def break_all(self) -> None:
        """Break all connections."""
        for link in self.links:
            link.abort()

    def breaks(self, where: Cut) -> bool:
        """Whether to break a connection here; if so, it is the only one."""
        if self.cut is not where:
            return False
        self.cut = None
        self.cuts += 1
        return True

    async def connect(self, client: asyncio.Transport) -> "Link":
        """Connect a client with the server.

        Raises:
            OSError: The server cannot be reached.
        """
        link = self.link(client)
        self._links.add(link)
        await asyncio.get_running_loop().create_connection(lambda: _Server(link), *self._server_at)
        return link

    def forget(self, link: "Link") -> None:
        """Take note of the end of a connection."""
        self._links.discard(link)


class Link:
    """A client's connection to a proxy, and the one that the proxy has made for it.

    Override `asks` and `answers`. As it is, whatever a client sends is a call, and whatever comes
    back is the answer that it is done; handshakes would be cut too.

    Args:
        proxy: Tells where to break.
        client: The client's connection.
    """

    def __init__(self, proxy: Proxy, client: asyncio.Transport) -> None:
        self.client = client
        self.server: asyncio.Transport | None = None
        self._proxy = proxy

    def asks(self, data: bytes) -> bool:
        """Take note of what the client sends; return whether it is a call."""
        return bool(data)

    def answers(self, data: bytes) -> bool:
        """Take note of what the server sends; return whether a call was carried out."""
        return bool(data)

    def sent(self, data: bytes) -> None:
        """Pass on what the client sends, or break."""
        if self.asks(data) and self._proxy.breaks(Cut.BEFORE_SENDING):
            self.abort()
        elif self.server is not None:
            self.server.write(data)

    def answered(self, data: bytes) -> None:
        """Pass on what the server sends, or break."""
        if self.answers(data) and self._proxy.breaks(Cut.AFTER_SENDING):
            self.abort()
        else:
            self.client.write(data)

    def abort(self) -> None:
        """Break both connections at once."""
        self._proxy.forget(self)
        self.client.abort()
        if self.server is not None:
            self.server.abort()


class _Client(asyncio.Protocol):
    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._link: Link | None = None
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
            self._link = await self._proxy.connect(transport)
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
    def __init__(self, link: Link) -> None:
        self._link = link

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._link.server = transport

    def data_received(self, data: bytes) -> None:
        self._link.answered(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._link.abort()
