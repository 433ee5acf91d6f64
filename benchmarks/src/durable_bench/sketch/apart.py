"""The sketch in two processes on one file: one enqueues and waits, the other one works."""

import asyncio
import json
import sqlite3
from pathlib import Path
from uuid import uuid4

from ..bodies import noop
from .runner import Sketch, decode, encode
from .sqlite import SqliteStore

_PAUSE = 0.001
"""Seconds between two looks at whether the other process has committed."""

_OFFER = """
INSERT INTO execution (id, task, queue, root_id, child_index, on_cancel, tags, priority, phase,
    due, gen, crashes, attempt, pending, join_at, cancel_requested, created_at, options, meta,
    input)
VALUES (?1, 'noop', 'default', ?1, 0, 'end', '', 0, 'ready', 0, 1, 0, 0, 0, 0, 0, 1, x'', x'', ?2)
"""
_CLAIM = """
UPDATE execution SET owner = 'me', due = NULL WHERE rowid IN (
    SELECT rowid FROM execution INDEXED BY due
    WHERE due IS NOT NULL AND queue = 'default' AND task = 'noop' AND due <= 1
    ORDER BY priority DESC, due LIMIT ?)
RETURNING id, input
"""
_RESULTS = """
SELECT e.id, e.output FROM json_each(?) AS wanted CROSS JOIN execution AS e ON e.id = wanted.value
WHERE e.finished_at IS NOT NULL
"""


class _Watch:
    """Tells cheaply whether anybody has committed."""

    def __init__(self, file: Path) -> None:
        self.connection = sqlite3.connect(file, isolation_level=None)
        self._seen = -1

    def changed(self) -> bool:
        version: int = self.connection.execute("PRAGMA data_version").fetchone()[0]
        changed, self._seen = version != self._seen, version
        return changed


class Enqueuer(Sketch):
    """Enqueues, and waits for what a worker in another process has finished.

    Args:
        store: Opened and closed by the caller.
        file: The same file.
    """

    def __init__(self, store: SqliteStore, file: Path) -> None:
        super().__init__(store)
        self._offers = store
        self._watch = _Watch(file)
        self._awaited: dict[str, asyncio.Future[int]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def call(self, number: int) -> int:
        """Enqueue one execution and wait for its result."""
        id_ = str(uuid4())
        # Awaited first: the worker may be done before the answer to the write is heard.
        result: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._awaited[id_] = result
        await self._offers.write(_OFFER, (id_, encode(number)))
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        return await result

    async def _look(self) -> None:
        try:
            await self._look_until_all_is_there()
        except Exception as error:  # noqa: BLE001  # whoever awaits a result must hear of it
            for result in self._awaited.values():
                result.set_exception(error)
        finally:
            self._looking = None

    async def _look_until_all_is_there(self) -> None:
        while self._awaited:
            if self._watch.changed():
                wanted = json.dumps(list(self._awaited))
                for id_, output in self._watch.connection.execute(_RESULTS, (wanted,)):
                    self._awaited.pop(id_).set_result(json.loads(output))
            await asyncio.sleep(_PAUSE)


class Worker:
    """Claims what is there, runs it and finishes it.

    Args:
        store: Opened and closed by the caller.
        file: The same file.
        concurrency: At most so many executions at once.
    """

    def __init__(self, store: SqliteStore, file: Path, concurrency: int) -> None:
        self._store = store
        self._watch = _Watch(file)
        self._concurrency = concurrency
        self._running: set[asyncio.Task[None]] = set()

    async def work(self) -> None:
        """Work until cancelled."""
        while True:
            free = self._concurrency - len(self._running)
            if free and self._watch.changed():
                for id_, data in await self._store.rows(_CLAIM, (free,)):
                    run = asyncio.create_task(self._run(id_, data))
                    self._running.add(run)
                    run.add_done_callback(self._running.discard)
            await asyncio.sleep(_PAUSE)

    async def _run(self, id_: str, data: bytes) -> None:
        output = await noop(decode(data))
        await self._store.finish(id_, json.dumps(output).encode())
