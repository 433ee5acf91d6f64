"""A process that works on a storage until it is killed.

`python redis_worker.py <url> <namespace> <executor>`

Each line that it prints is an answer of the storage: the id of an execution that it has finished.
"""

import asyncio
import os
import sys

from durable_core.storage import (
    ApplyOutcome,
    Finish,
    OutcomeUnknownError,
    Phase,
    Record,
    TemporaryError,
)
from durable_redis import RedisStorage

NOW = 2_000_000_000_000_000


async def main(url: str, namespace: str, name: str) -> None:
    """Claim and finish, until there is nothing left to do for ever."""
    storage = RedisStorage.from_url(url, namespace=namespace)
    held: dict[str, Record] = {}
    while True:
        try:
            if not held:
                claimed = await storage.claim(
                    executor=name, tasks=["work", "parent"], queues=["default"], limit=7, now=NOW
                )
                held = {row.id: row for row in claimed.records}
            items = [
                Finish(id=row.id, token=row.token, phase=Phase.COMPLETED) for row in held.values()
            ]
            answers = await storage.apply(items=items, now=NOW)
        except (TemporaryError, OutcomeUnknownError):
            await asyncio.sleep(0.01)
            continue
        for item, answer in zip(items, answers, strict=True):
            if answer.outcome in (ApplyOutcome.APPLIED, ApplyOutcome.ALREADY):
                sys.stdout.write(f"{item.id}\n")
                sys.stdout.flush()
        held = {}
        if not items:
            # Nothing is ready; what is lost with a reply is found by reaping.
            await asyncio.sleep(0.01)


if __name__ == "__main__":
    assert os.environ.get("DURABLE_TEST_WORKER"), "this is a part of the tests"
    asyncio.run(main(*sys.argv[1:]))
