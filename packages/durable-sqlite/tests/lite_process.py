"""A process of its own that works on a database: `python lite_process.py <act> <path> <name>`."""

import asyncio
import sys
from pathlib import Path

from durable_core.storage import Finish, NewExecution, Phase, Token
from durable_sqlite import SQLiteStorage

NOW = 1_700_000_000_000_000


def say(line: str) -> None:
    """Tell the process that waits."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def claim(storage: SQLiteStorage, name: str) -> None:
    """Claim and finish until nothing is left; print what was claimed."""
    while True:
        claimed = await storage.claim(
            executor=name, tasks=["work"], queues=["default"], limit=7, now=NOW
        )
        if not claimed.records:
            assert claimed.exhausted
            return
        items = [
            Finish(
                id=row.id,
                token=Token(name, row.gen),
                parent_id=row.parent_id,
                phase=Phase.COMPLETED,
                output=name.encode(),
            )
            for row in claimed.records
        ]
        for item, answer in zip(items, await storage.apply(items=items, now=NOW), strict=True):
            say(f"{item.id} {answer.outcome}")


async def insert(storage: SQLiteStorage, name: str) -> None:
    """Insert for ever; print what was acknowledged."""
    number = 0
    while True:
        ids = [f"{name}-{number + offset}" for offset in range(5)]
        items = [NewExecution(id=id_, task="work", owner=name) for id_ in ids]
        await storage.insert(items=items, now=NOW)
        finish = [Finish(id=id_, token=Token(name, 1), phase=Phase.COMPLETED) for id_ in ids[:2]]
        await storage.apply(items=finish, now=NOW)
        say(ids[0])
        number += len(ids)


async def main() -> None:
    """Do what is asked for, when a line arrives."""
    act, path, name = sys.argv[1:]
    storage = SQLiteStorage(Path(path))
    await storage.setup()
    say("ready")
    sys.stdin.readline()
    await {"claim": claim, "insert": insert}[act](storage, name)
    await storage.close()


if __name__ == "__main__":
    asyncio.run(main())
