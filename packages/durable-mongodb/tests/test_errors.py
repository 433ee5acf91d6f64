"""What goes wrong in the server becomes an error that says what to do, with its cause."""

import asyncio
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import servers
from bson.errors import InvalidDocument
from mongodb_hooks import (
    Client,
    connection,
    fresh_database,
    near,
    server_url,
    storage_in,
)
from mongodb_proxy import Proxy
from pymongo import AsyncMongoClient
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteConcernError,
)

from durable_core.storage import (
    ClosedError,
    DiskFullError,
    Finish,
    InvalidArgumentError,
    NewExecution,
    OutcomeUnknownError,
    PermanentError,
    Phase,
    ReadOnlyError,
    SchemaMissingError,
    StorageError,
    TemporaryError,
    Token,
    TooLargeError,
)
from durable_mongodb import MongoStorage
from durable_mongodb.errors import translate

NOW = 2_000_000_000_000_000


def new(id_: str, owner: str | None = None) -> NewExecution:
    return NewExecution(id=id_, task="work", owner=owner)


async def test_a_standalone_server() -> None:
    """Refused before anything is written, with the command that makes a replica set of it."""
    with servers.mongodb.standalone() as server:
        for url in (server.url, f"mongodb://{server.address}/"):
            storage = MongoStorage.from_url(url)
            with pytest.raises(PermanentError, match="mongod --replSet") as caught:
                await storage.setup()
            assert "rs.initiate()" in str(caught.value)
            await storage.close()
        client: Client = AsyncMongoClient(server.url)
        assert "durable" not in await client.list_database_names()
        await client.close()


async def test_a_secondary() -> None:
    with servers.mongodb.replica_set(2) as members:
        primary = servers.mongodb.wait_for_primary(members)
        (secondary,) = [one for one in members if one != primary]
        storage = MongoStorage.from_url(secondary.url)
        with pytest.raises(ReadOnlyError, match="replicaSet="):
            await storage.setup()
        await storage.close()


async def test_no_schema() -> None:
    """Nothing is written: the server would make collections without any index."""
    database = fresh_database("nothing")
    storage = MongoStorage.from_url(server_url(), database=database)
    with pytest.raises(SchemaMissingError, match=r"run setup\(\)"):
        await storage.insert(items=[new("a")], now=NOW)
    report = await storage.setup(migrate=False)
    assert report.version == 0
    assert "migration 0001_initial" in report.missing
    with pytest.raises(SchemaMissingError, match="durable_ready"):
        await storage.get(ids=["a"])
    async with connection() as client:
        assert database not in await client.list_database_names()
    await storage.close()


async def test_an_index_is_missing() -> None:
    """Named by looking, and made again by a set-up."""
    async with storage_in() as storage, connection() as client:
        rows = client[storage._settings.database]["durable_executions"]
        await rows.drop_index("durable_held")
        await rows.drop_index("durable_keys")
        await rows.create_index("key", name="durable_keys")
        report = await storage.setup(migrate=False)
        assert list(report.missing) == [
            "index durable_held of durable_executions",
            "index durable_keys of durable_executions as it should be",
        ]
        with pytest.raises(SchemaMissingError, match="durable_held"):
            await storage.get(ids=["a"])
        # What has the name of an index of ours, and is none, is somebody else's.
        with pytest.raises(PermanentError, match="drop it"):
            await storage.setup()
        await rows.drop_index("durable_keys")
        report = await storage.setup()
        assert (list(report.applied), list(report.missing)) == ([], [])


async def test_an_index_vanishes_while_it_is_used() -> None:
    async with storage_in() as storage, connection() as client:
        await client[storage._settings.database]["durable_executions"].drop_index("durable_ready")
        with pytest.raises(SchemaMissingError, match="an index is missing"):
            await storage.claim(
                executor="anna", tasks=["work"], queues=["default"], limit=1, now=NOW
            )


async def test_nobody_listens_there() -> None:
    async with Proxy.open("127.0.0.1", 1) as proxy:
        storage = MongoStorage.from_url(near(proxy), selection_timeout=0.3)
        storage._database.complete = True
        for call in (storage.insert(items=[new("a")], now=NOW), storage.get(ids=["a"])):
            with pytest.raises(TemporaryError, match="no primary can be reached") as caught:
                await call
            assert isinstance(caught.value.__cause__, ServerSelectionTimeoutError)
        await storage.close()


async def test_users_and_their_rights(tmp_path: Path) -> None:
    """A wrong password, no rights, and no right to watch changes: no hints then, but all else."""
    key = tmp_path / "key"
    key.write_text(secrets.token_hex(32), encoding="utf-8")
    key.chmod(0o600)
    with servers.mongodb.replica_set(1, "--auth", "--keyFile", str(key)) as (server,):
        # Until there is a user, whoever is on this machine may make one.
        root: Client = AsyncMongoClient(server.url)
        await root.admin.command({"createUser": "root", "pwd": "secret", "roles": ["root"]})
        await root.close()
        root = AsyncMongoClient(f"mongodb://root:secret@{server.address}/?directConnection=true")
        actions = ["find", "insert", "update", "remove", "createIndex", "listIndexes"]
        everything = {"resource": {"db": "durable", "collection": ""}, "actions": actions}
        await root.durable.command({"createRole": "blind", "privileges": [everything], "roles": []})
        for name, roles in (("nobody", []), ("blind", ["blind"]), ("good", ["readWrite"])):
            await root.durable.command({"createUser": name, "pwd": "secret", "roles": roles})
        await root.close()

        def at(user: str, password: str = "secret") -> MongoStorage:  # noqa: S107
            url = f"mongodb://{user}:{password}@{server.address}/durable?directConnection=true"
            return MongoStorage.from_url(url)

        async with _closed(at("good", "wrong")) as storage:
            with pytest.raises(PermanentError, match="password are wrong") as caught:
                await storage.setup()
            assert "wrong@" not in str(caught.value)
        async with _closed(at("nobody")) as storage:
            with pytest.raises(PermanentError, match="readWrite"):
                await storage.setup()
        async with _closed(at("good")) as storage:
            await storage.setup()
            assert storage.capabilities.push
            await storage.insert(items=[new("a")], now=NOW)
            pulse = storage.pulse()
            beat = await asyncio.to_thread(pulse.beat, executor="anna", ttl=15_000_000, now=NOW)
            assert not beat.alive, "the thread's own client has the password, too"
            pulse.close()
            # What a user has left open in the middle the same user may end.
            await storage.heartbeat(executor="anna", ttl=10, now=NOW, register=True)
            await storage.insert(items=[new("b", owner="anna")], now=NOW)
            with pytest.raises(OperationFailure, match="has been aborted"):
                await _reaped_in_the_middle(storage, at("good"))
            # Whoever was only thought dead goes on.
            (answer,) = await storage.cancel(ids=["nobody"], request="r", now=NOW)
            assert answer.outcome.value == "missing"
        async with _closed(at("blind")) as storage:
            await storage.setup()
            assert not storage.capabilities.push
            with pytest.raises(NotImplementedError, match="push"):
                storage.listen(queues=["default"])
            claimed = await storage.claim(
                executor="anna", tasks=["work"], queues=["default"], limit=9, now=NOW
            )
            assert {row.id for row in claimed.records} == {"a", "b"}


async def _reaped_in_the_middle(storage: MongoStorage, other: MongoStorage) -> None:
    """Try to commit a transaction whose executor is declared dead meanwhile."""
    session = storage._database.session()
    async with _closed(other), session.transaction():
        await session.update_many("executions", {"_id": "b"}, {"$inc": {"lock": 1}})
        assert (await other.reap(now=NOW + 11, limit=9)).rows == 1


@asynccontextmanager
async def _closed(storage: MongoStorage) -> AsyncGenerator[MongoStorage]:
    try:
        yield storage
    finally:
        await storage.close()


async def test_too_few_connections() -> None:
    """A pool that is busy: nothing was sent."""
    async with storage_in() as good:
        url = f"{server_url()}&maxPoolSize=1&waitQueueTimeoutMS=100"
        crowded = MongoStorage.from_url(url, database=good._settings.database)
        await crowded.setup()
        async with connection() as client:
            session = client.start_session()
            await session.start_transaction()
            rows = client[good._settings.database]["durable_leases"]
            await rows.insert_one({"_id": "anna"}, session=session)
            waiting = asyncio.ensure_future(
                crowded.heartbeat(executor="anna", ttl=1_000_000, now=NOW, register=True)
            )
            await asyncio.sleep(0)
            error: TemporaryError | None = None
            while error is None:
                try:
                    await crowded.get(ids=["a"])
                except TemporaryError as raised:
                    error = raised
            assert "larger pool_size" in str(error)
            assert isinstance(error.__cause__, WaitQueueTimeoutError)
            await session.abort_transaction()
            await session.end_session()
        assert (await waiting).alive
        await crowded.close()


async def test_a_document_that_is_too_large() -> None:
    """The largest payloads together fit into one document; what does not is the server's to say."""
    async with storage_in() as storage:
        most = bytes(storage.capabilities.max_payload)
        item = NewExecution(
            id="a", task="work", options=most, meta=most, input=most, state=most, owner="anna"
        )
        await storage.insert(items=[item], now=NOW)
        end = Finish(
            id="a", token=Token("anna", 1), phase=Phase.FAILED, state=most, output=most, error=most
        )
        (answer,) = await storage.apply(items=[end], now=NOW)
        assert answer.outcome.value == "applied"
        session = storage._database.session()
        doc: dict[str, Any] = {"_id": "b", "input": bytes(17 * 1024 * 1024)}
        with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever the driver says
            await session.insert("executions", [doc])
        error = caught.value
        assert isinstance(error, Exception)
        raised = translate(error, "place", write=True, doubt=True, written=False)
        assert isinstance(raised, TooLargeError)
        with pytest.raises(OperationFailure) as server:
            await session.update_many("executions", {"_id": "a"}, {"$set": {"x": most}})
        raised = translate(server.value, "place", write=True, doubt=True, written=False)
        assert isinstance(raised, TooLargeError)


async def test_a_closed_client_of_the_callers() -> None:
    client: Client = AsyncMongoClient(server_url())
    storage = MongoStorage(client, database=fresh_database("closed"))
    await client.close()
    with pytest.raises(ClosedError, match="the client that the storage was given is closed"):
        await storage.setup()


async def test_a_write_that_waits_for_a_lock() -> None:
    """A transaction that is in the way is waited for; an answer comes when it ends."""
    async with storage_in() as storage, connection() as client:
        await storage.insert(items=[new("a", owner="anna")], now=NOW)
        rows = client[storage._settings.database]["durable_executions"]
        item = Finish(id="a", token=Token("anna", 1), phase=Phase.COMPLETED)
        async with client.start_session() as session:
            await session.start_transaction()
            await rows.update_one({"_id": "a"}, {"$inc": {"lock": 1}}, session=session)
            applying = asyncio.ensure_future(storage.apply(items=[item], now=NOW))
            cancelling = asyncio.ensure_future(storage.cancel(ids=["a"], request="r", now=NOW))
            await asyncio.wait([applying, cancelling], timeout=0.3)
            assert not applying.done()
            assert not cancelling.done()
            await session.abort_transaction()
        assert (await applying)[0].outcome.value == "applied"
        assert (await cancelling)[0].outcome.value in ("finished", "marked")
        assert storage.statistics().conflicts > 0


_CLOSED = {"errmsg": "x", "code": 91}
_BULK = {"writeErrors": [], "writeConcernErrors": [_CLOSED], "nInserted": 1}
_REFUSED = {"writeErrors": [{"index": 0, "code": 14031, "errmsg": "full"}], "nInserted": 0}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OperationFailure("no space left", 14031), DiskFullError),
        (BulkWriteError(_REFUSED), DiskFullError),
        (BulkWriteError(_BULK), OutcomeUnknownError),
        (WriteConcernError("shutting down", 91), OutcomeUnknownError),
        (OperationFailure("interrupted", 11602), OutcomeUnknownError),
        (OperationFailure("exceeded time limit", 50), OutcomeUnknownError),
        (OperationFailure("what is this", 999_999), OutcomeUnknownError),
        (OperationFailure("no transactions here", 20), PermanentError),
        (ConfigurationError("Sessions are not supported by this server"), OutcomeUnknownError),
        (OperationFailure("larger than 16 MB", 17419), TooLargeError),
        (NotPrimaryError("not primary"), OutcomeUnknownError),
        (NetworkTimeout("timed out"), OutcomeUnknownError),
        (InvalidDocument("cannot encode"), InvalidArgumentError),
        (ConnectionResetError("reset by peer"), OutcomeUnknownError),
        (RuntimeError("strange"), OutcomeUnknownError),
    ],
)
def test_errors_that_are_hard_to_cause(error: Exception, kind: type[StorageError]) -> None:
    """While a write is on its way; none of them is said to have written nothing if it may have."""
    raised = translate(error, "place", write=True, doubt=True, written=False)
    assert isinstance(raised, kind)
    after = translate(error, "place", write=True, doubt=False, written=True)
    assert isinstance(after, OutcomeUnknownError), "a part of the call was committed"
    read = translate(error, "place", write=False, doubt=False, written=False)
    assert not isinstance(read, OutcomeUnknownError)
