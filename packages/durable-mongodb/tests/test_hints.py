"""Hints by the change stream: of others and of one's own, and after a restart."""

import asyncio
from typing import Any

from mongodb_hooks import hints_of, restart_server, server_url, storage_in

from durable_core.storage import (
    Finish,
    Finished,
    Hint,
    NewExecution,
    Phase,
    Ready,
    Reconnected,
    Release,
    Token,
)
from durable_mongodb import MongoStorage

NOW = 2_000_000_000_000_000


def new(id_: str, **fields: Any) -> NewExecution:
    return NewExecution(id=id_, task="work", **fields)


async def test_hints_of_another_storage() -> None:
    """Ready and Finished arrive by the server; after its restart the listener says so."""
    async with storage_in() as writer:
        reader = MongoStorage.from_url(server_url(), database=writer._settings.database)
        await reader.setup()
        async with hints_of(reader, "default", "other") as hints:
            heard: list[Hint] = []

            async def hear(hint: Hint) -> None:
                async with asyncio.timeout(20):
                    while hint not in heard:
                        heard.append(await anext(hints))

            await hear(Reconnected())
            await writer.insert(items=[new("a", owner="anna")], now=NOW)
            await writer.insert(items=[new("b", due=NOW * 2)], now=NOW)
            await hear(Ready(queue="default"))
            assert all(hint in (Reconnected(), Ready(queue="default")) for hint in heard)
            await writer.cancel(ids=["b"], request="r", now=NOW)
            await hear(Finished())
            heard.clear()
            await restart_server()
            await hear(Reconnected())
            assert heard == [Reconnected()]
            heard.clear()
            await writer.insert(items=[new("$c", queue="elsewhere")], now=NOW)
            # A reaped row that anybody may claim concerns every queue.
            await writer.insert(
                items=[NewExecution(id="d", task="$d", queue="far", owner="dead")], now=NOW
            )
            await writer.reap(now=NOW, limit=9)
            await hear(Ready(queue="other"))
        await reader.close()


async def test_a_large_change_of_a_small_row_is_heard_of() -> None:
    """The server logs it as a replacement of the whole document."""
    async with storage_in() as storage, hints_of(storage, "default") as hints:
        assert await anext(hints) == Reconnected()
        await storage.insert(items=[new("a", owner="anna")], now=NOW)
        end = Finish(id="a", token=Token("anna", 1), phase=Phase.COMPLETED, output=bytes(100_000))
        await storage.apply(items=[end], now=NOW)
        async with asyncio.timeout(10):
            assert await anext(hints) == Finished(own=True)


async def test_own_hints_are_told_from_those_of_others() -> None:
    async with storage_in() as storage, hints_of(storage, "default", "q") as hints:
        assert await anext(hints) == Reconnected()
        other = MongoStorage.from_url(server_url(), database=storage._settings.database)
        async with asyncio.timeout(20):
            await storage.insert(items=[new("a")], now=NOW)
            assert await anext(hints) == Ready(queue="default", own=True)
            await other.insert(items=[new("b", queue="q", owner="anna")], now=NOW)
            end = Finish(id="b", token=Token("anna", 1), phase=Phase.COMPLETED)
            await other.apply(items=[end], now=NOW)
            assert await anext(hints) == Finished(own=False)
            claimed = await other.claim(
                executor="bela", tasks=["work"], queues=["default"], limit=1, now=NOW
            )
            wait = Release(
                id="a",
                token=claimed.records[0].token,
                phase=Phase.WAITING_FOR_CHILDREN,
                due=None,
                children=[
                    new("a.0", parent_id="a", root_id="a", queue="q", owner="anna"),
                ],
            )
            await other.apply(items=[wait], now=NOW)
            end = Finish(id="a.0", token=Token("anna", 1), phase=Phase.FAILED, parent_id="a")
            await storage.apply(items=[end], now=NOW)
            heard = {await anext(hints), await anext(hints)}
            assert heard == {Ready(queue="default", own=True), Finished(own=True)}
        await other.close()
