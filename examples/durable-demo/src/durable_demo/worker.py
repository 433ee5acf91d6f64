"""A worker: a process that runs tasks until it is told to stop, or is killed."""

import argparse
import asyncio
import logging
import os
import sys
from typing import Final

from durable_core import DurableExecutor

from .pipeline import tasks
from .storage import open_storage

LOCATION: Final = "DURABLE_DEMO_STORAGE"
"""The environment variable that names the storage."""


async def serve(location: str, *, name: str, concurrency: int, lease: float) -> None:
    """Run tasks until standard input is closed, which also happens when the parent dies.

    Args:
        location: The storage's.
        name: What the worker calls itself.
        concurrency: At most so many tasks at once.
        lease: Seconds after which others may take over when this worker falls silent.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin, stop.set)
    executor = DurableExecutor(
        open_storage(location), tasks=tasks, name=name, concurrency=concurrency, lease=lease
    )
    async with executor:
        await stop.wait()
        loop.remove_reader(sys.stdin)


def main() -> None:
    """Run the worker process."""
    parser = argparse.ArgumentParser(prog="durable-demo worker", description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--concurrency", type=int, required=True)
    parser.add_argument("--lease", type=float, required=True, help="seconds")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    asyncio.run(
        serve(
            os.environ[LOCATION],
            name=args.name,
            concurrency=args.concurrency,
            lease=args.lease,
        )
    )


if __name__ == "__main__":
    main()
