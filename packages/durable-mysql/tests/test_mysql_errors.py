"""What goes wrong in the server becomes an error that says what to do, with its cause."""

# ruff: noqa: S608 - the names of tables are made here

import asyncio
import importlib
from contextlib import AsyncExitStack, suppress
from typing import Any

import pymysql
import pytest
from mysql_hooks import (
    ORDINARY,
    break_connections,
    drop_tables,
    fresh_prefix,
    gone,
    kill_who_waits,
    line,
    line_to,
    restart_server,
    server_url,
    setting,
    somebody_waits,
    storage_in,
    through_proxy,
    user,
)
from mysql_proxy import Proxy

from durable_core.storage import (
    CorruptError,
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
    TooLargeError,
)
from durable_mysql import MySQLStorage
from durable_mysql.errors import translate

NOW = 2_000_000_000_000_000
FINISH = Finish(id="a", token=Token("anna", 1), phase=Phase.COMPLETED)

_asyncmy: Any = importlib.import_module("asyncmy.errors")


def new(id_: str, owner: str | None = None, **values: Any) -> NewExecution:
    return NewExecution(id=id_, task="work", owner=owner, **values)


async def test_no_schema(server: str) -> None:
    storage = MySQLStorage.from_url(server_url(server), prefix=fresh_prefix("nothing"))
    with pytest.raises(SchemaMissingError, match=r"run setup\(\)"):
        await storage.insert(items=[new("a")], now=NOW)
    report = await storage.setup(migrate=False)
    assert report.version == 0
    assert "migration 0001_initial" in report.missing
    await storage.close()


async def test_an_index_and_a_column_are_missing(server: str) -> None:
    async with storage_in(server) as storage:
        prefix = storage._settings.prefix
        async with line(server) as one:
            await one.rows(
                f"ALTER TABLE {prefix}executions DROP INDEX held, DROP COLUMN started_at"
            )
        report = await storage.setup(migrate=False)
        assert list(report.missing) == [
            f"column {prefix}executions.started_at",
            f"index held of {prefix}executions",
        ]
        with pytest.raises(SchemaMissingError, match="index held"):
            await storage.setup()
        with pytest.raises(SchemaMissingError, match=r"run setup\(\)"):
            await storage.find(query=Query(owner="anna"), limit=9)


async def test_a_migration_that_died_is_carried_out_again(server: str) -> None:
    """Its tables are there, some of them; the version is not."""
    prefix = fresh_prefix("half")
    storage = MySQLStorage.from_url(server_url(server), prefix=prefix)
    await storage.setup()
    async with line(server) as one:
        await one.rows(f"DELETE FROM {prefix}schema")
        await one.rows(f"DROP TABLE {prefix}leases, {prefix}hints")
    report = await storage.setup()
    assert list(report.applied) == ["0001_initial"]
    assert not report.missing
    await storage.close()
    await drop_tables(server, prefix)


async def test_no_such_database(server: str) -> None:
    storage = MySQLStorage.from_url(server_url(server).set(database="nowhere"))
    with pytest.raises(PermanentError, match="does not exist") as caught:
        await storage.setup()
    assert isinstance(caught.value.__cause__, pymysql.err.MySQLError)
    await storage.close()


@pytest.mark.parametrize("driver", ["aiomysql", "asyncmy"])
async def test_nobody_listens_there(server: str, driver: str) -> None:
    async with Proxy.open("127.0.0.1", 1) as proxy:
        url = server_url(server).set(port=proxy.port, drivername=f"mysql+{driver}")
        storage = MySQLStorage.from_url(url)
        with pytest.raises(TemporaryError, match="cannot be reached"):
            await storage.insert(items=[new("a")], now=NOW)
        await storage.close()


async def test_read_only(server: str) -> None:
    async with user(server, ORDINARY) as url, storage_in(server) as storage:
        reader = MySQLStorage.from_url(url, prefix=storage._settings.prefix)
        async with setting(server, "read_only", "1"):
            with pytest.raises(ReadOnlyError, match="connect to the primary"):
                await reader.insert(items=[new("a")], now=NOW)
            assert (await reader.count(query=Query()))["*"] == 0
            await reader.setup(migrate=False)
        await reader.close()


async def test_too_many_connections_of_a_user(server: str) -> None:
    async with (
        user(server, ORDINARY, "WITH MAX_USER_CONNECTIONS 1") as url,
        storage_in(server) as storage,
        line_to(url),
    ):
        crowded = MySQLStorage.from_url(url, prefix=storage._settings.prefix)
        with pytest.raises(TemporaryError, match="too many connections"):
            await crowded.insert(items=[new("a")], now=NOW)
        await crowded.close()


async def test_too_many_connections_of_all(server: str) -> None:
    async with (
        user(server, ORDINARY) as url,
        storage_in(server) as storage,
        setting(server, "max_connections", "12"),
        AsyncExitStack() as stack,
    ):
        with pytest.raises(pymysql.err.OperationalError, match="Too many connections"):  # noqa: PT012
            for _ in range(20):
                await stack.enter_async_context(line_to(url))
        crowded = MySQLStorage.from_url(url, prefix=storage._settings.prefix)
        with pytest.raises(TemporaryError, match="max_connections"):
            await crowded.insert(items=[new("a")], now=NOW)
        await crowded.close()


async def test_no_rights_and_a_wrong_password(server: str) -> None:
    async with user(server, "SELECT ON durable.*") as url, storage_in(server) as storage:
        weak = MySQLStorage.from_url(url, prefix=storage._settings.prefix)
        with pytest.raises(PermanentError, match="grants"):
            await weak.insert(items=[new("a")], now=NOW)
        await weak.close()
        stranger = MySQLStorage.from_url(url.set(password="wrong"))
        with pytest.raises(PermanentError, match="refuses this user"):
            await stranger.setup()
        await stranger.close()


async def test_a_lock_that_is_not_to_be_had(server: str) -> None:
    """A row that somebody else has locked for too long: nothing was written, try again."""
    async with storage_in(server, lock_timeout=1) as storage, line(server) as other:
        await storage.insert(items=[new("a", owner="anna")], now=NOW)
        table = f"{storage._settings.prefix}executions"
        await other.rows(f"START TRANSACTION; SELECT 1 FROM {table} FOR UPDATE")
        with pytest.raises(TemporaryError, match="innodb_lock_wait_timeout"):
            await storage.apply(items=[FINISH], now=NOW)
        await other.rows("ROLLBACK")
        (answer,) = await storage.apply(items=[FINISH], now=NOW)
        assert answer.outcome.value == "applied"


async def test_a_round_trip_that_takes_too_long(server: str) -> None:
    """The connection is thrown away: its late answer is nobody's."""
    async with storage_in(server, command_timeout=1.0) as storage, line(server) as other:
        await storage.insert(items=[new("a", owner="anna")], now=NOW)
        table = f"{storage._settings.prefix}executions"
        await other.rows(f"START TRANSACTION; SELECT 1 FROM {table} FOR UPDATE")
        with pytest.raises(TemporaryError, match="cannot be reached"):
            await storage.apply(items=[FINISH], now=NOW)
        await other.rows("ROLLBACK")
        for _ in range(3):
            (answer,) = await storage.apply(items=[FINISH], now=NOW)
            assert answer.outcome.value in {"applied", "already"}


async def test_a_statement_that_takes_too_long(server: str) -> None:
    name, value = {
        "mysql": ("max_execution_time", "1"),
        "mariadb": ("max_statement_time", "0.0001"),
    }[server]
    async with storage_in(server) as storage:
        tags = frozenset(f"{n:064}" for n in range(16))
        await storage.insert(items=[new(f"{n}", tags=tags) for n in range(1000)], now=NOW)
        async with setting(server, name, value):
            hasty = MySQLStorage.from_url(server_url(server), prefix=storage._settings.prefix)
            with pytest.raises(TemporaryError, match="longer than the server allows"):
                await hasty.count(query=Query(tags=tags))
            await hasty.close()


async def test_a_statement_that_an_administrator_ends(server: str) -> None:
    async with storage_in(server) as storage, line(server) as other, line(server) as admin:
        await storage.insert(items=[new("a", owner="anna")], now=NOW)
        table = f"{storage._settings.prefix}executions"
        await other.rows(f"START TRANSACTION; SELECT 1 FROM {table} FOR UPDATE")
        for kill, match in (("KILL QUERY", "interrupted"), ("KILL", "nothing was written")):
            applying = asyncio.ensure_future(storage.apply(items=[FINISH], now=NOW))
            await kill_who_waits(admin, storage._settings.prefix, kill, applying)
            with pytest.raises(TemporaryError, match=match):
                await applying
        await other.rows("ROLLBACK")
        (answer,) = await storage.apply(items=[FINISH], now=NOW)
        assert answer.outcome.value == "applied"


async def test_deadlocks_are_repeated(server: str) -> None:
    """The server ends the one who has written less; the storage sends its call again."""
    async with storage_in(server) as storage, line(server) as other, line(server) as admin:
        await storage.insert(items=[new(name) for name in "abcdefgh"], now=NOW)
        table = f"{storage._settings.prefix}executions"
        await other.rows(f"START TRANSACTION; UPDATE {table} SET attempt = 7 WHERE id >= 'b'")
        cancelling = asyncio.ensure_future(storage.cancel(ids=["a", "b"], request="r", now=NOW))
        await somebody_waits(admin, storage._settings.prefix)
        await other.rows(f"UPDATE {table} SET attempt = 7 WHERE id = 'a'; COMMIT")
        answers = await cancelling
        assert [answer.outcome.value for answer in answers] == ["ended", "ended"]
        assert [answer.head.attempt for answer in answers if answer.head] == [7, 7]


async def test_a_restart_of_the_server(server: str) -> None:
    """Connections of the pool are dead, and are replaced without anybody noticing."""
    async with storage_in(server) as storage:
        await storage.insert(items=[new("a", owner="anna")], now=NOW)
        await asyncio.gather(*[storage.get(ids=["a"]) for _ in range(5)])
        await restart_server(server)
        (answer,) = await storage.apply(items=[FINISH], now=NOW)
        assert answer.outcome.value == "applied"


async def test_a_restart_while_a_write_waits(server: str) -> None:
    """It waits for a lock, so its commit is not yet on the way: nothing was written."""
    async with storage_in(server) as storage, line(server) as admin:
        await storage.insert(items=[new("a", owner="anna")], now=NOW)
        async with line(server) as other:
            table = f"{storage._settings.prefix}executions"
            await other.rows(f"START TRANSACTION; SELECT 1 FROM {table} FOR UPDATE")
            applying = asyncio.ensure_future(storage.apply(items=[FINISH], now=NOW))
            await somebody_waits(admin, storage._settings.prefix)
            await restart_server(server)
        with pytest.raises(TemporaryError, match="nothing was written"):
            await applying
        (answer,) = await storage.apply(items=[FINISH], now=NOW)
        assert answer.outcome.value == "applied"


@pytest.mark.parametrize("driver", ["aiomysql", "asyncmy"])
async def test_the_server_hangs_up_on_the_idle(server: str, driver: str) -> None:
    """Found out before the connection is used again."""
    url = server_url(server).set(drivername=f"mysql+{driver}")
    async with storage_in(server, url, pool_size=1) as storage, line(server) as admin:
        for wait in range(2):
            mine = await storage._database.read(lambda s: s.rows("SELECT CONNECTION_ID()"))
            await admin.rows(f"KILL {mine[0][0]}")
            await gone(admin, mine[0][0])
            await storage.insert(items=[new(f"{wait}")], now=NOW)
        assert (await storage.count(query=Query()))["*"] == 2


async def test_everything_is_cut_at_once(server: str) -> None:
    """All connections of the pool break; new ones are made."""
    prefix = fresh_prefix("cut")
    async with through_proxy(server, prefix) as storage:
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
    await drop_tables(server, prefix)


async def test_the_servers_limit_for_packets(server: str) -> None:
    """It bounds what a call may carry, and the largest call that is allowed is carried out."""
    async with (
        setting(server, "max_allowed_packet", str(4 * 1024 * 1024)),
        storage_in(server) as storage,
    ):
        largest = storage.capabilities.max_payload
        assert largest == 7 * 256 * 1024
        assert storage.capabilities.max_batch_bytes == largest
        half = bytes(range(256)) * (largest // 512)
        items = [new("a", owner="anna", input=half), new("b", state=half)]
        await storage.insert(items=items, now=NOW)
        item = Finish(id="a", token=Token("anna", 1), phase=Phase.COMPLETED, output=half,
                          checkpoints={"c": half})  # fmt: skip
        (answer,) = await storage.apply(items=[item], now=NOW)
        assert answer.outcome.value == "applied"
        (record,) = await storage.get(ids=["a"])
        assert getattr(record, "output", None) == half
        with pytest.raises(TooLargeError, match="takes at most"):
            await storage.insert(items=[new("c", input=bytes(largest + 1))], now=NOW)


def _server_error(number: int, text: str = "said the server") -> list[Exception]:
    return [pymysql.err.OperationalError(number, text), _asyncmy.OperationalError(number, text)]


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (1021, DiskFullError),
        (1114, DiskFullError),
        (1034, CorruptError),
        (1194, CorruptError),
        (1366, InvalidArgumentError),
        (1153, TooLargeError),
        (1053, OutcomeUnknownError),
        (1927, OutcomeUnknownError),
        (2013, OutcomeUnknownError),
        (2006, OutcomeUnknownError),
        (1665, PermanentError),
        (9999, PermanentError),
    ],
)
def test_errors_that_are_hard_to_cause(number: int, kind: type[StorageError]) -> None:
    """While a write is on its way; none of them is said to have written nothing if it may have."""
    for error in _server_error(number):
        raised = translate(error, "place", write=True, doubt=True, written=False)
        assert isinstance(raised, kind), raised
        after = translate(error, "place", write=True, doubt=False, written=True)
        assert isinstance(after, OutcomeUnknownError), "a part of the call was committed"
        read = translate(error, "place", write=False, doubt=False, written=False)
        assert not isinstance(read, OutcomeUnknownError)


def test_a_full_disk_has_many_numbers() -> None:
    error = pymysql.err.InternalError(1030, 'Got error 28 "No space left on device"')
    assert isinstance(
        translate(error, "place", write=True, doubt=True, written=False), DiskFullError
    )
    strange = RuntimeError("strange")
    assert isinstance(
        translate(strange, "place", write=True, doubt=False, written=False), OutcomeUnknownError
    )
