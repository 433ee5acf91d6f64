"""A disk that is full, really: MongoDB ends itself, and comes back with all that it answered."""

import os
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
import servers

from durable_core.storage import NewExecution, OutcomeUnknownError, Query, TemporaryError
from durable_mongodb import MongoStorage

NOW = 2_000_000_000_000_000
_SIZE = 420
"""MiB: what an empty server takes, and some more."""


def _mount(*arguments: str) -> bool:
    """Mount a file system; return whether this may be done."""
    if os.geteuid() != 0:
        return False
    command = ["mount", *arguments]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


@contextmanager
def _disk(size: int) -> Generator[Path | None]:
    """Mount a file system in memory; None if this may not be done."""
    with tempfile.TemporaryDirectory(prefix="durable-small-") as name:
        if not _mount("-t", "tmpfs", "-o", f"size={size}m", "tmpfs", name):
            yield None
            return
        try:
            yield Path(name)
        finally:
            # The server may look at it a moment longer.
            command = ["umount", "--lazy", name]
            subprocess.run(command, check=True)


def _items(start: int) -> list[NewExecution]:
    return [
        NewExecution(id=f"{start + n}", task="work", input=os.urandom(30_000)) for n in range(50)
    ]


with _disk(1) as _tried:
    CAN_MOUNT = _tried is not None


# Where nothing may be mounted the error's translation is all that is tested, in `test_errors.py`.
if CAN_MOUNT and servers.mongodb.program() is not None:

    async def test_a_full_disk_ends_the_server() -> None:
        """The last write is in doubt; with room again, all that was answered is there."""
        with _disk(_SIZE) as disk:
            assert disk is not None
            with servers.mongodb.replica_set_in(disk, "--oplogSize", "50") as server:
                url = servers.mongodb.url_of([server])
                storage = MongoStorage.from_url(url, selection_timeout=2)
                await storage.setup()
                stored = 0
                doubt: OutcomeUnknownError | None = None
                while doubt is None and stored < 50_000:
                    try:
                        await storage.insert(items=_items(stored), now=NOW)
                        stored += 50
                    except OutcomeUnknownError as error:
                        doubt = error
                assert doubt is not None, "the disk was never full"
                with pytest.raises(TemporaryError, match="no primary can be reached"):
                    await storage.get(ids=["0"])
                assert _mount("-o", f"remount,size={2 * _SIZE}m", str(disk))
                server.start()
                servers.mongodb.wait_for_primary([server])
                count = (await storage.count(query=Query()))["*"]
                assert stored <= count <= stored + 50
                await storage.close()
