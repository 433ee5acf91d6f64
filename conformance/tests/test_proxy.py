"""The proxy passes bytes on until it is told where to break a connection."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import pytest

from durable_conformance import Cut
from durable_conformance.proxy import Link, Proxy


class Echo:
    """A server that says back what it hears, and remembers it."""

    def __init__(self) -> None:
        self.heard = b""
        self.over = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(100):
                self.heard += data
                writer.write(data)
        except ConnectionError:
            pass
        finally:
            await close(writer)
            self.over += 1


class Counting(Proxy):
    """Knows how many connections there were."""

    made = 0

    def link(self, client: asyncio.Transport) -> Link:
        self.made += 1
        return super().link(client)


async def close(writer: asyncio.StreamWriter) -> None:
    """Close a connection, broken or not."""
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


@asynccontextmanager
async def through() -> AsyncGenerator[tuple[Counting, Echo]]:
    """Serve an echo behind a proxy."""
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    try:
        async with Counting.open(*server.sockets[0].getsockname()) as proxy:
            yield proxy, echo
        while echo.over < proxy.made:  # noqa: ASYNC110 - the last one may not be accepted yet
            await asyncio.sleep(0)
    finally:
        server.close()


async def said(proxy: Proxy, words: bytes) -> bytes:
    """Connect, say something, and return what comes back; nothing if the connection breaks."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(words)
    words = await heard(reader)
    await close(writer)
    return words


async def heard(reader: asyncio.StreamReader) -> bytes:
    """Return what comes; nothing if the connection breaks, in whichever way."""
    try:
        return await reader.read(100)
    except ConnectionError:
        return b""


async def test_bytes_are_passed_on() -> None:
    async with through() as (proxy, echo):
        assert await said(proxy, b"hello") == b"hello"
        assert echo.heard == b"hello"
        assert proxy.cuts == 0


@pytest.mark.parametrize(
    ("where", "heard"), [(Cut.BEFORE_SENDING, b""), (Cut.AFTER_SENDING, b"one")]
)
async def test_one_connection_is_cut(where: Cut, heard: bytes) -> None:
    async with through() as (proxy, echo):
        proxy.cut = where
        assert await said(proxy, b"one") == b""
        assert echo.heard == heard
        assert proxy.cuts == 1
        assert await said(proxy, b"two") == b"two"


async def test_a_clients_connection_is_broken() -> None:
    async with through() as (proxy, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        other = await asyncio.open_connection("127.0.0.1", proxy.port)
        for one in (writer, other[1]):
            one.write(b"x")
        assert await reader.read(1) == b"x"
        assert await other[0].read(1) == b"x"
        proxy.break_client(writer.get_extra_info("sockname")[1])
        assert await heard(reader) == b""
        other[1].write(b"y")
        assert await other[0].read(1) == b"y"
        assert proxy.cuts == 1
        proxy.break_all()
        assert await heard(other[0]) == b""
        assert proxy.links == ()
        for one in (writer, other[1]):
            await close(one)


async def test_new_connections_are_refused() -> None:
    async with through() as (proxy, echo):
        proxy.refusing = True
        assert await said(proxy, b"hello") == b""
        assert echo.heard == b""


async def test_there_is_no_server() -> None:
    async with Proxy.open("127.0.0.1", 1) as proxy:
        assert await said(proxy, b"hello") == b""
