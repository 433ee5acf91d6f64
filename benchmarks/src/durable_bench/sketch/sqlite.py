"""The sketch's storage in one SQLite file, by the standard library's driver and nothing else."""

import asyncio
import json
import random
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from ..sample import Counts
from .store import Row

Parameters: TypeAlias = tuple[object, ...]

_WEEK_US = 7 * 24 * 3600 * 1_000_000

# As wide as an engine's table, with the indexes that no engine on SQLite can do without: what to
# claim next, what an executor holds, who is whose child. Partial: what has ended is in none.
_SCHEMA = """
CREATE TABLE execution (
    id TEXT PRIMARY KEY, task TEXT NOT NULL, queue TEXT NOT NULL, "group" TEXT, key TEXT,
    wake_key TEXT, root_id TEXT NOT NULL, parent_id TEXT, child_index INTEGER NOT NULL,
    on_cancel TEXT NOT NULL, tags TEXT NOT NULL, priority INTEGER NOT NULL, phase TEXT NOT NULL,
    due INTEGER, owner TEXT, gen INTEGER NOT NULL, crashes INTEGER NOT NULL,
    attempt INTEGER NOT NULL, error BLOB, pending INTEGER NOT NULL, join_at INTEGER NOT NULL,
    cancel_requested INTEGER NOT NULL, ended_by TEXT, created_at INTEGER NOT NULL,
    started_at INTEGER, finished_at INTEGER, options BLOB NOT NULL, meta BLOB NOT NULL,
    input BLOB NOT NULL, state BLOB, output BLOB
) STRICT;
CREATE INDEX due ON execution (queue, task, priority DESC, due) WHERE due IS NOT NULL;
CREATE INDEX held ON execution (owner) WHERE owner IS NOT NULL;
CREATE INDEX child ON execution (parent_id, child_index) WHERE parent_id IS NOT NULL;
"""

INSERT = """
INSERT INTO execution (id, task, queue, root_id, parent_id, child_index, on_cancel, tags, priority,
    phase, due, owner, gen, crashes, attempt, pending, join_at, cancel_requested, created_at,
    started_at, finished_at, options, meta, input, output)
VALUES (?, ?, 'default', ?, ?, ?, 'end', '', 0, ?, ?, ?, 1, 0, 0, 0, 0, 0, ?, ?, ?, x'', x'', ?, ?)
"""
_PROGRESS = "UPDATE execution SET state = ? WHERE id = ? AND owner = 'me' AND gen = 1"
_WAIT = """
UPDATE execution SET phase = 'waiting_for_children', pending = ?
WHERE id = ? AND owner = 'me' AND gen = 1
"""
_FINISH = """
UPDATE execution SET phase = 'completed', output = ?, finished_at = ?, owner = NULL,
    ended_by = 'me/1'
WHERE id = ? AND owner = 'me' AND gen = 1
"""
_COUNT_DOWN = "UPDATE execution SET pending = pending - ? WHERE id = ?"
_OFFER = """
INSERT INTO execution (id, task, queue, root_id, child_index, on_cancel, tags, priority, phase,
    due, gen, crashes, attempt, pending, join_at, cancel_requested, created_at, options, meta,
    input)
VALUES (?1, ?2, 'default', ?1, 0, 'end', '', 0, 'ready', 0, 1, 0, 0, 0, 0, 0, 1, x'', x'', ?3)
"""
_CLAIM = """
UPDATE execution SET owner = 'me', due = NULL WHERE rowid IN (
    SELECT rowid FROM execution INDEXED BY due
    WHERE due IS NOT NULL AND queue = 'default' AND task = 'noop' AND due <= 1
    ORDER BY priority DESC, due LIMIT ?)
RETURNING id, input
"""
_ENDED = """
SELECT e.id, e.output FROM json_each(?) AS wanted CROSS JOIN execution AS e ON e.id = wanted.value
WHERE e.finished_at IS NOT NULL
"""
_LOOK_PAUSE = 0.001
"""Seconds between two looks at whether the other process has committed."""


class _Batch:
    """What one commit writes: rows by statement, and how many children of whom have ended."""

    def __init__(self) -> None:
        self.rows: defaultdict[str, list[Parameters]] = defaultdict(list)
        self.ended: Counter[str] = Counter()
        self.waiting: list[asyncio.Future[None]] = []


class SqliteStore:
    """Executions in a file, written by one thread; writes share commits by natural batching.

    Args:
        file: Made if it does not exist.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._thread = ThreadPoolExecutor(1, "sketch")
        self._next = _Batch()
        self._busy = False
        self._touching = self._commits = 0
        self._random = random.Random()  # noqa: S311  # spreads waiting, guards nothing
        self._watch: sqlite3.Connection | None = None
        self._seen = -1
        self._connection: sqlite3.Connection

    @property
    def durable(self) -> bool:
        """The file stays."""
        return True

    def counts(self) -> Counts:
        """Return what reached the database so far; a statement counts once for every row."""
        return Counts(
            statements=self._touching + 2 * self._commits,
            table_statements=self._touching,
            commits=self._commits,
        )

    async def open(self) -> None:
        """Create the tables if there are none."""
        await self.in_thread(self._connect)

    async def close(self) -> None:
        """Release the driver."""
        if self._watch is not None:
            self._watch.close()
        await self.in_thread(self._connection.close)
        self._thread.shutdown()

    async def insert(self, row: Row) -> None:
        """Store a new execution, held."""
        await self.write(INSERT, _new(row, time.time_ns() // 1_000))

    async def progress(self, execution_id: str, state: bytes) -> None:
        """Store what a held execution has reached."""
        await self.write(_PROGRESS, (state, execution_id))

    async def spread(self, parent_id: str, children: Sequence[Row]) -> None:
        """Store the children, held, and let their parent wait for all of them."""
        now = time.time_ns() // 1_000
        self._next.rows[INSERT] += [_new(child, now) for child in children]
        await self.write(_WAIT, (len(children), parent_id))

    async def finish(self, execution_id: str, output: bytes, parent_id: str | None = None) -> None:
        """Store the result of a held execution and count down its parent's children."""
        if parent_id is not None:
            self._next.ended[parent_id] += 1
        await self.write(_FINISH, (output, time.time_ns() // 1_000, execution_id))

    async def fill(self, finished: int, scheduled: int) -> None:
        """Store executions that ended, and others that are due next week."""
        await self.in_thread(self._fill, finished, scheduled)

    async def offer(self, row: Row) -> None:
        """See `SharedStore.offer`."""
        await self.write(_OFFER, (row.id, row.task, row.input))

    async def take(self, limit: int) -> Sequence[tuple[str, bytes]]:
        """See `SharedStore.take`."""
        return await self.rows(_CLAIM, (limit,))

    async def ended(self, ids: Sequence[str]) -> Sequence[tuple[str, bytes]]:
        """See `SharedStore.ended`. Beside the writer, by the connection that looks."""
        return self._watching().execute(_ENDED, (json.dumps(list(ids)),)).fetchall()

    async def heard(self) -> None:
        """See `SharedStore.heard`: SQLite tells cheaply whether anybody has committed."""
        watch = self._watching()
        while True:
            version: int = watch.execute("PRAGMA data_version").fetchone()[0]
            if version != self._seen:
                self._seen = version
                return
            await asyncio.sleep(_LOOK_PAUSE)

    def _watching(self) -> sqlite3.Connection:
        if self._watch is None:
            self._watch = sqlite3.connect(self._file, isolation_level=None)
        return self._watch

    async def rows(self, statement: str, parameters: Parameters) -> list[Any]:
        """Run a statement in a transaction of its own and return its rows."""
        found: list[Any] = []
        await self.in_thread(self._query, statement, parameters, found)
        return found

    async def in_thread(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call a function in the thread that has the connection."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, function, *arguments)

    def write(self, statement: str, parameters: Parameters) -> asyncio.Future[None]:
        """Run a statement in the next commit; the answer comes after the commit."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._next.rows[statement].append(parameters)
        self._next.waiting.append(future)
        if not self._busy:
            self._busy = True
            # After what is ready to run now: it may have something to write, too.
            loop.call_soon(self._send)
        return future

    def _send(self) -> None:
        batch, self._next = self._next, _Batch()
        done = asyncio.get_running_loop().run_in_executor(self._thread, self._commit, batch)
        done.add_done_callback(partial(self._answer, batch))

    def _answer(self, batch: _Batch, done: asyncio.Future[None]) -> None:
        self._busy = bool(self._next.waiting)
        if self._busy:
            self._send()
        error = done.exception()
        for future in batch.waiting:
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

    def _connect(self) -> None:
        connection = self._connection = sqlite3.connect(self._file, timeout=0, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'execution'").fetchone():
            return
        connection.executescript(_SCHEMA)

    def _commit(self, batch: _Batch) -> None:
        connection = self._connection
        self._begin()
        try:
            self._write_all(batch)
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        self._touching += sum(map(len, batch.rows.values())) + len(batch.ended)
        self._commits += 1

    def _write_all(self, batch: _Batch) -> None:
        connection = self._connection
        for statement, rows in batch.rows.items():
            if connection.executemany(statement, rows).rowcount != len(rows):
                raise RuntimeError("an execution is not held: the sketch lost a write")
        if batch.ended:
            connection.executemany(_COUNT_DOWN, [(n, id_) for id_, n in batch.ended.items()])

    def _query(self, statement: str, parameters: Parameters, found: list[Any]) -> None:
        self._begin()
        found += self._connection.execute(statement, parameters)
        self._connection.execute("COMMIT")
        self._touching += 1
        self._commits += 1

    def _begin(self) -> None:
        """Wait for the write lock in short random steps: SQLite's own steps are long."""
        while True:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    raise
                time.sleep(self._random.uniform(0, 0.0005))
            else:
                return

    def _fill(self, finished: int, scheduled: int) -> None:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(INSERT, _there(finished, scheduled, time.time_ns() // 1_000))
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _new(row: Row, now: int) -> Parameters:
    id_, task, data, parent_id, index = row
    return (id_, task, id_, parent_id, index, "ready", None, "me", now, now, None, data, None)


def _there(finished: int, scheduled: int, now: int) -> Iterator[Parameters]:
    data, output = b'{"number": 1}', b"2"
    for number in range(finished):
        id_ = f"finished-{number}"
        yield (id_, "noop", id_, None, 0, "completed", None, None, now, now, now, data, output)
    for number in range(scheduled):
        id_ = f"scheduled-{number}"
        due = now + _WEEK_US + number
        yield (id_, "noop", id_, None, 0, "ready", due, None, now, None, None, data, None)
