"""A replica set of three members loses its primary in the middle of a load."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest
import servers
from mongodb_hooks import (
    MongoHooks,
    break_connections,
    connection,
    fresh_database,
    hints_of,
    refuse_connections,
    restart_server,
    through_proxy,
)
from mongodb_load import NOW, Load
from pymongo import AsyncMongoClient
from pymongo.errors import AutoReconnect

from durable_core.storage import (
    Finished,
    Hint,
    NewExecution,
    Ready,
    Reconnected,
    TemporaryError,
)
from durable_mongodb import MongoStorage

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("mongodb-failover")]

Members = list[servers.mongodb.PrivateMongo]


@pytest.fixture(scope="module")
def members() -> Generator[Members]:
    with servers.mongodb.replica_set(3) as three:
        yield three


@asynccontextmanager
async def _storages(url: str, number: int) -> AsyncGenerator[list[MongoStorage]]:
    """Open storages on a database of their own; the replica set is gone after the tests."""
    database = fresh_database("failover")
    async with AsyncExitStack() as stack:
        storages: list[MongoStorage] = []
        for _ in range(number):
            storage = MongoStorage.from_url(url, database=database)
            stack.push_async_callback(storage.close)
            storages.append(storage)
        await storages[0].setup()
        yield storages


@asynccontextmanager
async def _storages_on(url: str, database: str) -> AsyncGenerator[MongoStorage]:
    storage = MongoStorage.from_url(url, database=database)
    await storage.setup()
    yield storage
    await storage.close()
    await MongoHooks().drop(database)


async def test_a_step_down(members: Members) -> None:
    """The primary hands over, cutting off what it was doing."""

    async def step_down() -> None:
        primary = servers.mongodb.wait_for_primary(members)
        client: AsyncMongoClient[dict[str, object]] = AsyncMongoClient(primary.url)
        await client.admin.command({"replSetStepDown": 20, "force": True})
        await client.close()
        assert await asyncio.to_thread(servers.mongodb.wait_for_primary, members) != primary

    async with _storages(servers.mongodb.url_of(members), 3) as storages:
        await Load(storages).run(step_down)


async def test_a_killed_primary(members: Members) -> None:
    """SIGKILL, and the other two go on without it; what was acknowledged is there."""
    killed = servers.mongodb.wait_for_primary(members)

    async def kill() -> None:
        killed.kill()
        others = [one for one in members if one != killed]
        await asyncio.to_thread(servers.mongodb.wait_for_primary, others)

    async with _storages(servers.mongodb.url_of(members), 3) as storages:
        try:
            await Load(storages).run(kill)
        finally:
            killed.start()


async def test_a_primary_that_hangs(members: Members) -> None:
    """It is stopped, but its connections stay open; when it goes on, it is not the primary."""
    hung = servers.mongodb.wait_for_primary(members)
    pid = hung.pid
    assert pid is not None

    async def hang() -> None:
        os.kill(pid, signal.SIGSTOP)
        others = [one for one in members if one != hung]
        await asyncio.to_thread(servers.mongodb.wait_for_primary, others)
        os.kill(pid, signal.SIGCONT)

    url = f"{servers.mongodb.url_of(members)}&socketTimeoutMS=2000&heartbeatFrequencyMS=1000"
    async with _storages(url, 2) as storages:
        try:
            await Load(storages).run(hang)
        finally:
            os.kill(pid, signal.SIGCONT)


async def test_a_member_between_roles(members: Members, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is neither primary nor secondary: the call waits, and what was asked is answered then."""
    monkeypatch.setattr("durable_mongodb.session._GIVE_UP", 3.0)
    primary = servers.mongodb.wait_for_primary(members)
    other = next(one for one in members if one != primary)
    async with AsyncExitStack() as stack:
        admin: AsyncMongoClient[dict[str, object]] = AsyncMongoClient(other.url)
        stack.push_async_callback(admin.close)
        storage = MongoStorage.from_url(other.url, database=fresh_database("between"))
        stack.push_async_callback(storage.close)
        storage._database.complete = True
        await admin.admin.command({"replSetMaintenance": True})
        call = asyncio.ensure_future(storage.cancel(ids=["a"], request="r", now=NOW))
        await asyncio.wait([call], timeout=0.5)
        assert not call.done()
        await admin.admin.command({"replSetMaintenance": False})
        with pytest.raises(TemporaryError):
            await call
        assert storage.statistics().conflicts > 0


async def test_hints_after_a_step_down(members: Members) -> None:
    """The stream goes on at the new primary, from where it broke off, and says so."""
    items = [NewExecution(id="a", task="work")]
    async with (
        _storages(servers.mongodb.url_of(members), 2) as (writer, reader),
        hints_of(reader, "default") as hints,
    ):
        heard: list[Hint] = []

        async def hear(hint: Hint) -> None:
            async with asyncio.timeout(40):
                while hint not in heard:
                    heard.append(await anext(hints))

        await hear(Reconnected())
        killed = servers.mongodb.wait_for_primary(members)
        killed.kill()
        heard.clear()
        try:
            await Load([writer]).sent(lambda: writer.insert(items=items, now=NOW))
            await hear(Ready(queue="default"))
            assert heard[0] == Reconnected()
            await writer.cancel(ids=["a"], request="r", now=NOW)
            await hear(Finished())
        finally:
            killed.start()


async def test_transactions_of_others_are_left_alone() -> None:
    """Reaping who left no session behind ends nobody's."""
    url = os.environ[servers.mongodb.URL]
    async with _storages_on(url, fresh_database("others")) as storage, connection() as client:
        database = client[storage._settings.database]
        lease = {"_id": "old", "expires_at": NOW - 1, "started_at": NOW - 2, "info": b""}
        await database["durable_leases"].insert_one(lease)
        await database["callers"].insert_one({"_id": 1})
        async with client.start_session() as session:
            await session.start_transaction()
            await database["callers"].insert_one({"_id": 2}, session=session)
            assert (await storage.reap(now=NOW, limit=9)).leases == 1
            await session.commit_transaction()
        assert await database["callers"].count_documents({}) == 2


async def test_a_killed_server_of_one_member() -> None:
    """SIGKILL of the only member: nothing goes on until it is back, and then all goes on."""
    async with _storages(os.environ[servers.mongodb.URL], 2) as storages:
        await Load(storages).run(restart_server)


async def test_a_cut_network() -> None:
    """All connections break again and again, until a call has been cut where nobody mends it."""
    database = fresh_database("cut")
    async with through_proxy(database) as first, through_proxy(database) as second:
        await first.setup()
        await second.setup()

        async def cut() -> None:
            cuts = 0
            # Most of what breaks is sent again by the driver, or by the storage.
            while cuts < 12 or load.unknown + load.temporary == 0:
                await asyncio.sleep(0.05)
                break_connections(first)
                break_connections(second)
                cuts += 1

        load = Load([first, second])
        await load.run(cut)


async def test_a_transaction_of_the_dead() -> None:
    """Who was cut off in the middle of a transaction leaves no lock behind when he is reaped."""
    database = fresh_database("dead")
    async with (
        through_proxy(database, options="&serverSelectionTimeoutMS=2000") as dead,
        _storages_on(os.environ[servers.mongodb.URL], database) as alive,
    ):
        await dead.heartbeat(executor="dead", ttl=10, now=NOW, register=True)
        items = [NewExecution(id="a", task="work", owner="dead")]
        await dead.insert(items=items, now=NOW)
        session = dead._database.session()
        with suppress(AutoReconnect):
            async with session.transaction():
                await session.update_many("executions", {"_id": "a"}, {"$inc": {"lock": 1}})
                refuse_connections(dead)
        done = await alive.reap(now=NOW, limit=9)
        assert (done.leases, done.rows) == (0, 0), "it is still alive, as far as anybody knows"
        done = await alive.reap(now=NOW + 11, limit=9)
        assert (done.leases, done.rows, done.more) == (1, 1, False)
