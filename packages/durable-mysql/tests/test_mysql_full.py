"""A disk that is full: said as such, nothing lost, and all goes on when there is room."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from serving import mariadb, mysql, mysqld

from durable_core.storage import DiskFullError, NewExecution, Query, StorageError
from durable_mysql import MySQLStorage

NOW = 2_000_000_000_000_000
_MOUNT, _UMOUNT = shutil.which("mount"), shutil.which("umount")
_SPARE = 48 * 1024 * 1024
_TIMES = 3


@contextmanager
def small_disk(size: int) -> Generator[Path]:
    """Mount a file system of a size for a while."""
    with tempfile.TemporaryDirectory(prefix="durable-small-") as name:
        mount = [str(_MOUNT), "-t", "tmpfs", "-o", f"size={size}", "tmpfs", name]
        subprocess.run(mount, check=True, capture_output=True)
        try:
            yield Path(name)
        finally:
            subprocess.run([str(_UMOUNT), name], check=True)


def may_mount() -> bool:
    """Whether a small file system can be mounted here: root may, but not in every container."""
    if os.geteuid() != 0 or _MOUNT is None or _UMOUNT is None:
        return False
    try:
        with small_disk(64 * 1024):
            return True
    except subprocess.CalledProcessError:
        return False


@contextmanager
def small_server(server: str) -> Generator[str]:
    """Start a server on a file system with little room; yield its URL."""
    if server == "mysql":
        found = mysql.command()
        assert found is not None
        # Its binary log would wait for room, instead of saying that there is none.
        command, data = [*found, "--skip-log-bin"], mysql.template(found)
    else:
        program = mariadb.program()
        assert program is not None
        command, data = mariadb.command(program), mariadb.template(program)
    used = sum(file.stat().st_size for file in data.rglob("*") if file.is_file())
    with small_disk(used + _SPARE) as folder:
        private = mysqld.PrivateServer.make(folder, command, "mysql", data)
        try:
            private.start()
            yield private.url
        finally:
            private.stop()


@pytest.mark.skipif(
    not may_mount() or mysql.command() is None or mariadb.program() is None,
    reason="not run: needs both servers' programs, and root to mount a small file system",
)
async def test_a_full_disk(server: str) -> None:
    """Payloads fit into the pages of the table: MariaDB dies when there is no room for others."""
    with small_server(server) as url:
        storage = MySQLStorage.from_url(url)
        await storage.setup()
        raised: list[StorageError] = []
        stored = 0
        while len(raised) <= _TIMES:
            ids = [f"{stored + n:06}" for n in range(200)]
            items = [NewExecution(id=id_, task="work", input=bytes(3_000)) for id_ in ids]
            try:
                await storage.insert(items=items, now=NOW)
                stored += len(items)
            except StorageError as error:
                raised.append(error)
            assert stored < 100_000, "the disk is never full"
        assert {type(error) for error in raised} == {DiskFullError}, raised
        assert all("make room" in str(error) for error in raised)
        assert (await storage.count(query=Query()))["*"] == stored
        # Room is made in the tables themselves.
        ids = [f"{n:06}" for n in range(1_000)]
        await storage.cancel(ids=ids, request="r", now=NOW)
        assert await storage.purge(finished_before=NOW + 1, now=NOW, limit=1_000) == 1_000
        await storage.insert(items=[NewExecution(id="last", task="work")], now=NOW)
        await storage.close()
