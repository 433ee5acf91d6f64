"""The sketch's storage in PostgreSQL, by asyncpg and nothing else."""

# ruff: noqa: S608 - texts are made of constants

import asyncio
import secrets
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg

from ..sample import Counts
from .group import Group
from .store import Row

if TYPE_CHECKING:
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    Pool: TypeAlias = asyncpg.Pool
    Connection: TypeAlias = asyncpg.Connection

_WEEK_US = 7 * 24 * 3600 * 1_000_000

# As wide as an engine's table, with the indexes that no engine can do without: what to claim next,
# what an executor holds, who is whose child. Partial: what has ended is in none.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS execution (
    id text COLLATE "C" PRIMARY KEY, task text NOT NULL, queue text NOT NULL, "group" text,
    key text, wake_key text, root_id text NOT NULL, parent_id text, child_index integer NOT NULL,
    on_cancel text NOT NULL, tags text[], priority integer NOT NULL, phase text NOT NULL,
    due bigint, owner text, gen bigint NOT NULL, crashes integer NOT NULL, attempt integer NOT NULL,
    error bytea, pending integer NOT NULL, join_at integer NOT NULL,
    cancel_requested boolean NOT NULL, ended_by text, created_at bigint NOT NULL,
    started_at bigint, finished_at bigint, options bytea NOT NULL, meta bytea NOT NULL,
    input bytea NOT NULL, state bytea, output bytea
);
CREATE INDEX IF NOT EXISTS due ON execution (queue, task, priority DESC, due)
    WHERE due IS NOT NULL;
CREATE INDEX IF NOT EXISTS held ON execution (owner) WHERE owner IS NOT NULL;
CREATE INDEX IF NOT EXISTS child ON execution (parent_id, child_index)
    WHERE parent_id IS NOT NULL;
"""

# Two rules keep plans independent of what the planner believes: rows are met by
# `e.id = ANY (ARRAY[x.id])`, an index probe each, and `IS NOT DISTINCT FROM` keeps the owner's
# index, in which thousands of rows are equal, out of it.
_COLUMNS = """id, task, queue, root_id, parent_id, child_index, on_cancel, priority, phase, due,
    owner, gen, crashes, attempt, pending, join_at, cancel_requested, created_at, started_at,
    options, meta, input"""
_VALUES = """x.id, x.task, 'default', x.id, x.parent, x.place, 'end', 0, 'ready', {due}, {owner}, 1,
    0, 0, 0, 0, false, $1, $1, '', '', x.input"""
_NEW = """INSERT INTO execution ({columns}) SELECT {values}
    FROM unnest($2::text[], $3::text[], $4::bytea[], $5::text[], $6::int[])
    AS x(id, task, input, parent, place)"""

_INSERT = _NEW.format(columns=_COLUMNS, values=_VALUES.format(due="NULL", owner="'me'"))
_OFFERED = _NEW.format(columns=_COLUMNS, values=_VALUES.format(due="0", owner="NULL"))
_OFFER = f"WITH n AS ({_OFFERED}) SELECT pg_notify('sketch', $7)"
_PROGRESS = """
UPDATE execution e SET state = x.state FROM unnest($1::text[], $2::bytea[]) AS x(id, state)
WHERE e.id = ANY (ARRAY[x.id]) AND e.owner IS NOT DISTINCT FROM 'me' AND e.gen = 1 RETURNING e.id
"""
_WAIT = f"""
WITH n AS ({_INSERT}) UPDATE execution e SET phase = 'waiting_for_children', pending = p.pending
FROM unnest($7::text[], $8::int[]) AS p(id, pending)
WHERE e.id = ANY (ARRAY[p.id]) AND e.owner IS NOT DISTINCT FROM 'me' AND e.gen = 1 RETURNING e.id
"""
_FINISH = """
UPDATE execution e SET phase = 'completed', output = x.output, finished_at = $1, owner = NULL,
    ended_by = 'me/1'
FROM unnest($2::text[], $3::bytea[]) AS x(id, output)
WHERE e.id = ANY (ARRAY[x.id]) AND e.owner IS NOT DISTINCT FROM 'me' AND e.gen = 1 RETURNING e.id
"""
_FINISH_AND_TELL = f"""
WITH n AS ({_FINISH.replace("RETURNING e.id", "RETURNING e.id, pg_notify('sketch', $4)")})
SELECT n.id FROM n
"""
_FINISH_CHILDREN = """
WITH u AS (UPDATE execution e SET phase = 'completed', output = x.output, finished_at = $1,
    owner = NULL, ended_by = 'me/1' FROM unnest($2::text[], $3::bytea[]) AS x(id, output)
    WHERE e.id = ANY (ARRAY[x.id]) AND e.owner IS NOT DISTINCT FROM 'me' AND e.gen = 1
    RETURNING e.id, e.parent_id),
d AS (SELECT parent_id AS id, count(*) AS n FROM u WHERE parent_id IS NOT NULL GROUP BY 1),
p AS (UPDATE execution e SET pending = e.pending - d.n FROM d WHERE e.id = ANY (ARRAY[d.id]))
SELECT id FROM u
"""
_CLAIM = """
WITH c AS MATERIALIZED (SELECT id FROM execution WHERE due IS NOT NULL AND queue = 'default'
    AND task = 'noop' AND due <= 1 ORDER BY priority DESC, due LIMIT $1 FOR UPDATE SKIP LOCKED)
UPDATE execution e SET owner = 'me', due = NULL FROM c WHERE e.id = ANY (ARRAY[c.id])
RETURNING e.id, e.input
"""
_ENDED = """
SELECT id, output FROM execution WHERE id = ANY ($1::text[]) AND finished_at IS NOT NULL
"""
_FILL = """
INSERT INTO execution (id, task, queue, root_id, child_index, on_cancel, priority, phase, due, gen,
    crashes, attempt, pending, join_at, cancel_requested, created_at, finished_at, options, meta,
    input, output)
SELECT $1 || n, 'noop', 'default', $1 || n, 0, 'end', 0, $2, $3 + n, 1, 0, 0, 0, 0, false, 1, $4,
    '', '', '{"number": 1}', $5
FROM generate_series(0, $6::bigint - 1) AS n
"""


class PostgresStore:
    """Executions in a database; writes of one kind share a statement.

    Args:
        url: Of the database.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._name = secrets.token_hex(4)
        self._inserts = Group[Row](self._insert)
        self._offers = Group[Row](self._offer)
        self._progress = Group[tuple[str, bytes]](self._advance)
        self._spreads = Group[tuple[str, Sequence[Row]]](self._spread)
        self._finishes = Group[tuple[str, bytes, str | None]](self._finish)
        self._reads = 0
        self._heard: asyncio.Event | None = None
        self._listener: Connection | None = None
        self._pool: Pool

    @property
    def durable(self) -> bool:
        """The database stays."""
        return True

    def counts(self) -> Counts:
        """Return what reached the database so far; each statement is a transaction."""
        groups: list[Group[Any]] = [
            self._inserts, self._offers, self._progress, self._spreads, self._finishes,
        ]  # fmt: skip
        commits = sum(group.sent for group in groups)
        return Counts(
            statements=commits + self._reads,
            table_statements=commits + self._reads,
            commits=commits,
        )

    async def open(self) -> None:
        """Create the tables if there are none."""
        # Plans that were prepared for an empty table would scan it for ever.
        settings = {
            "client_min_messages": "warning",
            "enable_seqscan": "off",
            "enable_bitmapscan": "off",
            "jit": "off",
        }
        self._pool = await asyncpg.create_pool(
            self._url, min_size=4, max_size=4, server_settings=settings, reset=_as_it_is
        )
        await self._pool.execute(_SCHEMA)

    async def close(self) -> None:
        """Release the driver."""
        if self._listener is not None:
            await self._listener.close()
        await self._pool.close()

    async def insert(self, row: Row) -> None:
        """Store a new execution, held."""
        await self._inserts.write(row)

    async def progress(self, execution_id: str, state: bytes) -> None:
        """Store what a held execution has reached."""
        await self._progress.write((execution_id, state))

    async def spread(self, parent_id: str, children: Sequence[Row]) -> None:
        """Store the children, held, and let their parent wait for all of them."""
        await self._spreads.write((parent_id, children))

    async def finish(self, execution_id: str, output: bytes, parent_id: str | None = None) -> None:
        """Store the result of a held execution and count down its parent's children."""
        await self._finishes.write((execution_id, output, parent_id))

    async def fill(self, finished: int, scheduled: int) -> None:
        """Store executions that ended, and others that are due next week."""
        now = time.time_ns() // 1_000
        done = ("finished-", "completed", None, now, b"2", finished)
        await self._pool.execute(_FILL, *done)
        later = ("scheduled-", "ready", now + _WEEK_US, None, None, scheduled)
        await self._pool.execute(_FILL, *later)

    async def offer(self, row: Row) -> None:
        """See `SharedStore.offer`."""
        await self._offers.write(row)

    async def take(self, limit: int) -> Sequence[tuple[str, bytes]]:
        """See `SharedStore.take`."""
        self._reads += 1
        rows = await self._pool.fetch(_CLAIM, limit)
        return [(row["id"], row["input"]) for row in rows]

    async def ended(self, ids: Sequence[str]) -> Sequence[tuple[str, bytes]]:
        """See `SharedStore.ended`."""
        self._reads += 1
        rows = await self._pool.fetch(_ENDED, list(ids))
        return [(row["id"], row["output"]) for row in rows]

    async def heard(self) -> None:
        """See `SharedStore.heard`: the server tells."""
        if self._heard is None:
            self._heard = asyncio.Event()
            self._listener = await asyncpg.connect(self._url)
            await self._listener.add_listener("sketch", self._told)
            return
        await self._heard.wait()
        self._heard.clear()

    def _told(self, _connection: Any, _pid: int, _channel: str, sender: object) -> None:
        if self._heard is not None and sender != self._name:
            self._heard.set()

    async def _insert(self, rows: list[Row]) -> None:
        await self._pool.execute(_INSERT, time.time_ns() // 1_000, *_columns(rows))

    async def _offer(self, rows: list[Row]) -> None:
        now = time.time_ns() // 1_000
        await self._pool.execute(_OFFER, now, *_columns(rows), self._name)

    async def _advance(self, items: list[tuple[str, bytes]]) -> None:
        ids, states = zip(*items, strict=True)
        _all(items, await self._pool.fetch(_PROGRESS, list(ids), list(states)))

    async def _spread(self, items: list[tuple[str, Sequence[Row]]]) -> None:
        rows = [child for _, children in items for child in children]
        parents = [parent for parent, _ in items]
        sizes = [len(children) for _, children in items]
        now = time.time_ns() // 1_000
        _all(items, await self._pool.fetch(_WAIT, now, *_columns(rows), parents, sizes))

    async def _finish(self, items: list[tuple[str, bytes, str | None]]) -> None:
        ids, outputs, parents = zip(*items, strict=True)
        values: list[Any] = [time.time_ns() // 1_000, list(ids), list(outputs)]
        if any(parent is not None for parent in parents):
            text = _FINISH_CHILDREN
        elif self._heard is not None:
            text = _FINISH_AND_TELL
            values.append(self._name)
        else:
            text = _FINISH
        _all(items, await self._pool.fetch(text, *values))


async def _as_it_is(_connection: object) -> None:
    """Leave a connection that comes back to the pool alone: nothing here changes its settings."""


def _columns(rows: Sequence[Row]) -> list[list[Any]]:
    ids, tasks, inputs, parents, places = zip(*rows, strict=True)
    return [list(ids), list(tasks), list(inputs), list(parents), list(places)]


def _all(items: Sequence[object], found: Sequence[object]) -> None:
    if len(items) != len(found):
        raise RuntimeError("an execution is not held: the sketch lost a write")
