"""Hints: at once in the same process, by polite polling in another one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from mysql_hooks import (
    drop_tables,
    fresh_prefix,
    hints_of,
    proxy_of,
    restart_server,
    server_url,
    storage_in,
    through_proxy,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from durable_core.storage import Finished, Hint, NewExecution, Ready, Reconnected
from durable_mysql import MySQLStorage

NOW = 2_000_000_000_000_000
NEVER = 3_600.0


def new(id_: str, queue: str = "default") -> NewExecution:
    return NewExecution(id=id_, task="work", queue=queue)


async def heard(hints: AsyncIterator[Hint], wanted: Hint) -> list[Hint]:
    """Return what comes until a hint comes."""
    found: list[Hint] = []
    async with asyncio.timeout(20):
        while wanted not in found:
            found.append(await anext(hints))
    return found


async def test_of_another_process(server: str) -> None:
    """Ready and Finished arrive by the server; after its restart the listener says so."""
    prefix = fresh_prefix("hints")
    # To the storage behind the proxy the other one is a stranger, as in another process.
    async with through_proxy(server, prefix, poll_interval=0.2) as reader:
        await reader.setup()
        writer = MySQLStorage.from_url(server_url(server), prefix=prefix)
        async with hints_of(reader, "default") as hints:
            assert await anext(hints) == Reconnected()
            await writer.insert(items=[new("x", "elsewhere"), new("a")], now=NOW)
            assert await heard(hints, Ready(queue="default")) == [Ready(queue="default")]
            await writer.cancel(ids=["a"], request="r", now=NOW)
            assert await heard(hints, Finished()) == [Finished()]
            await restart_server(server)
            assert await heard(hints, Reconnected()) == [Reconnected()]
            await writer.insert(items=[new("b")], now=NOW)
            await heard(hints, Ready(queue="default"))
        await writer.close()
    await drop_tables(server, prefix)


async def test_in_the_same_process(server: str) -> None:
    """Nobody asks the server: another storage on the same tables is told at once."""
    async with storage_in(server, poll_interval=NEVER) as writer:
        reader = MySQLStorage.from_url(
            server_url(server), prefix=writer._settings.prefix, poll_interval=NEVER
        )
        async with hints_of(reader, "default") as hints, hints_of(writer, "default") as own:
            for one in (hints, own):
                assert await anext(one) == Reconnected()
            await writer.insert(items=[new("a")], now=NOW)
            for one, is_own in ((hints, False), (own, True)):
                ready = Ready(queue="default", own=is_own)
                assert await heard(one, ready) == [ready]
        await reader.close()


async def test_in_another_thread(server: str) -> None:
    """A listener of another event loop is woken in its own."""
    async with storage_in(server, poll_interval=NEVER) as writer:
        listens = asyncio.Event()
        loop = asyncio.get_running_loop()

        async def listen() -> list[Hint]:
            reader = MySQLStorage.from_url(
                server_url(server), prefix=writer._settings.prefix, poll_interval=NEVER
            )
            async with hints_of(reader, "default") as hints:
                await anext(hints)
                loop.call_soon_threadsafe(listens.set)
                found = await heard(hints, Ready(queue="default"))
            await reader.close()
            return found

        thread = asyncio.ensure_future(asyncio.to_thread(asyncio.run, listen()))
        await listens.wait()
        await writer.insert(items=[new("a")], now=NOW)
        assert await thread == [Ready(queue="default")]


async def test_polling_is_polite(server: str) -> None:
    """While all is quiet, one packet with one statement each interval, and no more."""
    interval = 0.2
    async with (
        storage_in(server, poll_interval=interval) as storage,
        hints_of(storage, "default") as hints,
    ):
        await anext(hints)
        loop = asyncio.get_running_loop()
        began, before = loop.time(), storage.statistics()
        polls = 5
        while storage.statistics().round_trips < before.round_trips + polls:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert loop.time() - began > (polls - 1) * interval * 0.9
        after = storage.statistics()
        assert after.statements - before.statements == polls
        assert after.commits == before.commits


async def test_nobody_is_told_who_does_not_listen(server: str) -> None:
    """A hint for nobody is not written."""
    async with storage_in(server) as storage:
        await storage.insert(items=[new("a")], now=NOW)
        await storage._notifier.close()
        rows = await storage._database.read(lambda s: s.rows(s.fill("SELECT COUNT(*) FROM ~hints")))
        assert rows[0][0] == 0


async def test_a_listener_that_cannot_begin(server: str) -> None:
    storage = MySQLStorage.from_url(server_url(server), prefix=fresh_prefix("nothing"))
    async with hints_of(storage, "default") as hints:
        with pytest.raises(Exception, match=r"run setup\(\)"):
            await anext(hints)
    await storage.close()


async def test_hints_after_a_cut(server: str) -> None:
    """The connection breaks while hints are written by others: Reconnected comes first."""
    prefix = fresh_prefix("cut")
    async with through_proxy(server, prefix, poll_interval=0.2) as reader:
        await reader.setup()
        async with hints_of(reader, "default") as hints:
            assert await anext(hints) == Reconnected()
            proxy_of(reader).break_all()
            assert await heard(hints, Reconnected()) == [Reconnected()]
    await drop_tables(server, prefix)


async def test_a_cancellation_that_is_lost(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that connects may swallow it: calls and listeners end all the same."""
    async with storage_in(server) as storage:
        connects = asyncio.Event()
        connect = AsyncEngine.raw_connection

        async def connect_anyway(engine: AsyncEngine) -> object:
            connects.set()
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            return await connect(engine)

        with monkeypatch.context() as patch:
            patch.setattr(AsyncEngine, "raw_connection", connect_anyway)
            reading = asyncio.ensure_future(storage.get(ids=["a"]))
            await connects.wait()
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            connects.clear()
            waiting = asyncio.ensure_future(anext(storage.listen(queues=["default"])))
            await connects.wait()
            async with asyncio.timeout(10):
                await storage._hints.close()
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)
        assert await storage.get(ids=["a"]) == [None]
