"""A process that works on families until it is killed: `mongodb_worker.py <url> <database> <name>`.

Prints a line for each family that it has begun, so that whoever kills it knows that it works.
"""

import asyncio
import sys

from durable_core.storage import (
    Finish,
    Keep,
    NewExecution,
    Phase,
    Release,
    Token,
)
from durable_mongodb import MongoStorage

NOW = 2_000_000_000_000_000
FAMILY = 6


async def work(url: str, database: str, name: str) -> None:
    """Insert parents, give them children, and finish those one by one, each with a checkpoint."""
    storage = MongoStorage.from_url(url, database=database)
    await storage.heartbeat(executor=name, ttl=10, now=NOW, register=True)
    number = 0
    while True:
        parent = f"{name}.{number}"
        token = Token(name, 1)
        await storage.insert(items=[NewExecution(id=parent, task="work", owner=name)], now=NOW)
        children = [
            NewExecution(
                id=f"{parent}.{n}", task="work", parent_id=parent, root_id=parent, owner=name
            )
            for n in range(FAMILY)
        ]
        keep = Keep(id=parent, token=token, state=b"s", children=children, checkpoints={"c": b"1"})
        await storage.apply(items=[keep], now=NOW)
        wait = Release(id=parent, token=token, phase=Phase.WAITING_FOR_CHILDREN, due=None)
        await storage.apply(items=[wait], now=NOW)
        sys.stdout.write(f"{parent}\n")
        sys.stdout.flush()
        for child in children:
            end = Finish(
                id=child.id,
                token=Token(name, 1),
                phase=Phase.COMPLETED,
                parent_id=parent,
                output=b"o",
                checkpoints={"c": b"1"},
            )
            await storage.apply(items=[end], now=NOW)
        number += 1


if __name__ == "__main__":
    asyncio.run(work(*sys.argv[1:4]))
