"""A proxy before PostgreSQL that breaks connections when it is told to."""

import asyncio

from durable_conformance import proxy

_READY = b"Z\x00\x00\x00\x05I"
"""The server has answered a statement, and no transaction is open: what there was is committed."""

_COMPLETE = b"C\x00\x00\x00"
"""Begins the server's answer to a statement that was carried out (its length is below 256)."""


class Proxy(proxy.Proxy):
    """Cuts where a statement was committed."""

    def link(self, client: asyncio.Transport) -> proxy.Link:
        """See `proxy.Proxy.link`."""
        return _Link(self, client)


class _Link(proxy.Link):
    def answers(self, data: bytes) -> bool:
        return data.endswith(_READY) and _COMPLETE in data
