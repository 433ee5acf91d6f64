"""A worker process that lives until it is killed."""

import asyncio
from multiprocessing.connection import Connection
from pathlib import Path

import crash_tasks

from durable_core import DurableExecutor
from durable_sqlite import SQLiteStorage

LEASE = 1.0
NEVER_POISON = 10_000


def executor_on(path: Path, *, client_only: bool = False) -> DurableExecutor:
    """Return an executor that counts every kill as bad luck."""
    return DurableExecutor(
        SQLiteStorage(path),
        tasks=crash_tasks.tasks,
        concurrency=8,
        lease=LEASE,
        poll_interval=0.2,
        crash_limit=NEVER_POISON,
        client_only=client_only,
    )


def work(path: Path, ready: Connection) -> None:
    """Run an executor for ever; tell once it is at work."""
    asyncio.run(_work(path, ready))


async def _work(path: Path, ready: Connection) -> None:
    async with executor_on(path):
        ready.send("at work")
        await asyncio.Event().wait()
