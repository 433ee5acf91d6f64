"""Connections break while a call is on its way: its outcome is found out, or is in doubt."""

import asyncio
from contextlib import suppress

import pytest
from mongodb_hooks import (
    MongoHooks,
    break_connections,
    fresh_database,
    storage_in,
    through_proxy,
)
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
)

from durable_conformance import Cut
from durable_core.storage import (
    Finish,
    NewExecution,
    OutcomeUnknownError,
    Phase,
    Query,
    TemporaryError,
    Token,
)

NOW = 2_000_000_000_000_000


def new(id_: str, owner: str | None = None) -> NewExecution:
    return NewExecution(id=id_, task="work", owner=owner)


async def test_a_lost_reply_to_a_read() -> None:
    """Whoever does not want the driver to read again does so himself."""
    async with through_proxy(fresh_database("slow"), options="&retryReads=false") as storage:
        await storage.setup()
        async with MongoHooks().cut(storage, Cut.AFTER_SENDING):
            with pytest.raises(TemporaryError, match="cannot be reached") as caught:
                await storage.get(ids=["a"])
            assert isinstance(caught.value.__cause__, AutoReconnect)
        await MongoHooks().drop(storage._settings.database)


async def test_a_lost_reply_without_retries() -> None:
    """Nobody sends it again by himself: the outcome is unknown, and asking again tells."""
    options = "&retryWrites=false"
    async with through_proxy(fresh_database("lost"), options=options) as storage:
        await storage.setup()
        for where in (Cut.BEFORE_SENDING, Cut.AFTER_SENDING):
            await storage.insert(items=[new(where.name, owner="anna")], now=NOW)
            item = Finish(id=where.name, token=Token("anna", 1), phase=Phase.COMPLETED)
            async with MongoHooks().cut(storage, where):
                with pytest.raises(OutcomeUnknownError, match="send the same call again"):
                    await storage.apply(items=[item], now=NOW)
            (answer,) = await storage.apply(items=[item], now=NOW)
            expected = "applied" if where is Cut.BEFORE_SENDING else "already"
            assert answer.outcome.value == expected
        await MongoHooks().drop(storage._settings.database)


@pytest.mark.parametrize("rows", [1, 2])
async def test_a_lost_reply_to_a_claim(rows: int) -> None:
    """Nobody sends it again, because it would hold other rows; what it holds is found by owner."""
    async with through_proxy(fresh_database("claim")) as storage:
        await storage.setup()
        ids = [f"{n}" for n in range(rows)]
        await storage.insert(items=[new(id_) for id_ in ids], now=NOW)
        for where, held in ((Cut.BEFORE_SENDING, []), (Cut.AFTER_SENDING, ids)):
            async with MongoHooks().cut(storage, where):
                with pytest.raises(OutcomeUnknownError):
                    await storage.claim(
                        executor="anna", tasks=["work"], queues=["default"], limit=rows, now=NOW
                    )
            found = await storage.find(query=Query(owner="anna"), limit=9)
            assert [(row.id, row.gen) for row in found.items] == [(id_, 1) for id_ in held]
        await MongoHooks().drop(storage._settings.database)


async def test_a_lost_reply_to_a_commit() -> None:
    """The commit is sent again, and was carried out once."""
    async with through_proxy(fresh_database("commit")) as storage:
        await storage.setup()
        await storage.insert(items=[new("a", owner="anna")], now=NOW)
        for where in (Cut.AFTER_SENDING, Cut.BEFORE_SENDING):
            async with MongoHooks().cut(storage, where):
                (answer,) = await storage.cancel(ids=["a"], request="r", now=NOW)
            assert answer.outcome.value == "marked"
        await MongoHooks().drop(storage._settings.database)


async def test_a_commit_that_the_driver_repeats_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its reply was lost, and who is asked then is not the primary yet: the commit is in doubt."""
    commit = AsyncClientSession.commit_transaction
    calls = 0

    async def committed_but(session: AsyncClientSession) -> None:
        nonlocal calls
        calls += 1
        await commit(session)
        if calls <= failures:
            msg = "Sessions are not supported by this MongoDB deployment"
            raise ConfigurationError(msg)

    monkeypatch.setattr(AsyncClientSession, "commit_transaction", committed_but)
    async with storage_in() as storage:
        items = [new("a", owner="anna"), new("b", owner="anna")]
        failures = 0
        await storage.insert(items=items, now=NOW)
        calls, failures = 0, 1
        (answer,) = await storage.cancel(ids=["a"], request="r", now=NOW)
        assert (answer.outcome.value, calls) == ("marked", 2)
        calls, failures = 0, 99
        with pytest.raises(OutcomeUnknownError, match="send the same call again"):
            await storage.cancel(ids=["b"], request="r", now=NOW)
        calls, failures = 0, 0
        (answer,) = await storage.cancel(ids=["b"], request="r", now=NOW)
        assert answer.outcome.value == "marked"


async def test_everything_is_cut_at_once() -> None:
    """All connections of the pool break; new ones are made."""
    async with through_proxy(fresh_database("cut")) as storage:
        await storage.setup()
        await asyncio.gather(*[storage.insert(items=[new(f"{n}")], now=NOW) for n in range(10)])
        break_connections(storage)
        counts: list[int] = []
        for _ in range(20):
            with suppress(TemporaryError):
                counts.append((await storage.count(query=Query()))["*"])
        assert counts[-1] == 10
        await MongoHooks().drop(storage._settings.database)
