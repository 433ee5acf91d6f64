"""What goes wrong in the server becomes an error that says what to do, with its cause."""

import asyncio
from contextlib import suppress

import asyncpg
import pytest
from postgres_hooks import (
    break_connections,
    connection,
    fresh_schema,
    restart_server,
    role,
    server_url,
    somebody_waits,
    storage_in,
    through_proxy,
)
from postgres_proxy import Proxy

from durable_core.storage import (
    DiskFullError,
    Finish,
    InvalidArgumentError,
    NewExecution,
    OutcomeUnknownError,
    PermanentError,
    Phase,
    Query,
    ReadOnlyError,
    SchemaMissingError,
    StorageError,
    TemporaryError,
    Token,
)
from durable_postgres import PostgresStorage
from durable_postgres.errors import translate

NOW = 2_000_000_000_000_000


def new(id_: str, owner: str | None = None) -> NewExecution:
    return NewExecution(id=id_, task="work", owner=owner)


async def test_no_schema() -> None:
    storage = PostgresStorage.from_url(server_url(), schema=fresh_schema("nothing"))
    with pytest.raises(SchemaMissingError, match=r"run setup\(\)"):
        await storage.insert(items=[new("a")], now=NOW)
    report = await storage.setup(migrate=False)
    assert report.version == 0
    assert "migration 0001_initial" in report.missing
    await storage.close()


async def test_an_index_is_missing() -> None:
    async with storage_in() as storage:
        async with connection() as driver:
            await driver.execute(f'DROP INDEX "{storage._settings.schema}".durable_held')
        report = await storage.setup(migrate=False)
        assert list(report.missing) == ["index durable_held"]
        with pytest.raises(SchemaMissingError, match="durable_held"):
            await storage.setup()


async def test_no_such_database() -> None:
    storage = PostgresStorage.from_url(server_url().set(database="nowhere"))
    with pytest.raises(PermanentError, match="does not exist") as caught:
        await storage.setup()
    assert isinstance(caught.value.__cause__, asyncpg.InvalidCatalogNameError)
    await storage.close()


async def test_nobody_listens_there() -> None:
    async with Proxy.open("127.0.0.1", 1) as proxy:
        url = server_url().set(port=proxy.port)
        storage = PostgresStorage.from_url(url)
        with pytest.raises(TemporaryError, match="cannot be reached"):
            await storage.insert(items=[new("a")], now=NOW)
        await storage.close()


async def test_read_only() -> None:
    async with role("SET default_transaction_read_only = on") as url, storage_in() as storage:
        reader = PostgresStorage.from_url(url, schema=storage._settings.schema)
        with pytest.raises(ReadOnlyError, match="connect to the primary"):
            await reader.insert(items=[new("a")], now=NOW)
        assert (await reader.count(query=Query()))["*"] == 0
        await reader.close()


async def test_too_many_connections() -> None:
    async with storage_in() as storage, connection() as driver:
        name = f"few_{fresh_schema('r')}"
        await driver.execute(f"CREATE ROLE {name} LOGIN CONNECTION LIMIT 0")
        crowded = PostgresStorage.from_url(
            server_url().set(username=name), schema=storage._settings.schema
        )
        with pytest.raises(TemporaryError, match="too many connections"):
            await crowded.insert(items=[new("a")], now=NOW)
        await crowded.close()
        await driver.execute(f"DROP ROLE {name}")


async def test_no_rights() -> None:
    async with storage_in() as storage, connection() as driver:
        name = fresh_schema("r")
        await driver.execute(f"CREATE ROLE {name} LOGIN")
        weak = PostgresStorage.from_url(
            server_url().set(username=name), schema=storage._settings.schema
        )
        with pytest.raises(PermanentError, match="grant"):
            await weak.insert(items=[new("a")], now=NOW)
        await weak.close()
        await driver.execute(f"DROP ROLE {name}")


@pytest.mark.parametrize("setting", ["statement_timeout", "lock_timeout"])
async def test_timeouts(setting: str) -> None:
    """A row that somebody else has locked for too long: nothing was written, try again."""
    async with role(f"SET {setting} = '100ms'") as url, storage_in() as storage:
        hasty = PostgresStorage.from_url(url, schema=storage._settings.schema)
        await storage.insert(items=[new("a", owner="anna")], now=NOW)
        item = Finish(id="a", token=Token("anna", 1), phase=Phase.COMPLETED)
        async with connection() as driver, driver.transaction():
            table = f'"{storage._settings.schema}".durable_executions'
            await driver.execute(f"SELECT 1 FROM {table} FOR UPDATE")  # noqa: S608
            with pytest.raises(TemporaryError, match=setting):
                await hasty.apply(items=[item], now=NOW)
        (answer,) = await hasty.apply(items=[item], now=NOW)
        assert answer.outcome.value == "applied"
        await hasty.close()


async def test_deadlocks_are_repeated() -> None:
    """The server ends one of two that wait for each other; the storage sends its call again."""
    async with storage_in() as storage:
        await storage.insert(items=[new("a"), new("b")], now=NOW)
        table = f'"{storage._settings.schema}".durable_executions'
        lock = f"SELECT 1 FROM {table} WHERE id = $1 FOR UPDATE"  # noqa: S608
        async with connection() as driver:
            # The other one is never the victim.
            await driver.execute("SET deadlock_timeout = '1h'")
            async with driver.transaction():
                await driver.execute(lock, "b")
                cancelling = asyncio.ensure_future(
                    storage.cancel(ids=["a", "b"], request="r", now=NOW)
                )
                await somebody_waits(driver)
                await driver.execute(lock, "a")
        answers = await cancelling
        assert [answer.outcome.value for answer in answers] == ["ended", "ended"]


async def test_a_restart_of_the_server() -> None:
    """Connections of the pool are dead, and are replaced without anybody noticing."""
    async with storage_in() as storage:
        await storage.insert(items=[new("a", owner="anna")], now=NOW)
        calls = [storage.get(ids=["a"]) for _ in range(5)]
        await asyncio.gather(*calls)
        await restart_server()
        item = Finish(id="a", token=Token("anna", 1), phase=Phase.COMPLETED)
        (answer,) = await storage.apply(items=[item], now=NOW)
        assert answer.outcome.value == "applied"


async def test_a_restart_while_a_write_waits() -> None:
    async with storage_in() as storage:
        await storage.insert(items=[new("a", owner="anna")], now=NOW)
        item = Finish(id="a", token=Token("anna", 1), phase=Phase.COMPLETED)
        driver = await asyncpg.connect(server_url().render_as_string(hide_password=False))
        transaction = driver.transaction()
        await transaction.start()
        table = f'"{storage._settings.schema}".durable_executions'
        await driver.execute(f"SELECT 1 FROM {table} FOR UPDATE")  # noqa: S608
        applying = asyncio.ensure_future(storage.apply(items=[item], now=NOW))
        await somebody_waits(driver)
        await restart_server()
        driver.terminate()
        with pytest.raises(OutcomeUnknownError, match="send the same call again"):
            await applying
        (answer,) = await storage.apply(items=[item], now=NOW)
        assert answer.outcome.value == "applied"


async def test_everything_is_cut_at_once() -> None:
    """All connections of the pool break; new ones are made."""
    schema = fresh_schema("cut")
    async with through_proxy(schema) as storage:
        await storage.setup()
        await asyncio.gather(*[storage.insert(items=[new(f"{n}")], now=NOW) for n in range(10)])
        break_connections(storage)
        counts: list[int] = []
        for _ in range(20):
            # A connection whose end is not known yet is tried once: a read says so.
            with suppress(TemporaryError):
                counts.append((await storage.count(query=Query()))["*"])
        assert counts[-1] == 10
        assert len(counts) >= 10, "what was made anew works"
    async with connection() as driver:
        await driver.execute(f'DROP SCHEMA "{schema}" CASCADE')


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (asyncpg.DiskFullError("no space left on device"), DiskFullError),
        (asyncpg.DataCorruptedError("invalid page"), StorageError),
        (asyncpg.DataError("invalid input for query argument"), InvalidArgumentError),
        (asyncpg.AdminShutdownError("terminating connection"), OutcomeUnknownError),
        (asyncpg.CannotConnectNowError("starting up"), OutcomeUnknownError),
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
