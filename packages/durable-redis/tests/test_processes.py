"""Several processes on one namespace, and processes and servers that are killed with SIGKILL."""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from redis_hooks import server_url, storage_in
from redis_private import private_server

from durable_core.storage import (
    CountBy,
    Keep,
    NewExecution,
    OutcomeUnknownError,
    Phase,
    Query,
    Release,
    Status,
    StorageError,
    TemporaryError,
)
from durable_redis import RedisStorage

NOW = 2_000_000_000_000_000
_PATIENCE = 60.0


def new(id_: str, **fields: Any) -> NewExecution:
    values: dict[str, Any] = {"task": "work", **fields}
    return NewExecution(id=id_, **values)


class Worker:
    """A process, and what it said.

    Attributes:
        said: The ids of what it has finished; complete when the process has ended.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: list[str] = []
        self._more = asyncio.Event()

    async def hear(self) -> None:
        """Take note of what it says, until it ends."""
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.said.append(line.decode().strip())
            self._more.set()

    async def says(self, number: int) -> None:
        """Wait until it has said so much."""
        async with asyncio.timeout(_PATIENCE):
            while len(self.said) < number:
                self._more.clear()
                await self._more.wait()


@asynccontextmanager
async def worker(url: str, namespace: str, name: str) -> AsyncGenerator[Worker]:
    """Run a worker until the end of the context, and kill it then."""
    program = Path(__file__).with_name("redis_worker.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(program), url, namespace, name,
        stdout=asyncio.subprocess.PIPE, env={**os.environ, "DURABLE_TEST_WORKER": "1"},
    )  # fmt: skip
    one = Worker(process)
    hearing = asyncio.ensure_future(one.hear())
    try:
        yield one
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        await process.wait()
        await hearing


async def _until_done(storage: RedisStorage, number: int) -> None:
    """Reap what the dead hold, until so many executions have ended."""
    query = Query(statuses=frozenset({Status.COMPLETED}))
    async with asyncio.timeout(_PATIENCE):
        while True:
            await storage.reap(now=NOW, limit=100)
            if (await storage.count(query=query))["*"] == number:
                return
            await asyncio.sleep(0.02)


async def test_workers_share_nothing() -> None:
    """Three processes finish everything; no execution is finished by two of them."""
    async with storage_in() as storage:
        number = 600
        for name in ("anna", "bela", "cleo"):
            await storage.heartbeat(executor=name, ttl=10**15, now=NOW, register=True)
        for first in range(0, number, 200):
            await storage.insert(items=[new(f"{first + n}") for n in range(200)], now=NOW)
        where = (server_url(), storage._settings.namespace)
        async with AsyncExitStack() as stack:
            workers = [
                await stack.enter_async_context(worker(*where, name))
                for name in ("anna", "bela", "cleo")
            ]
            await _until_done(storage, number)
        finished = Counter(id_ for one in workers for id_ in one.said)
        assert set(finished.values()) <= {1}, "finished twice"
        rows = [row for n in range(number) for row in await storage.get(ids=[f"{n}"])]
        assert all(row is not None and row.gen == 1 for row in rows)


async def test_workers_that_are_killed() -> None:
    """Families are worked on by processes of which one after another dies; the counts are exact."""
    async with storage_in() as storage:
        families, size = 20, 15
        for family in range(families):
            (answer,) = await storage.insert(
                items=[new(f"p{family}", task="parent", owner="maker")], now=NOW
            )
            kids = [
                new(f"p{family}.{n}", parent_id=f"p{family}", root_id=f"p{family}", child_index=n)
                for n in range(size)
            ]
            item = Release(
                id=f"p{family}", token=answer.record.token, phase=Phase.WAITING_FOR_CHILDREN,
                due=None, children=kids,
            )  # fmt: skip
            await storage.apply(items=[item], now=NOW)
        where = (server_url(), storage._settings.namespace)
        said: list[str] = []
        for turn in range(5):
            # Nobody has a lease: whoever holds something when reaping comes, has died.
            async with worker(*where, f"mortal-{turn}") as one:
                await one.says(5)
            said += one.said
        async with worker(*where, "last"):
            await storage.heartbeat(executor="last", ttl=10**15, now=NOW, register=True)
            await _until_done(storage, families * (size + 1))
        ended = await storage.get(ids=said)
        assert all(row is not None and row.phase is Phase.COMPLETED for row in ended)
        for family in range(families):
            (parent,) = await storage.get(ids=[f"p{family}"])
            assert parent is not None
            assert (parent.pending, parent.phase) == (0, Phase.COMPLETED)


async def test_nothing_acknowledged_is_lost() -> None:
    """Writers go on while the server is killed again and again; what was answered is there."""
    with private_server() as server:
        storage = RedisStorage.from_url(server.url)
        await storage.setup()
        answered: set[str] = set()
        unknown: set[str] = set()
        over, enough = asyncio.Event(), asyncio.Event()
        goal = 200

        async def write(writer: int) -> None:
            number = 0
            while not over.is_set():
                ids = [f"{writer}-{number + n}" for n in range(5)]
                number += 5
                try:
                    await storage.insert(items=[new(id_) for id_ in ids], now=NOW)
                except TemporaryError:
                    await asyncio.sleep(0.005)
                except OutcomeUnknownError:
                    unknown.update(ids)
                else:
                    answered.update(ids)
                    if len(answered) >= goal:
                        enough.set()

        writers = [asyncio.ensure_future(write(n)) for n in range(4)]
        for _ in range(3):
            async with asyncio.timeout(_PATIENCE):
                await enough.wait()
            goal = len(answered) + 200
            enough.clear()
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        over.set()
        await asyncio.gather(*writers)
        there = {
            row.id
            for id_ in sorted(answered)
            for row in await storage.get(ids=[id_])
            if row is not None
        }
        assert there == answered
        found = (await storage.count(query=Query()))["*"]
        assert len(answered) <= found <= len(answered) + len(unknown)
        await storage.close()


async def test_an_item_is_whole_or_not_at_all() -> None:
    """The server is killed in the midst of large items; sent again, each is done once."""
    with private_server() as server:
        storage = RedisStorage.from_url(server.url)
        await storage.setup()
        for turn in range(5):
            (answer,) = await storage.insert(items=[new(f"p{turn}", owner="anna")], now=NOW)
            kids = [
                new(f"p{turn}.{n}", parent_id=f"p{turn}", root_id=f"p{turn}", child_index=n)
                for n in range(100)
            ]
            item = Keep(
                id=f"p{turn}", token=answer.record.token, state=bytes(3_000), children=kids,
                checkpoints={"step": b"1"},
            )  # fmt: skip
            applying = asyncio.ensure_future(storage.apply(items=[item], now=NOW))
            await asyncio.sleep(0.001 * turn)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            await asyncio.gather(applying, return_exceptions=True)
            assert isinstance(applying.exception(), StorageError | None)
            (parent,) = await storage.get(ids=[f"p{turn}"])
            points = (await storage.checkpoints(execution_id=f"p{turn}", limit=9)).items
            children = await storage.count(query=Query(parent_id=f"p{turn}"))
            assert parent is not None
            assert (parent.pending, len(points), children["*"]) in ((0, 0, 0), (100, 1, 100))
            await storage.apply(items=[item], now=NOW)
            assert await storage.count(query=Query(parent_id=f"p{turn}"), by=CountBy.STATUS) == {
                "ready": 100
            }
        await storage.close()
