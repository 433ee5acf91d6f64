"""A disk that is full, really: a small file system for the tables, which only root can mount."""

import os
import pwd
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest
import servers

from durable_core.storage import DiskFullError, NewExecution, Query
from durable_postgres import PostgresStorage

NOW = 2_000_000_000_000_000


def mount(*arguments: str) -> bool:
    """Mount a file system; return whether this may be done."""
    if os.geteuid() != 0:
        return False
    command = ["mount", *arguments]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


@contextmanager
def small_disk() -> Generator[Path | None]:
    """Mount a file system in memory for the server's user; None if this may not be done."""
    with tempfile.TemporaryDirectory(prefix="durable-small-") as name:
        user = servers.other_user() if os.geteuid() == 0 else None
        owner = "" if user is None else f",uid={pwd.getpwnam(user).pw_uid}"
        if not mount("-t", "tmpfs", "-o", f"size=8m,mode=700{owner}", "tmpfs", name):
            yield None
            return
        try:
            yield Path(name)
        finally:
            # The server may look at it a moment longer.
            command = ["umount", "--lazy", name]
            subprocess.run(command, check=True)


async def fill(storage: PostgresStorage) -> tuple[NewExecution, DiskFullError]:
    """Insert until there is no room; return what did not fit, and the error."""
    for number in range(100):
        item = NewExecution(id=f"big{number}", task="work", input=os.urandom(500_000))
        try:
            await storage.insert(items=[item], now=NOW)
        except DiskFullError as error:
            return item, error
    pytest.fail("the disk never became full")


with small_disk() as _tried:
    CAN_MOUNT = _tried is not None


# Where nothing may be mounted the error's translation is all that is tested, in `test_errors.py`.
if CAN_MOUNT and servers.postgres.programs() is not None:

    async def test_a_full_disk_refuses_and_recovers() -> None:
        """What did not fit left nothing behind, what was there is there, and room is used."""
        with servers.postgres.private() as environment, small_disk() as disk:
            url = environment[servers.postgres.URL]
            driver = await asyncpg.connect(url)
            await driver.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
            await driver.execute("ALTER ROLE durable SET default_tablespace = small")
            await driver.close()
            storage = PostgresStorage.from_url(url)
            await storage.setup()
            refused, error = await fill(storage)
            assert "make room" in str(error)
            assert isinstance(error.__cause__, asyncpg.DiskFullError)
            count = (await storage.count(query=Query()))["*"]
            assert count > 3
            assert await storage.get(ids=[refused.id]) == [None]
            with pytest.raises(DiskFullError):
                await storage.insert(items=[refused], now=NOW)
            assert mount("-o", "remount,size=64m", str(disk))
            await storage.insert(items=[refused], now=NOW)
            assert (await storage.count(query=Query()))["*"] == count + 1
            await storage.close()
