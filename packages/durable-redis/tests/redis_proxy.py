"""A proxy before Redis that breaks connections when it is told to."""

import asyncio
import re

from durable_conformance import proxy

_COMMAND = re.compile(rb"\*\d+\r\n\$\d+\r\n([A-Za-z]+)\r\n")

_HANDSHAKE = (b"HELLO", b"CLIENT", b"AUTH", b"SELECT", b"PING", b"READONLY", b"CLUSTER")
"""What a driver says before it does any work."""


class Proxy(proxy.Proxy):
    """Cuts where commands do some work."""

    def link(self, client: asyncio.Transport) -> proxy.Link:
        """See `proxy.Proxy.link`."""
        return _Link(self, client)


class _Link(proxy.Link):
    _working = False

    def asks(self, data: bytes) -> bool:
        begun = _COMMAND.match(data)
        if begun is not None:
            self._working = begun[1].upper() not in _HANDSHAKE
        return self._working

    def answers(self, data: bytes) -> bool:
        return self._working and bool(data)
