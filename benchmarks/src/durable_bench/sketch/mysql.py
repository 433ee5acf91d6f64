"""The sketch's storage in MySQL or MariaDB, by aiomysql and nothing else."""

# ruff: noqa: S608 - texts are made of constants

import asyncio
import importlib
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

from ..sample import Counts
from .group import Group
from .store import Row

Parameters: TypeAlias = tuple[object, ...]

_WEEK_US = 7 * 24 * 3600 * 1_000_000
_LOOK_PAUSE = 0.002
"""Seconds between two looks for what the other process has written: the server does not tell."""

_CHUNK = 10_000
_CONNECTIONS = 5

# As wide as an engine's table, with the indexes that no engine can do without.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS execution (
    id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY, task VARBINARY(64) NOT NULL,
    queue VARBINARY(64) NOT NULL, `group` VARBINARY(64), `key` VARBINARY(64),
    wake_key VARBINARY(64), root_id VARCHAR(64) NOT NULL,
    parent_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin, child_index INT NOT NULL,
    on_cancel VARCHAR(16) NOT NULL, tags VARBINARY(64), priority INT NOT NULL,
    phase VARCHAR(32) NOT NULL, due BIGINT, owner VARCHAR(64), gen BIGINT NOT NULL,
    crashes INT NOT NULL, attempt INT NOT NULL, error LONGBLOB, pending INT NOT NULL,
    join_at INT NOT NULL, cancel_requested BOOLEAN NOT NULL, ended_by VARCHAR(64),
    created_at BIGINT NOT NULL, started_at BIGINT, finished_at BIGINT, options LONGBLOB NOT NULL,
    meta LONGBLOB NOT NULL, input LONGBLOB NOT NULL, state LONGBLOB, output LONGBLOB,
    KEY claimable (queue, task, priority, due), KEY held (owner), KEY child (parent_id, child_index)
) ENGINE = InnoDB
"""
_COLUMNS = (
    "id", "task", "queue", "root_id", "parent_id", "child_index", "on_cancel", "priority", "phase",
    "due", "owner", "gen", "crashes", "attempt", "pending", "join_at", "cancel_requested",
    "created_at", "started_at", "finished_at", "options", "meta", "input", "output",
)  # fmt: skip
_PLACES = ", ".join(["%s"] * len(_COLUMNS))
_INSERT = f"INSERT INTO execution ({', '.join(_COLUMNS)}) VALUES ({_PLACES})"
"""The driver sends many rows at once only where each value is a parameter."""

_JOINED = """
UPDATE JSON_TABLE(%s, '$[*]' COLUMNS (id VARCHAR(64) PATH '$[0]', value VARCHAR(255) PATH '$[1]'))
    AS x STRAIGHT_JOIN execution e FORCE INDEX (PRIMARY)
    ON e.id = CONVERT(x.id USING ascii) COLLATE ascii_bin
"""
"""Drives from the ids, each once, whatever the server believes of the owner's index."""

_HELD = " WHERE e.owner = 'me' AND e.gen = 1"
_PROGRESS = f"{_JOINED} SET e.state = x.value {_HELD}"
_WAIT = f"{_JOINED} SET e.phase = 'waiting_for_children', e.pending = x.value {_HELD}"
_FINISH = f"""{_JOINED} SET e.phase = 'completed', e.output = x.value, e.finished_at = %s,
    e.owner = NULL, e.ended_by = 'me/1' {_HELD}"""
_COUNT_DOWN = f"{_JOINED} SET e.pending = e.pending - x.value"
_CANDIDATES = """
SELECT id, input FROM execution WHERE queue = 'default' AND task = 'noop' AND priority = 0
    AND due <= 1 ORDER BY due LIMIT %s FOR UPDATE SKIP LOCKED
"""
_TAKE = f"{_JOINED} SET e.owner = 'me', e.due = NULL WHERE e.owner IS NULL"
_ENDED = """
SELECT e.id, e.output FROM JSON_TABLE(%s, '$[*]' COLUMNS (id VARCHAR(64) PATH '$')) AS x
    STRAIGHT_JOIN execution e ON e.id = CONVERT(x.id USING ascii) COLLATE ascii_bin
    WHERE e.finished_at IS NOT NULL
"""


async def connect(url: str) -> Any:
    """Return a connection that commits each statement by itself.

    Args:
        url: As `mysql://user:password@host:port/database`.
    """
    parts = urlsplit(url)
    driver: Any = importlib.import_module("aiomysql")  # it has no types
    return await driver.connect(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 3306,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        db=parts.path.lstrip("/") or None,
        autocommit=True,
        charset="utf8mb4",
    )


class MySQLStore:
    """Executions in a table; writes of one kind share a statement.

    Args:
        url: Of the database.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._inserts = Group[Row](self._insert)
        self._offers = Group[Row](self._offer)
        self._progress = Group[tuple[str, str]](self._advance)
        self._spreads = Group[tuple[str, Sequence[Row]]](self._spread)
        self._finishes = Group[tuple[str, str, str | None]](self._finish)
        self._statements = self._commits = 0
        self._looked = False
        self._free: asyncio.Queue[Any] = asyncio.Queue()

    @property
    def durable(self) -> bool:
        """The database stays."""
        return True

    def counts(self) -> Counts:
        """Return what reached the database so far."""
        return Counts(
            statements=self._statements, table_statements=self._statements, commits=self._commits
        )

    async def open(self) -> None:
        """Create the tables if there are none."""
        for _ in range(_CONNECTIONS):
            self._free.put_nowait(await connect(self._url))
        await self._call([("SET sql_notes = 0", ()), (_SCHEMA, ())])

    async def close(self) -> None:
        """Release the driver."""
        for _ in range(_CONNECTIONS):
            connection = await self._free.get()
            with suppress(Exception):
                await connection.ensure_closed()

    async def insert(self, row: Row) -> None:
        """Store a new execution, held."""
        await self._inserts.write(row)

    async def progress(self, execution_id: str, state: bytes) -> None:
        """Store what a held execution has reached."""
        await self._progress.write((execution_id, state.decode()))

    async def spread(self, parent_id: str, children: Sequence[Row]) -> None:
        """Store the children, held, and let their parent wait for all of them."""
        await self._spreads.write((parent_id, children))

    async def finish(self, execution_id: str, output: bytes, parent_id: str | None = None) -> None:
        """Store the result of a held execution and count down its parent's children."""
        await self._finishes.write((execution_id, output.decode(), parent_id))

    async def fill(self, finished: int, scheduled: int) -> None:
        """Store executions that ended, and others that are due next week."""
        rows = [*_there(finished, scheduled, time.time_ns() // 1_000)]
        for start in range(0, len(rows), _CHUNK):
            await self._call([(_INSERT, rows[start : start + _CHUNK])])

    async def offer(self, row: Row) -> None:
        """See `SharedStore.offer`."""
        await self._offers.write(row)

    async def take(self, limit: int) -> Sequence[tuple[str, bytes]]:
        """See `SharedStore.take`."""
        connection = await self._free.get()
        try:
            async with connection.cursor() as cursor:
                await connection.begin()
                await cursor.execute(_CANDIDATES, (limit,))
                rows = [(str(id_), bytes(data)) for id_, data in await cursor.fetchall()]
                if rows:
                    await cursor.execute(_TAKE, (json.dumps([[id_, ""] for id_, _ in rows]),))
                await connection.commit()
        finally:
            self._free.put_nowait(connection)
        self._statements += 4 if rows else 3
        self._commits += 1
        return rows

    async def ended(self, ids: Sequence[str]) -> Sequence[tuple[str, bytes]]:
        """See `SharedStore.ended`."""
        rows = await self._call([(_ENDED, (json.dumps(list(ids)),))])
        return [(str(id_), bytes(output)) for id_, output in rows]

    async def heard(self) -> None:
        """See `SharedStore.heard`: after a moment, something may have been written."""
        if self._looked:
            await asyncio.sleep(_LOOK_PAUSE)
        self._looked = True

    async def _insert(self, rows: list[Row]) -> None:
        now = time.time_ns() // 1_000
        await self._write([(_INSERT, [_new(row, now, held=True) for row in rows])])

    async def _offer(self, rows: list[Row]) -> None:
        now = time.time_ns() // 1_000
        await self._write([(_INSERT, [_new(row, now, held=False) for row in rows])])

    async def _advance(self, items: list[tuple[str, str]]) -> None:
        await self._write([(_PROGRESS, (json.dumps(items),))], len(items))

    async def _spread(self, items: list[tuple[str, Sequence[Row]]]) -> None:
        now = time.time_ns() // 1_000
        rows = [_new(child, now, held=True) for _, children in items for child in children]
        sizes = json.dumps([[parent, len(children)] for parent, children in items])
        await self._write([(_INSERT, rows), (_WAIT, (sizes,))], len(items))

    async def _finish(self, items: list[tuple[str, str, str | None]]) -> None:
        now = time.time_ns() // 1_000
        ended = Counter(parent for _, _, parent in items if parent is not None)
        values = json.dumps([[id_, output] for id_, output, _ in items])
        texts: list[tuple[str, Any]] = []
        if ended:
            texts.append((_COUNT_DOWN, (json.dumps([*map(list, ended.items())]),)))
        await self._write([*texts, (_FINISH, (values, now))], len(items))

    async def _write(self, texts: Sequence[tuple[str, Any]], wanted: int | None = None) -> None:
        """Carry out statements in one transaction, of which the last writes so many rows."""
        connection = await self._free.get()
        try:
            async with connection.cursor() as cursor:
                await connection.begin()
                for text, values in texts:
                    many = isinstance(values, list)
                    await (cursor.executemany if many else cursor.execute)(text, values)
                written = cursor.rowcount
                await connection.commit()
        except BaseException:
            await connection.rollback()
            raise
        finally:
            self._free.put_nowait(connection)
        self._statements += len(texts) + 2
        self._commits += 1
        if wanted not in (None, written):
            raise RuntimeError("an execution is not held: the sketch lost a write")

    async def _call(self, texts: Sequence[tuple[str, Any]]) -> Sequence[Any]:
        """Carry out statements that commit by themselves; return the rows of the last."""
        connection = await self._free.get()
        try:
            async with connection.cursor() as cursor:
                for text, values in texts:
                    many = isinstance(values, list)
                    await (cursor.executemany if many else cursor.execute)(text, values)
                rows: Sequence[Any] = await cursor.fetchall()
        finally:
            self._free.put_nowait(connection)
        self._statements += len(texts)
        return rows


def _new(row: Row, now: int, *, held: bool) -> Parameters:
    due, owner = (None, "me") if held else (0, None)
    return _values(row, now, phase="ready", due=due, owner=owner)


def _values(
    row: Row, now: int, *, phase: str, due: int | None, owner: str | None = None,
    finished: int | None = None, output: str | None = None,
) -> Parameters:  # fmt: skip
    id_, task, data, parent_id, index = row
    place = (id_, task, "default", id_, parent_id, index, "end", 0, phase, due, owner)
    # As text: the driver's way to send bytes is broken where it is not compiled.
    return (*place, 1, 0, 0, 0, 0, 0, now, now, finished, "", "", data.decode(), output)


def _there(finished: int, scheduled: int, now: int) -> Iterator[Parameters]:
    for number in range(finished):
        row = Row(f"finished-{number}", "noop", b'{"number": 1}')
        yield _values(row, now, phase="completed", due=None, finished=now, output="2")
    for number in range(scheduled):
        row = Row(f"scheduled-{number}", "noop", b'{"number": 1}')
        yield _values(row, now, phase="ready", due=now + _WEEK_US + number)
