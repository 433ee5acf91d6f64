"""Paths, URLs, engines, options, capabilities, closing."""

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lite import NOW, names, new, opened
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

from durable_core.storage import (
    Bind,
    ClosedError,
    InvalidArgumentError,
    Leases,
    Listen,
    Pulse,
    Storage,
)
from durable_sqlite import SQLiteStorage


@pytest.mark.parametrize(
    "prefix",
    ["", "1a", "a-b", "a b", 'a"', "a;DROP TABLE x", "sqlite_x", "SQLite_", "é", "a\n", "x" * 64],
)
def test_a_prefix_that_is_no_plain_word_is_refused(prefix: str) -> None:
    with pytest.raises(InvalidArgumentError, match="prefix"):
        SQLiteStorage(":memory:", prefix=prefix)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"synchronous": "full"}, "synchronous='full'.*FULL"),
        ({"busy_timeout": -1}, "busy_timeout=-1"),
        ({"poll_interval": 0}, "poll_interval=0"),
    ],
)
def test_a_bad_option_is_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidArgumentError, match=named):
        SQLiteStorage(":memory:", **options)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////folder/x.db", "/folder/x.db"),
        ("sqlite+pysqlite:////folder/x.db", "/folder/x.db"),
        ("sqlite+aiosqlite:////folder/x y.db", "/folder/x y.db"),
        ("sqlite:///x.db", str(Path.cwd() / "x.db")),
        ("sqlite://", None),
        ("sqlite:///:memory:", None),
    ],
)
def test_from_url(url: str, path: str | None) -> None:
    assert SQLiteStorage.from_url(url).path == path


@pytest.mark.parametrize(
    "url",
    [
        "x.db",
        "postgresql://h/x",
        "sqlite://host/x.db",
        "sqlite:///x.db?mode=ro",
        "sqlite:///file:x",
    ],
)
def test_a_url_that_is_not_understood_is_refused(url: str) -> None:
    with pytest.raises(InvalidArgumentError):
        SQLiteStorage.from_url(url)


async def test_from_engine_uses_the_url_and_leaves_the_engine_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    engine = create_engine(f"sqlite:///{path}")
    storage = SQLiteStorage.from_engine(engine, prefix="mine_", synchronous="NORMAL")
    await storage.setup()
    await storage.insert(items=[new("a")], now=NOW)
    assert "Connections in pool: 0" in engine.pool.status()
    await storage.close()
    with engine.connect() as connection:
        assert connection.execute(text("SELECT id FROM mine_executions")).scalar() == "a"
    engine.dispose()


async def test_from_async_engine(tmp_path: Path) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'x.db'}")
    assert SQLiteStorage.from_engine(engine).path == str(tmp_path / "x.db")
    await engine.dispose()


@pytest.mark.parametrize(
    ("engine", "reason"),
    [
        (object(), "no engine"),
        ("sqlite:///x.db", "no engine"),
        (create_engine("sqlite://"), "in memory"),
        (create_engine("sqlite:///:memory:"), "in memory"),
        (create_engine("sqlite:///file:x.db?uri=true"), "plain path"),
    ],
)
def test_an_engine_that_cannot_be_shared_is_refused(engine: object, reason: str) -> None:
    with pytest.raises(InvalidArgumentError, match=reason):
        SQLiteStorage.from_engine(engine)


def test_sqlalchemy_is_not_imported_unasked(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys, durable_sqlite\n"
        f"storage = durable_sqlite.SQLiteStorage({str(tmp_path / 'x.db')!r})\n"
        "asyncio.run(storage.setup())\n"
        "asyncio.run(storage.close())\n"
        "found = {'sqlalchemy', 'aiosqlite'} & set(sys.modules)\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


async def test_capabilities_of_a_file(tmp_path: Path) -> None:
    async with opened(tmp_path / "x.db") as storage:
        able = storage.capabilities
    assert all((able.push, able.bind, able.bind_checkpoint, able.pulse, able.leases))
    assert all((able.shared, able.durable, able.resolution_us == 1))
    assert able.durability == (
        f"SQLite {sqlite3.sqlite_version}, journal_mode=wal, synchronous=FULL"
    )


async def test_capabilities_in_memory_and_without_syncs(tmp_path: Path) -> None:
    async with opened(":memory:") as storage:
        able = storage.capabilities
        assert not any((able.shared, able.durable, able.bind, able.bind_checkpoint))
        assert all((able.push, able.pulse, "in memory" in able.durability))
        assert storage.path is None
    async with opened(tmp_path / "x.db", synchronous="OFF") as storage:
        assert not storage.capabilities.durable
        assert "synchronous=OFF" in storage.capabilities.durability
    async with opened(tmp_path / "x.db", synchronous="NORMAL") as storage:
        assert storage.capabilities.durable


def test_it_is_what_it_declares() -> None:
    storage = SQLiteStorage(":memory:")
    for protocol in (Storage, Listen, Leases, Bind, Pulse):
        assert isinstance(storage, protocol)


@pytest.mark.parametrize("synchronous", ["OFF", "NORMAL", "FULL", "EXTRA"])
async def test_the_writer_syncs_as_asked(tmp_path: Path, synchronous: Any) -> None:
    async with opened(tmp_path / "x.db", synchronous=synchronous) as storage:
        writer = storage._threads.writer
        row = writer.session().connection.execute("PRAGMA synchronous").fetchone()
    assert row == (["OFF", "NORMAL", "FULL", "EXTRA"].index(synchronous),)


async def test_two_prefixes_are_two_namespaces(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path, prefix="one") as one, opened(path, prefix="two") as two:
        await one.insert(items=[new("a", key="k")], now=NOW)
        await one.heartbeat(executor="anna", ttl=10, now=NOW, register=True)
        assert await two.get(ids=["a"]) == [None]
        assert not (await two.leases(limit=9)).items
        (answer,) = await two.insert(items=[new("a", key="k")], now=NOW)
        assert answer.outcome == "created"


async def test_a_link_and_its_target_share_leases(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "folder" / "x.db")
    async with opened(tmp_path / "folder" / "x.db") as one, opened(tmp_path / "link.db") as two:
        await one.heartbeat(executor="anna", ttl=10, now=NOW, register=True)
        assert (await two.heartbeat(executor="anna", ttl=10, now=NOW)).alive


async def test_close_is_idempotent_and_setup_opens_again(tmp_path: Path) -> None:
    storage = SQLiteStorage(tmp_path / "x.db")
    await storage.setup()
    await storage.insert(items=[new("a")], now=NOW)
    await storage.close()
    await storage.close()
    for call in (storage.get(ids=["a"]), storage.insert(items=[new("b")], now=NOW)):
        with pytest.raises(ClosedError, match=r"x\.db is closed"):
            await call
    with pytest.raises(ClosedError):
        storage.listen(queues=["default"])
    assert names(tmp_path) == ["x.db"]
    await storage.setup()
    assert await storage.get(ids=["a", "b"], payload=False) != [None, None]
    await storage.close()


async def test_statistics_count_statements_and_commits(tmp_path: Path) -> None:
    async with opened(tmp_path / "x.db") as storage:
        before = storage.statistics()
        await storage.insert(items=[new(f"a{n}") for n in range(64)], now=NOW)
        inserted = storage.statistics()
        # One insert of 64 rows, one hint.
        assert inserted.table_statements - before.table_statements == 2
        assert inserted.statements - before.statements == 4
        assert inserted.commits - before.commits == 1
        await storage.get(ids=["a1"])
        read = storage.statistics()
        assert read.table_statements - inserted.table_statements == 1
        assert read.commits == inserted.commits
