"""Creating, migrating, inspecting."""

import asyncio
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from lite import NOW, names, new, opened

from durable_core.storage import (
    ProtocolMismatchError,
    SchemaMissingError,
    SchemaTooNewError,
)
from durable_sqlite import SQLiteStorage
from durable_sqlite.migrations import LATEST, MIGRATIONS
from durable_sqlite.schema import INDEXES, TABLES


def _objects(connection: sqlite3.Connection) -> dict[str, str]:
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {name: " ".join(sql.split()) for name, sql in rows}


def _content(path: Path) -> bytes:
    return path.read_bytes()


def test_the_schema_is_the_sum_of_the_migrations() -> None:
    with closing(sqlite3.connect(":memory:")) as now, closing(sqlite3.connect(":memory:")) as then:
        for text in (*TABLES, *INDEXES):
            now.execute(text.replace("~", "p_"))
        for migration in MIGRATIONS:
            for text in migration.statements:
                then.execute(text.replace("~", "p_"))
        assert _objects(now) == _objects(then)


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [step.number for step in MIGRATIONS] == list(range(1, LATEST + 1))
    assert all(step.name.startswith(f"{step.number:04}_") for step in MIGRATIONS)


async def test_setup_creates_and_then_finds_it_done(tmp_path: Path) -> None:
    storage = SQLiteStorage(tmp_path / "x.db")
    first, second = await storage.setup(), await storage.setup()
    assert (first.version, list(first.applied)) == (LATEST, [step.name for step in MIGRATIONS])
    assert (second.version, list(second.applied), list(second.missing)) == (LATEST, [], [])
    await storage.close()


async def test_looking_writes_nothing_and_names_what_is_missing(tmp_path: Path) -> None:
    storage = SQLiteStorage(tmp_path / "x.db", prefix="p_")
    report = await storage.setup(migrate=False)
    assert report.version == 0
    assert f"the file {tmp_path / 'x.db'}" in report.missing
    assert {"table p_executions", "table p_schema", "index p_ready"} <= {*report.missing}
    assert not names(tmp_path)
    with pytest.raises(SchemaMissingError, match=r"x\.db does not exist: run setup"):
        await storage.insert(items=[new("a")], now=NOW)
    await storage.close()


async def test_looking_at_a_file_of_somebody_else_leaves_it_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    before = _content(path)
    storage = SQLiteStorage(path)
    report = await storage.setup(migrate=False)
    assert {"journal mode WAL", "migration 0001_initial", "table durable_executions"} <= {
        *report.missing
    }
    for call in (storage.insert(items=[new("a")], now=NOW), storage.get(ids=["a"])):
        with pytest.raises(SchemaMissingError, match="run setup"):
            await call
    await storage.close()
    assert _content(path) == before
    assert names(tmp_path) == ["x.db"]


async def test_what_somebody_dropped_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path):
        pass
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP INDEX durable_ready")
        connection.execute("DROP INDEX durable_created")
        connection.execute("ALTER TABLE durable_executions DROP COLUMN output")
        connection.execute("DROP TABLE durable_hints")
    storage = SQLiteStorage(path)
    missing = {
        "index durable_ready", "index durable_created", "column durable_executions.output",
        "table durable_hints",
    }  # fmt: skip
    assert {*(await storage.setup(migrate=False)).missing} == missing
    with pytest.raises(SchemaMissingError, match=r"index durable_ready.*Restore it"):
        await storage.setup()
    await storage.close()


@pytest.mark.parametrize("migrate", [True, False])
async def test_a_newer_schema_is_refused_with_both_numbers(
    tmp_path: Path, *, migrate: bool
) -> None:
    path = tmp_path / "x.db"
    async with opened(path):
        pass
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO durable_schema VALUES (?, 'later', 1)", (LATEST + 6,))
    storage = SQLiteStorage(path)
    with pytest.raises(SchemaTooNewError, match=rf"{LATEST + 6}.*{LATEST}: upgrade durable-sqlite"):
        await storage.setup(migrate=migrate)
    await storage.close()


async def test_a_newer_protocol_is_refused_with_both_numbers(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path):
        pass
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE durable_schema SET protocol = 77")
    storage = SQLiteStorage(path)
    with pytest.raises(ProtocolMismatchError, match=r"77.*1: upgrade durable-sqlite"):
        await storage.setup()
    await storage.close()


async def test_a_failed_migration_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = (*TABLES, "CREATE TABLE ~executions (again)")
    monkeypatch.setattr("durable_sqlite.setting_up._RECORD", broken[-1])
    storage = SQLiteStorage(tmp_path / "x.db")
    with pytest.raises(Exception, match="already exists"):
        await storage.setup()
    monkeypatch.undo()
    assert len((await storage.setup()).applied) == len(MIGRATIONS)
    await storage.close()


async def test_setups_of_several_processes_are_one(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    program = (
        "import asyncio, sys\n"
        "from durable_sqlite import SQLiteStorage\n"
        "async def main():\n"
        f"    storage = SQLiteStorage({str(path)!r})\n"
        "    sys.stdin.readline()\n"
        "    print(len((await storage.setup()).applied))\n"
        "    await storage.heartbeat(executor='anna', ttl=1, now=1, register=True)\n"
        "    await storage.close()\n"
        "asyncio.run(main())\n"
    )
    starters = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", program,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(4)
    ]  # fmt: skip
    ended = await asyncio.gather(*(starter.communicate(b"\n") for starter in starters))
    assert sorted(output for output, _ in ended) == [b"0\n"] * 3 + [b"%d\n" % len(MIGRATIONS)]
