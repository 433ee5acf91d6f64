"""Enqueueing inside the caller's own transaction, of either driver."""

import asyncio
import importlib
from typing import Any

import pytest
from mongodb_hooks import connection, hints_of, server_url, storage_in
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from durable_core.storage import (
    InsertOutcome,
    InvalidArgumentError,
    NewExecution,
    OnCancel,
    Phase,
    Ready,
    Reconnected,
    SchemaMissingError,
    TemporaryError,
    Token,
    Wake,
)
from durable_mongodb import MongoStorage, TransactionUndoneError

NOW = 2_000_000_000_000_000
ITEM = NewExecution(
    id="a", task="work", key="k", tags=frozenset({"x", "ü"}), on_cancel=OnCancel.DELIVER
)


async def test_with_transaction() -> None:
    """The driver's own way: the function is called again when its transaction was undone."""
    async with storage_in() as storage, connection() as client:
        callers = client[storage._settings.database]["callers"]
        await callers.insert_one({"_id": 1, "n": 0})
        tries: list[int] = []

        async def work(session: Any) -> None:
            tries.append(1)
            await storage.bind(session).insert(items=[ITEM], now=NOW)
            if len(tries) == 1:
                # Somebody else is faster.
                await callers.update_one({"_id": 1}, {"$inc": {"n": 10}})
            await callers.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)

        async with client.start_session() as session:
            await session.with_transaction(work)
        assert len(tries) == 2
        assert await callers.find_one() == {"_id": 1, "n": 11}
        (row,) = await storage.get(ids=["a"])
        assert row is not None
        assert row.tags == ITEM.tags


async def test_a_session_of_motor() -> None:
    motor: Any = importlib.import_module("motor.motor_asyncio")
    client: Any = motor.AsyncIOMotorClient(server_url())
    async with storage_in() as storage:
        async with await client.start_session() as session:
            with pytest.raises(InvalidArgumentError, match="in no transaction"):
                await storage.bind(session).insert(items=[ITEM], now=NOW)
            async with session.start_transaction():
                await storage.bind(session).insert(items=[ITEM], now=NOW)
                assert await storage.get(ids=["a"]) == [None]
        assert await storage.get(ids=["a"]) != [None]
    client.close()


async def test_no_transaction() -> None:
    """Outside of one there is nothing to join, so nothing is written."""
    async with storage_in() as storage, connection() as client, client.start_session() as session:
        with pytest.raises(InvalidArgumentError, match="in no transaction"):
            await storage.bind(session).insert(items=[ITEM], now=NOW)
        assert await storage.get(ids=["a"]) == [None]


async def test_something_else() -> None:
    blocking: MongoClient[Any] = MongoClient(server_url(), connect=False)
    async with storage_in() as storage, connection() as client:
        with blocking.start_session() as session:
            for tx in (None, "tx", storage, client, session):
                with pytest.raises(InvalidArgumentError, match="AsyncClientSession"):
                    storage.bind(tx)
    blocking.close()


async def test_no_schema() -> None:
    """The caller's transaction is refused before it makes collections without any index."""
    async with connection() as client, client.start_session() as session:
        storage = MongoStorage(client, database="nowhere")
        await session.start_transaction()
        with pytest.raises(SchemaMissingError):
            await storage.bind(session).insert(items=[ITEM], now=NOW)
        await session.abort_transaction()
        assert "nowhere" not in await client.list_database_names()


async def test_somebody_inserts_the_same_at_the_same_time() -> None:
    """The server undoes the caller's transaction; begun again, it is told of the other one."""
    async with storage_in() as storage, connection() as client:
        answers: list[InsertOutcome] = []

        async def work(session: Any) -> None:
            bound = storage.bind(session)
            await bound.insert(items=[NewExecution(id="first", task="work")], now=NOW)
            # The first time, after this transaction has seen that there is nothing.
            await storage.insert(items=[ITEM], now=NOW)
            (answer,) = await bound.insert(items=[ITEM], now=NOW)
            answers.append(answer.outcome)

        async with client.start_session() as session:
            await session.with_transaction(work)
        assert answers == [InsertOutcome.EXISTING_ID]
        assert await storage.get(ids=["first"]) != [None]


async def test_a_transaction_that_is_undone() -> None:
    """Who begins his transactions by himself is told by an error of both worlds."""
    async with storage_in() as storage, connection() as client, client.start_session() as session:
        await session.start_transaction()
        bound = storage.bind(session)
        await bound.insert(items=[NewExecution(id="first", task="work")], now=NOW)
        await storage.insert(items=[ITEM], now=NOW)
        with pytest.raises(TransactionUndoneError) as caught:
            await bound.insert(items=[ITEM], now=NOW)
        assert isinstance(caught.value, TemporaryError)
        assert isinstance(caught.value.__cause__, PyMongoError)
        await session.abort_transaction()
        assert await storage.get(ids=["first"]) == [None]


async def test_a_sleeper_and_its_message() -> None:
    """A message that is kept ends a sleeper that is born in the caller's transaction."""
    async with storage_in() as storage, connection() as client, client.start_session() as session:
        wake = Wake(task="work", wake_key="k", request="r", payload=b"p", keep_until=NOW * 2)
        await storage.wake(items=[wake], now=NOW)
        item = NewExecution(id="s", task="work", phase=Phase.SLEEPING, wake_key="k", due=None)
        async with await session.start_transaction():
            (answer,) = await storage.bind(session).insert(items=[item], now=NOW)
            assert answer.record.output == b"p"
        (row,) = await storage.get(ids=["s"])
        assert row == answer.record


async def test_checkpoints_keep_their_order_and_first_value() -> None:
    """What is recorded already is refused, and the caller does not commit."""
    async with storage_in() as storage, connection() as client:
        await storage.insert(items=[NewExecution(id="a", task="work", owner="anna")], now=NOW)
        answers: list[bool] = []
        for name, value in (("b", b"1"), ("a", b"2"), ("b", b"3")):
            async with client.start_session() as session:
                await session.start_transaction()
                recorded = await storage.bind(session).checkpoint(
                    execution_id="a", token=Token("anna", 1), name=name, value=value, now=NOW
                )
                answers.append(recorded)
                if recorded:
                    await session.commit_transaction()
        assert answers == [True, True, False]
        found = (await storage.checkpoints(execution_id="a", limit=9)).items
        assert [(point.name, point.value) for point in found] == [("b", b"1"), ("a", b"2")]


async def test_its_hint() -> None:
    """Heard after the caller's commit, also by the same storage."""
    async with (
        storage_in() as storage,
        connection() as client,
        client.start_session() as session,
        hints_of(storage, "default") as hints,
    ):
        assert await anext(hints) == Reconnected()
        async with await session.start_transaction():
            await storage.bind(session).insert(items=[ITEM], now=NOW)
        async with asyncio.timeout(10):
            assert await anext(hints) == Ready(queue="default")
