"""A small TCP proxy before MongoDB that breaks connections when it is told to."""

import asyncio
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from durable_conformance import Cut

_HEADER = struct.Struct("<iiii")
_MESSAGE = 2013
_NAME_AT = _HEADER.size + 10
"""Behind the header: flags, the kind of the section, the document's length, the first type."""

_IN_TRANSACTION = b"\x08autocommit\x00\x00"
_WRITES = {b"insert", b"update", b"delete", b"findAndModify", b"commitTransaction"}
_READS = {b"find", b"aggregate", b"count", b"distinct"}
_LISTENS = b"getMore"


def _kind(message: bytes) -> str | None:
    """Return whether a message reads or writes; None for all that a call does not depend on."""
    name = _name(message)
    if name in _WRITES:
        commits = name == b"commitTransaction" or _IN_TRANSACTION not in message
        return "write" if commits else None
    return "read" if name in _READS and _IN_TRANSACTION not in message else None


def _name(message: bytes) -> bytes:
    if _HEADER.unpack_from(message)[3] != _MESSAGE:
        return b""
    return message[_NAME_AT : message.index(b"\x00", _NAME_AT)]


class Proxy:
    """Passes messages on, until told to cut.

    Args:
        host: Of the server.
        port: Of the server.

    Attributes:
        port: Where it listens.
        cut: Where connections break: the first command that reads and the first that writes; None
            passes everything on.
        cuts: How many connections it has broken.
        refusing: Whether new connections are closed at once.
        broken: What was cut, while `cut` is set.
        listened: Set when somebody waits for news.
    """

    def __init__(self, host: str, port: int) -> None:
        self.port = 0
        self.cut: Cut | None = None
        self.cuts = 0
        self.refusing = False
        self.broken: set[str] = set()
        self.listened = asyncio.Event()
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

    def break_listeners(self) -> None:
        """Break the connections on which somebody waits for news."""
        for link in tuple(self._links):
            if link.listens:
                self.cuts += 1
                link.abort()

    def break_all(self) -> None:
        """Break all connections."""
        for link in tuple(self._links):
            self.cuts += 1
            link.abort()

    def cuts_here(self, where: Cut, kind: str | None) -> bool:
        """Whether this is where the next connection breaks."""
        if self.cut is not where or kind is None or kind in self.broken:
            return False
        self.broken.add(kind)
        self.cuts += 1
        return True

    async def link(self, client: asyncio.Transport) -> "_Link":
        """Connect a client with the server."""
        link = _Link(self, client)
        self._links.add(link)
        await asyncio.get_running_loop().create_connection(lambda: _Server(link), *self._server_at)
        return link

    def unlink(self, link: "_Link") -> None:
        """Forget a connection."""
        self._links.discard(link)


class _Messages:
    """Bytes as they come, message by message."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        self._bytes += data
        whole: list[bytes] = []
        while len(self._bytes) >= _HEADER.size:
            length: int = _HEADER.unpack_from(self._bytes)[0]
            if len(self._bytes) < length:
                break
            whole.append(bytes(self._bytes[:length]))
            del self._bytes[:length]
        return whole


class _Link:
    """One client's connection and the server's."""

    def __init__(self, proxy: Proxy, client: asyncio.Transport) -> None:
        self.client = client
        self.server: asyncio.Transport | None = None
        self.listens = False
        self._proxy = proxy
        self._asked = _Messages()
        self._said = _Messages()
        self._kinds: dict[int, str | None] = {}

    def sent(self, data: bytes) -> None:
        """Pass on what the client sends."""
        for message in self._asked.feed(data):
            kind = _kind(message)
            self.listens = _name(message) == _LISTENS
            if self.listens:
                self._proxy.listened.set()
            if self._proxy.cuts_here(Cut.BEFORE_SENDING, kind):
                self.abort()
                return
            self._kinds[_HEADER.unpack_from(message)[1]] = kind
            if self.server is not None:
                self.server.write(message)

    def answered(self, data: bytes) -> None:
        """Pass on what the server sends."""
        for message in self._said.feed(data):
            kind = self._kinds.pop(_HEADER.unpack_from(message)[2], None)
            if self._proxy.cuts_here(Cut.AFTER_SENDING, kind):
                self.abort()
                return
            self.client.write(message)

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
