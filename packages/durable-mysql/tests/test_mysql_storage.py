"""Options, the caller's engine, names, both drivers, and the tables for Alembic."""

# ruff: noqa: S608 - the names of tables are made here

import asyncio
import struct
import threading
from typing import Any

import pytest
from mysql_hooks import (
    drop_tables,
    engine_url,
    fresh_prefix,
    line,
    restart_server,
    server_url,
    setting,
    storage_in,
)
from sqlalchemy import MetaData, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from durable_core.storage import (
    Beat,
    ClosedError,
    Finish,
    InvalidArgumentError,
    Keep,
    NewExecution,
    Phase,
    Query,
    Storage,
    Token,
    Wake,
)
from durable_mysql import MySQLStorage, claiming, records, tables
from durable_mysql.notifying import Notifier

NOW = 2_000_000_000_000_000
TTL = 15_000_000
WEEK = 7 * 86_400 * 1_000_000


def new(id_: str, **values: Any) -> NewExecution:
    return NewExecution(id=id_, **{"task": "work", **values})


async def everything(storage: Storage) -> None:
    """Make each call once, and see that it did what it says."""
    wake = Wake(task="work", wake_key="k", request="r", payload=b"p", keep_until=NOW * 2)
    await storage.insert(items=[new("a", owner="anna", input=bytes(range(256)))], now=NOW)
    await storage.insert(items=[new("a"), new("b", key="k"), new("c", key="k")], now=NOW)
    (record,) = await storage.get(ids=["a"])
    assert getattr(record, "input", None) == bytes(range(256))
    assert record is not None
    child = new("a.0", task="kid", parent_id="a", root_id="a")
    token = Token("anna", 1)
    keep = Keep(id="a", token=token, children=[child], checkpoints={"ü": b"\0"})
    await storage.apply(items=[keep], now=NOW)
    await storage.wake(items=[wake], now=NOW)
    sleeper = new("s", phase=Phase.SLEEPING, wake_key="k", due=None)
    (born,) = await storage.insert(items=[sleeper], now=NOW)
    assert born.record.output == b"p"
    await storage.cancel(ids=["b"], request="r", now=NOW)
    claimed = await storage.claim(
        executor="bela", tasks=["kid"], queues=["default"], limit=9, now=NOW
    )
    assert [row.id for row in claimed.records] == ["a.0"]
    done = Finish(id="a.0", token=Token("bela", 1), parent_id="a", phase=Phase.COMPLETED)
    (answer,) = await storage.apply(items=[done], now=NOW)
    assert answer.outcome.value == "applied"
    (parent,) = await storage.get(ids=["a"], payload=False)
    assert parent is not None
    assert parent.pending == 0
    points = await storage.checkpoints(execution_id="a", limit=9)
    assert [(point.name, point.value) for point in points.items] == [("ü", b"\0")]
    assert (await storage.heartbeat(executor="anna", ttl=TTL, now=NOW, register=True)).alive
    reaped = await storage.reap(now=NOW + 2 * TTL, limit=9)
    assert (reaped.leases, reaped.rows) == (1, 1)
    assert len((await storage.find(query=Query(), limit=9)).items) == 4
    assert (await storage.count(query=Query()))["*"] == 4
    assert await storage.purge(finished_before=NOW + 1, now=NOW, limit=9) == 2
    assert abs(await storage.clock() - NOW) < NOW


@pytest.mark.parametrize(
    "options", [{"prefix": "1st"}, {"prefix": "a`b"}, {"prefix": "x" * 41}, {"database": "a`b"}]
)
def test_names_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match="ASCII letters"):
        MySQLStorage.from_url("mysql://h/d", **options)


@pytest.mark.parametrize("option", ["command_timeout", "poll_interval"])
@pytest.mark.parametrize("seconds", [0, -1, 1e9, float("nan")])
def test_times_that_cannot_be(option: str, seconds: float) -> None:
    values: dict[str, Any] = {option: seconds}
    with pytest.raises(InvalidArgumentError, match=option):
        MySQLStorage.from_url("mysql://h/d", **values)


@pytest.mark.parametrize(
    "url", ["postgresql://localhost/a", "no url at all", "mysql+mysqldb://h/d", "mysql://h"]
)
def test_urls_that_cannot_be(url: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"mysql://user|name one in the URL"):
        MySQLStorage.from_url(url)


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("mysql://h/d", "aiomysql"),
        ("mariadb://h/d", "aiomysql"),
        ("mariadb+aiomysql://h/d", "aiomysql"),
        ("mysql+asyncmy://h/d", "asyncmy"),
        ("mariadb+asyncmy://h/d", "asyncmy"),
    ],
)
def test_drivers_by_url(url: str, driver: str) -> None:
    assert MySQLStorage.from_url(url)._engine.dialect.driver == driver


def test_a_password_is_not_told() -> None:
    storage = MySQLStorage.from_url("mysql://anna:secret@localhost/x")
    assert "secret" not in storage._database.place


def test_an_engine_of_another_kind() -> None:
    for engine in (create_async_engine("sqlite+aiosqlite://"), None, "mysql://h/d"):
        other: Any = engine
        with pytest.raises(InvalidArgumentError, match="AsyncEngine of aiomysql or asyncmy"):
            MySQLStorage(other)


@pytest.mark.parametrize("driver", ["aiomysql", "asyncmy"])
async def test_every_call(server: str, driver: str) -> None:
    async with storage_in(server, server_url(server).set(drivername=f"mysql+{driver}")) as storage:
        await everything(storage)


@pytest.mark.parametrize("driver", ["aiomysql", "asyncmy"])
@pytest.mark.parametrize("level", ["REPEATABLE READ", "AUTOCOMMIT", "SERIALIZABLE"])
async def test_the_callers_engine(server: str, driver: str, level: str) -> None:
    """Used at whatever level it has, given back as it was, and not closed."""
    url = server_url(server).set(drivername=f"mysql+{driver}")
    engine = create_async_engine(url, isolation_level=level, pool_size=1, max_overflow=0)
    prefix = fresh_prefix("own")
    async with engine.connect() as one:
        text = "SELECT @@autocommit, @@innodb_lock_wait_timeout"
        before = (await one.exec_driver_sql(text)).all()
    storage = MySQLStorage(engine, prefix=prefix)
    await storage.setup()
    await everything(storage)
    await storage.close()
    with pytest.raises(ClosedError):
        await storage.get(ids=["a"])
    async with engine.connect() as one:
        assert (await one.exec_driver_sql(text)).all() == before
        rows = await one.exec_driver_sql(f"SELECT id FROM {prefix}executions ORDER BY id")
        assert [row[0] for row in rows] == ["a", "a.0"]
    await engine.dispose()
    await drop_tables(server, prefix)


def forbid_packets(engine: AsyncEngine) -> None:
    """Let connections refuse packets of several statements, as a proxy does."""

    async def forbid(connection: Any) -> None:
        await connection._execute_command(0x1B, struct.pack("<H", 1))
        await connection._read_packet()

    def connected(adapted: Any, _record: object) -> None:
        adapted.run_async(forbid)

    event.listen(engine.sync_engine, "connect", connected)


async def test_packets_of_several_statements_are_refused(server: str) -> None:
    """Found out by setup; then each statement has a round trip."""
    prefix = fresh_prefix("single")
    storage = MySQLStorage.from_url(server_url(server), prefix=prefix)
    forbid_packets(storage._engine)
    await storage.setup()
    assert storage._database.server is not None
    assert not storage._database.server.multi
    await everything(storage)
    statistics = storage.statistics()
    assert statistics.round_trips == statistics.statements
    await storage.close()
    await drop_tables(server, prefix)


async def test_another_database(server: str) -> None:
    """Tables are named with their database: the connection's own does not matter."""
    async with line(server) as one:
        await one.rows("CREATE DATABASE IF NOT EXISTS other_one")
        storage = MySQLStorage.from_url(server_url(server), database="other_one", prefix="x_")
        await storage.setup()
        await everything(storage)
        await storage.close()
        assert await one.value("SELECT COUNT(*) FROM other_one.x_executions") == 2
        await one.rows("DROP DATABASE other_one")


async def test_what_the_server_says_of_durability(server: str) -> None:
    async with storage_in(server) as storage:
        assert storage.capabilities.durable
        assert "innodb_flush_log_at_trx_commit=1" in storage.capabilities.durability
    async with setting(server, "innodb_flush_log_at_trx_commit", "2"), storage_in(server) as hasty:
        assert not hasty.capabilities.durable
        assert "innodb_flush_log_at_trx_commit=2" in hasty.capabilities.durability


async def test_the_binary_log_counts() -> None:
    """A commit that is not in the binary log is undone by the recovery after a power failure."""
    async with setting("mysql", "sync_binlog", "0"), storage_in("mysql") as storage:
        assert not storage.capabilities.durable
        assert "sync_binlog=0" in storage.capabilities.durability


_SHAPE = """
SELECT SUBSTRING(table_name, {skip}) AS t, ordinal_position, column_name, column_type, is_nullable,
    column_default, character_set_name, collation_name, extra
FROM information_schema.columns WHERE table_schema = DATABASE() AND LEFT(table_name, {size}) =
'{prefix}' ORDER BY t, ordinal_position
"""
_INDEXES = """
SELECT SUBSTRING(table_name, {skip}) AS t, index_name, seq_in_index, column_name, non_unique,
    collation, sub_part
FROM information_schema.statistics WHERE table_schema = DATABASE() AND LEFT(table_name, {size}) =
'{prefix}' ORDER BY t, index_name, seq_in_index
"""


async def test_the_tables_for_alembic(server: str) -> None:
    """What SQLAlchemy creates from the metadata is what the migrations create."""
    prefix = fresh_prefix("alembic")
    async with storage_in(server) as storage, line(server) as one:
        engine = create_async_engine(engine_url(server))
        metadata = MetaData()
        made = tables(metadata, prefix=prefix)
        async with engine.begin() as connection:
            await connection.run_sync(metadata.create_all)
        await engine.dispose()
        assert len(made) == 7
        found: list[object] = []
        for name in (storage._settings.prefix, prefix):
            values = {"prefix": name, "size": len(name), "skip": len(name) + 1}
            shape = await one.rows(_SHAPE.format(**values))
            indexes = await one.rows(_INDEXES.format(**values))
            assert len(shape) > 60
            found.append((shape, indexes))
        assert found[0] == found[1]
    await drop_tables(server, prefix)


@pytest.mark.parametrize("driver", ["aiomysql", "asyncmy"])
async def test_a_heartbeat_beside_a_blocked_loop(server: str, driver: str) -> None:
    """The thread's connection is its own, outlives a restart, and may change its thread."""
    async with storage_in(server, server_url(server).set(drivername=f"mysql+{driver}")) as storage:
        await storage.heartbeat(executor="anna", ttl=TTL, now=NOW, register=True)
        pulse = storage.pulse()
        beats: list[Beat] = []

        def beat() -> None:
            beats.append(pulse.beat(executor="anna", ttl=TTL, now=NOW + 1))

        for _ in range(2):
            thread = threading.Thread(target=beat)
            thread.start()
            thread.join()  # the loop stands still meanwhile
        await restart_server(server)
        await asyncio.to_thread(beat)
        await asyncio.to_thread(pulse.close)
        await asyncio.to_thread(pulse.close)
        assert [one.alive for one in beats] == [True] * 3
        (lease,) = (await storage.leases(limit=9)).items
        assert lease.expires_at == NOW + 1 + TTL
        with pytest.raises(ClosedError):
            pulse.beat(executor="anna", ttl=TTL, now=NOW)


@pytest.mark.parametrize("task", ["work", "$wake"])
async def test_a_clock_that_is_ahead(server: str, task: str) -> None:
    """A row that was due for its writer, but is not for the claimer, is told as the next one."""
    async with storage_in(server) as storage:
        await storage.insert(items=[new("a", task=task, due=NOW + 500)], now=NOW + 500)
        for now, ids in ((NOW, []), (NOW + 500, ["a"])):
            claimed = await storage.claim(
                executor="anna", tasks=["work"], queues=["default"], limit=9, now=now
            )
            assert [row.id for row in claimed.records] == ids
            assert claimed.next_due == (None if ids else NOW + 500)


async def test_scheduled_rows_keep_their_order(server: str) -> None:
    """Those that a claim leaves behind wait for the next one among the ready, by priority."""
    async with storage_in(server) as storage:
        items = [new(f"{n:02}", priority=n % 5, due=NOW + n) for n in range(20)]
        await storage.insert(items=items, now=NOW - WEEK)
        ids: list[str] = []
        for _ in range(7):
            claimed = await storage.claim(
                executor="anna", tasks=["work"], queues=["default"], limit=3, now=NOW + 100
            )
            ids += [row.id for row in claimed.records]
        assert ids == [f"{n:02}" for n in sorted(range(20), key=lambda n: (-(n % 5), n))]


async def test_names_that_meet_in_one_number(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim compares the names, too: it takes nothing of a task that it does not know."""
    for module in (claiming, records):
        monkeypatch.setattr(module, "slot_of", lambda _queue, _task: 2)
    async with storage_in(server) as storage:
        await storage.insert(
            items=[new("a"), new("b", task="other"), new("c", queue="q", due=NOW + 9)], now=NOW
        )
        claimed = await storage.claim(
            executor="anna", tasks=["work"], queues=["default"], limit=9, now=NOW
        )
        assert [row.id for row in claimed.records] == ["a"]
        assert (claimed.exhausted, claimed.next_due) == (True, None)


async def test_names_are_compared_byte_by_byte(server: str) -> None:
    """Neither case, nor accents, nor blanks at the end, nor 4-byte characters are lost."""
    names = ["a", "A", "ä", "a ", "a\t", "😀", "😁", "'", "\\", "`", "%s", "ｶﾞ", "ガ", "x" * 191]
    async with storage_in(server) as storage:
        items = [
            new(f"{n}", task=name, queue=name, key=name, group=name, tags=frozenset({name[:64]}))
            for n, name in enumerate(names)
        ]
        answers = await storage.insert(items=items, now=NOW)
        assert {answer.outcome.value for answer in answers} == {"created"}
        again = [new(f"again{n}", task=name, key=name) for n, name in enumerate(names)]
        answers = await storage.insert(items=again, now=NOW)
        assert [answer.record.id for answer in answers] == [f"{n}" for n in range(len(names))]
        for n, name in enumerate(names):
            for query in (Query(queue=name), Query(group=name), Query(tasks=frozenset({name}))):
                assert (await storage.count(query=query))["*"] == 1, (name, query)
            claimed = await storage.claim(
                executor="anna", tasks=[name], queues=[name], limit=9, now=NOW
            )
            assert [(row.id, row.task, row.key, row.tags) for row in claimed.records] == [
                (f"{n}", name, name, frozenset({name[:64]}))
            ]


async def test_round_trips(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many for a thousand rows as for one; one to insert, two to claim, two to finish."""
    # Hints are sent in their own time.
    monkeypatch.setattr(Notifier, "send", lambda _self, _told: None)
    async with storage_in(server) as storage:

        async def costs(call: Any) -> int:
            before = storage.statistics().round_trips
            await call
            return storage.statistics().round_trips - before

        for size in (1, 1_000):
            items = [new(f"{size}-{n}") for n in range(size)]
            ids = [item.id for item in items]
            wakes = [Wake(task="work", wake_key=f"{n}", request=f"{n}") for n in range(size)]
            done = [
                Finish(id=id_, token=Token("anna", 1), phase=Phase.COMPLETED, output=b"o")
                for id_ in ids
            ]
            held = {"executor": "anna", "tasks": ["work"], "queues": ["default"], "now": NOW}
            claim: Any = storage.claim(limit=size, **held)
            assert await costs(storage.insert(items=items, now=NOW)) == 1
            assert await costs(claim) == 2
            assert await costs(storage.apply(items=done, now=NOW)) == 2
            assert await costs(storage.get(ids=ids)) == 1
            assert await costs(storage.cancel(ids=ids, request="r", now=NOW)) == 3
            assert await costs(storage.wake(items=wakes, now=NOW)) == 3
            beat = storage.heartbeat(executor="anna", ttl=TTL, now=NOW, register=True)
            assert await costs(beat) == 1
            assert await costs(storage.reap(now=NOW, limit=9)) == 1
