"""A proxy before a server that breaks connections when it is told to."""

import asyncio

from durable_conformance import proxy

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


class Proxy(proxy.Proxy):
    """Cuts where packets of statements are sent, and where they are committed.

    Attributes:
        queries: How many packets of statements have passed.
    """

    queries = 0

    def link(self, client: asyncio.Transport) -> proxy.Link:
        """See `proxy.Proxy.link`."""
        return _Link(self, client)


class _Link(proxy.Link):
    def __init__(self, owner: Proxy, client: asyncio.Transport) -> None:
        super().__init__(owner, client)
        self._owner = owner
        self._answers = Answers()

    def asks(self, data: bytes) -> bool:
        if len(data) <= 4 or data[3] != 0 or data[4] != _QUERY:
            return False
        self._owner.queries += 1
        self._answers.asked()
        return True

    def answers(self, data: bytes) -> bool:
        self._answers.feed(data)
        return self._answers.idle
