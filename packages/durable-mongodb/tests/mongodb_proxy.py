"""A proxy before MongoDB that breaks connections when it is told to."""

import asyncio
import struct

from durable_conformance import Cut, proxy

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


class Proxy(proxy.Proxy):
    """Cuts the first command that reads and the first that writes, and knows who listens.

    `cut` stays until it is taken back: a driver repeats a read, and what it repeats passes.

    Attributes:
        broken: What was cut, while `cut` is set.
        listened: Set when somebody waits for news.
    """

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self.broken: set[str] = set()
        self.listened = asyncio.Event()

    def link(self, client: asyncio.Transport) -> proxy.Link:
        """See `proxy.Proxy.link`."""
        return _Link(self, client)

    def break_listeners(self) -> None:
        """Break the connections on which somebody waits for news."""
        for link in self.links:
            if isinstance(link, _Link) and link.listens:
                self.cuts += 1
                link.abort()

    def cuts_here(self, where: Cut, kind: str | None) -> bool:
        """Whether this is where the next connection breaks."""
        if self.cut is not where or kind is None or kind in self.broken:
            return False
        self.broken.add(kind)
        self.cuts += 1
        return True


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


class _Link(proxy.Link):
    listens = False

    def __init__(self, owner: Proxy, client: asyncio.Transport) -> None:
        super().__init__(owner, client)
        self._owner = owner
        self._asked = _Messages()
        self._said = _Messages()
        self._kinds: dict[int, str | None] = {}

    def sent(self, data: bytes) -> None:
        for message in self._asked.feed(data):
            kind = _kind(message)
            self.listens = _name(message) == _LISTENS
            if self.listens:
                self._owner.listened.set()
            if self._owner.cuts_here(Cut.BEFORE_SENDING, kind):
                self.abort()
                return
            self._kinds[_HEADER.unpack_from(message)[1]] = kind
            if self.server is not None:
                self.server.write(message)

    def answered(self, data: bytes) -> None:
        for message in self._said.feed(data):
            kind = self._kinds.pop(_HEADER.unpack_from(message)[2], None)
            if self._owner.cuts_here(Cut.AFTER_SENDING, kind):
                self.abort()
                return
            self.client.write(message)
