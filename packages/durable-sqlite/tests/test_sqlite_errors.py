"""Bad files and full disks: each a clear error, nothing lost."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from lite import ANNA, NOW, finish, held, new, opened

from durable_core.storage import (
    CorruptError,
    DiskFullError,
    InvalidArgumentError,
    OutcomeUnknownError,
    PermanentError,
    Query,
    ReadOnlyError,
    SchemaMissingError,
    StorageError,
    TemporaryError,
    TooLargeError,
)
from durable_sqlite import SQLiteStorage
from durable_sqlite.errors import translate
from durable_sqlite.session import Session

_NOBODY = 65534


def _driver_error(code: int, text: str = "x") -> sqlite3.Error:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_BUSY, TemporaryError),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, TemporaryError),
        (sqlite3.SQLITE_LOCKED, TemporaryError),
        (sqlite3.SQLITE_FULL, DiskFullError),
        (sqlite3.SQLITE_READONLY, ReadOnlyError),
        (sqlite3.SQLITE_READONLY_DBMOVED, PermanentError),
        (sqlite3.SQLITE_CORRUPT, CorruptError),
        (sqlite3.SQLITE_NOTADB, CorruptError),
        (sqlite3.SQLITE_TOOBIG, TooLargeError),
        (sqlite3.SQLITE_IOERR_WRITE, TemporaryError),
        (sqlite3.SQLITE_CONSTRAINT_NOTNULL, InvalidArgumentError),
        (sqlite3.SQLITE_CANTOPEN, PermanentError),
    ],
)
def test_the_table(code: int, kind: type[StorageError]) -> None:
    told = translate(_driver_error(code), "x.db")
    assert type(told) is kind
    assert str(told).startswith("x.db: ")
    assert "(OperationalError: x)" in str(told)


def test_what_is_not_in_the_table_may_have_been_written() -> None:
    odd = _driver_error(sqlite3.SQLITE_ERROR)
    assert type(translate(odd, "x", write=True)) is OutcomeUnknownError
    assert type(translate(odd, "x")) is PermanentError
    assert type(translate(RuntimeError("?"), "x", write=True)) is OutcomeUnknownError


def test_a_commit_that_failed_on_the_disk_may_have_been_written() -> None:
    for code in (sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_WRITE):
        told = translate(_driver_error(code), "x", write=True, sent=True)
        assert type(told) is OutcomeUnknownError
    # These two are known: the commit's own mark was not written.
    for code, kind in (
        (sqlite3.SQLITE_FULL, DiskFullError),
        (sqlite3.SQLITE_BUSY, TemporaryError),
    ):
        assert type(translate(_driver_error(code), "x", write=True, sent=True)) is kind


def test_an_error_of_the_storage_stays_what_it_is() -> None:
    error = TooLargeError("mine")
    assert translate(error, "x", write=True) is error


async def test_a_full_database_loses_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path / "x.db") as storage:
        await storage.insert(items=[held("a"), held("b")], now=NOW)
        connection = storage._threads.writer.session().connection
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(DiskFullError, match="make room") as caught:
            await storage.insert(items=[new("c", input=bytes(100_000))], now=NOW)
        assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
        assert isinstance(caught.value, TemporaryError)
        # What needs no room goes on, and when there is room all does.
        assert (await storage.apply(items=[finish("a")], now=NOW))[0].outcome == "applied"
        connection.execute(f"PRAGMA max_page_count = {pages + 1_000}")
        (answer,) = await storage.insert(items=[new("c", input=bytes(100_000))], now=NOW)
        assert answer.outcome == "created"
        assert await storage.count(query=Query()) == {"*": 3}


def test_a_file_that_may_not_grow_is_a_full_disk(tmp_path: Path) -> None:
    run_program(
        f"""
        import resource
        import signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        async def main():
            storage = SQLiteStorage({str(tmp_path / "x.db")!r})
            await storage.setup()
            await storage.insert(items=[new("a")], now=1)
            resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
            failed = None
            try:
                for n in range(100):
                    await storage.insert(items=[new(f"b{{n}}", input=bytes(20_000))], now=1)
            except StorageError as error:
                failed = error
            assert isinstance(failed, (DiskFullError, OutcomeUnknownError, TemporaryError)), failed
            assert failed.__cause__ is not None
            stored = (await storage.count(query=Query()))["*"]
            assert n + 1 <= stored <= n + 2, (n, stored)
            await storage.close()
        """
    )


def run_program(body: str, *, restricted: bool = False) -> None:
    """Run a program with the names of the storage in a process of its own.

    Args:
        body: Defines `main`, a coroutine function.
        restricted: Run it as somebody whom permissions bind; they do not bind the administrator.
    """
    lines = body.splitlines()
    indent = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    program = "\n".join(
        (
            # What is imported later may be out of reach then.
            "import asyncio, concurrent.futures.thread, os, sqlite3",
            "from durable_core.storage import *",
            "from durable_sqlite import SQLiteStorage",
            "def new(id, **values): return NewExecution(id=id, task='work', **values)",
            *(line[indent:] for line in lines),
            f"if {restricted} and os.geteuid() == 0: os.setgid({_NOBODY}), os.setuid({_NOBODY})",
            "asyncio.run(main())",
        )
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, ended.stderr


def _forbid(folder: Path, file: Path | None = None) -> None:
    """Forbid to write the folder, and the file; let others reach them."""
    if file is not None:
        file.chmod(0o444)
    folder.chmod(0o555)
    for parent in folder.parents:
        if parent.name.startswith(("pytest", "popen")):
            parent.chmod(0o755)


async def test_a_read_only_file(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path) as storage:
        await storage.insert(items=[new("a")], now=NOW)
    _forbid(tmp_path, path)
    _check_read_only(path)


async def test_a_read_only_folder(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path) as storage:
        await storage.insert(items=[new("a")], now=NOW)
    _forbid(tmp_path)
    _check_read_only(path)


def _check_read_only(path: Path) -> None:
    run_program(
        f"""
        async def main():
            storage = SQLiteStorage({str(path)!r})
            for call in (
                storage.insert(items=[new("b")], now=1),
                storage.heartbeat(executor="anna", ttl=9, now=1, register=True),
                storage.setup(),
            ):
                try:
                    print(await call)
                except ReadOnlyError as error:
                    assert "make the file and its folder writable" in str(error), error
                    assert error.__cause__ is not None
                else:
                    raise AssertionError(call)
            await storage.close()
        """,
        restricted=True,
    )


async def test_a_new_file_in_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    _forbid(tmp_path)
    run_program(
        f"""
        async def main():
            storage = SQLiteStorage({str(tmp_path / "x.db")!r})
            try:
                await storage.setup()
            except ReadOnlyError as error:
                assert "make the file and its folder writable" in str(error), error
            else:
                raise AssertionError
            await storage.close()
        """,
        restricted=True,
    )


async def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    storage = SQLiteStorage(tmp_path / "none" / "x.db")
    with pytest.raises(PermanentError, match=r"the folder .*none does not exist, or .*: create it"):
        await storage.setup()
    await storage.close()


def test_a_folder_that_may_not_be_looked_into(tmp_path: Path) -> None:
    (tmp_path / "closed" / "folder").mkdir(parents=True)
    (tmp_path / "closed").chmod(0o000)
    _forbid(tmp_path)
    run_program(
        f"""
        async def main():
            storage = SQLiteStorage({str(tmp_path / "closed" / "folder" / "x.db")!r})
            for migrate in (True, False):
                try:
                    report = await storage.setup(migrate=migrate)
                except PermanentError as error:
                    assert migrate and "may not look into it" in str(error), error
                else:
                    assert not migrate and report.missing, report
            await storage.close()
        """,
        restricted=True,
    )


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    _write(path, b"these are notes, not a database\n" * 100)
    storage = SQLiteStorage(path)
    for call in (storage.setup(), storage.insert(items=[new("a")], now=NOW), storage.get(ids=[])):
        with pytest.raises(CorruptError, match=r"x\.db: .*no SQLite database.*restore"):
            await call
    await storage.close()
    assert path.read_bytes().startswith(b"these are notes")


async def test_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path) as storage:
        await storage.insert(items=[new(f"a{n}", input=bytes(500)) for n in range(200)], now=NOW)
    content = bytearray(path.read_bytes())
    # The first page says what tables there are; all others are overwritten.
    content[8192:] = b"\xff" * (len(content) - 8192)
    _write(path, bytes(content))
    storage = SQLiteStorage(path)
    for call in (
        storage.insert(items=[new(f"b{n}") for n in range(64)], now=NOW),
        storage.get(ids=["a1"]),
        storage.find(query=Query(), limit=9),
    ):
        with pytest.raises(CorruptError, match="damaged") as caught:
            await call
        assert isinstance(caught.value.__cause__, sqlite3.DatabaseError)
    await storage.close()


async def test_leases_that_are_damaged_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path) as storage:
        _write(tmp_path / "x.db-leases", b"no leases at all, but some text" * 100)
        with pytest.raises(CorruptError, match=r"x\.db-leases: "):
            await storage.heartbeat(executor=ANNA, ttl=9, now=NOW, register=True)


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


async def test_a_table_that_is_dropped_under_way(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path) as storage:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("DROP TABLE durable_executions")
        for call in (storage.insert(items=[new("a")], now=NOW), storage.get(ids=["a"])):
            with pytest.raises(SchemaMissingError, match=r"run setup\(\) with migrate=True"):
                await call


async def test_values_that_fit_no_column(tmp_path: Path) -> None:
    async with opened(tmp_path / "x.db") as storage:
        text: Any = "text"
        for call in (
            storage.insert(items=[new("a")], now=2**63),
            storage.insert(items=[new("a", input=text)], now=NOW),
            storage.heartbeat(executor=ANNA, ttl=2**62, now=2**62, register=True),
            storage.purge(finished_before=2**64, now=NOW, limit=1),
        ):
            with pytest.raises(InvalidArgumentError):
                await call
        assert await storage.count(query=Query()) == {"*": 0}


@pytest.mark.parametrize(
    ("code", "kind"),
    [(sqlite3.SQLITE_IOERR_FSYNC, OutcomeUnknownError), (sqlite3.SQLITE_FULL, DiskFullError)],
)
async def test_a_commit_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[StorageError]
) -> None:
    original = Session.control

    def control(self: Session, text: str) -> Any:
        if text == "COMMIT":
            raise _driver_error(code)
        return original(self, text)

    async with opened(tmp_path / "x.db") as storage:
        with monkeypatch.context() as patch:
            patch.setattr(Session, "control", control)
            with pytest.raises(kind) as caught:
                await storage.insert(items=[new("a")], now=NOW)
            assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
        assert await storage.get(ids=["a"]) == [None]
        assert (await storage.insert(items=[new("a")], now=NOW))[0].outcome == "created"


async def test_only_the_call_that_fails_is_told(tmp_path: Path) -> None:
    async with opened(tmp_path / "x.db") as storage:
        with pytest.raises(InvalidArgumentError):
            await storage.insert(items=[new("a"), new("b", input="text")], now=NOW)
        assert await storage.get(ids=["a"]) == [None]
