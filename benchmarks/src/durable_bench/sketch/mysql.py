"""The sketch's storage in MySQL or MariaDB, by aiomysql and nothing else."""

# ruff: noqa: S608 - texts are made of constants and of what the sketch has made

import asyncio
import importlib
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from ..sample import Counts
from .group import Group
from .store import Row

_WEEK_US = 7 * 24 * 3600 * 1_000_000
_PAUSE = 0.002
_FILLING = 1_000
_PORT = 3306

# As wide as an engine's table, with the indexes that no engine can do without: what to claim next,
# what an executor holds, who is whose child.
_ID = "VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin"
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS execution (
    id {_ID} NOT NULL PRIMARY KEY, task VARBINARY(764) NOT NULL, queue VARBINARY(764) NOT NULL,
    `group` VARBINARY(764), `key` VARBINARY(764), wake_key VARBINARY(764), root_id {_ID} NOT NULL,
    parent_id {_ID}, child_index INTEGER NOT NULL, on_cancel VARCHAR(32) NOT NULL,
    tags VARBINARY(4200), priority SMALLINT NOT NULL, phase VARCHAR(32) NOT NULL, due BIGINT,
    owner VARCHAR(64), gen BIGINT NOT NULL, crashes INTEGER NOT NULL, attempt INTEGER NOT NULL,
    error LONGBLOB, pending INTEGER NOT NULL, join_at INTEGER NOT NULL,
    cancel_requested BOOLEAN NOT NULL, ended_by {_ID}, created_at BIGINT NOT NULL,
    started_at BIGINT, finished_at BIGINT, options LONGBLOB NOT NULL, meta LONGBLOB NOT NULL,
    input LONGBLOB NOT NULL, state LONGBLOB, output LONGBLOB,
    KEY due (queue, task, priority, due), KEY held (owner), KEY child (parent_id, child_index)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4
"""
_COLUMNS = """id, task, queue, root_id, parent_id, child_index, on_cancel, priority, phase, due,
    owner, gen, crashes, attempt, pending, join_at, cancel_requested, created_at, started_at,
    finished_at, options, meta, input, output"""
_VALUES = (
    "('{id}', '{task}', 'default', '{id}', {parent}, {place}, 'end', 0, '{phase}', {due}, {owner}, "
    "1, 0, 0, 0, 0, 0, {now}, {now}, {finished}, '', '', x'{input}', {output})"
)
_INSERT = f"INSERT INTO execution ({_COLUMNS}) VALUES "
_HELD = "owner = 'me' AND gen = 1"
_PROGRESS = (
    "UPDATE execution FORCE INDEX (PRIMARY) SET state = ELT(FIELD(id, {ids}), {values}) "
    f"WHERE id IN ({{ids}}) AND {_HELD}"
)
_WAIT = (
    "UPDATE execution FORCE INDEX (PRIMARY) SET phase = 'waiting_for_children', "
    f"pending = ELT(FIELD(id, {{ids}}), {{values}}) WHERE id IN ({{ids}}) AND {_HELD}"
)
_FINISH = (
    "UPDATE execution FORCE INDEX (PRIMARY) SET phase = 'completed', "
    "output = ELT(FIELD(id, {ids}), {values}), finished_at = {now}, owner = NULL, "
    f"ended_by = 'me/1' WHERE id IN ({{ids}}) AND {_HELD}"
)
_COUNT_DOWN = "UPDATE execution SET pending = pending - {number} WHERE id = '{id}'"
_FIND = (
    "SELECT id, input FROM execution FORCE INDEX (due) WHERE queue = 'default' AND task = 'noop' "
    "AND priority = 0 AND due <= 1 ORDER BY due LIMIT {limit} FOR UPDATE SKIP LOCKED"
)
_TAKE = "UPDATE execution FORCE INDEX (PRIMARY) SET owner = 'me', due = NULL WHERE id IN ({ids})"
_ENDED = (
    "SELECT id, output FROM execution FORCE INDEX (PRIMARY) WHERE id IN ({ids}) "
    "AND finished_at IS NOT NULL"
)


async def connect(url: str) -> Any:
    """Return a connection of the driver, each statement of which is a transaction."""
    parts = urlsplit(url)
    driver: Any = importlib.import_module("aiomysql")
    return await driver.connect(
        host=parts.hostname,
        port=parts.port or _PORT,
        user=parts.username,
        password=parts.password or "",
        db=parts.path.removeprefix("/"),
        autocommit=True,
        init_command="SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    )


class _Line:
    """A connection on which one packet of statements is under way at a time."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.sent = 0
        self._turn = asyncio.Lock()

    async def execute(self, *texts: str) -> tuple[Sequence[Any], list[int]]:
        """Return the first statement's rows, and how many rows each one has changed."""
        async with self._turn:
            self.sent += len(texts)
            cursor = await self.connection.cursor()
            await cursor.execute(";".join(texts))
            rows: Sequence[Any] = await cursor.fetchall()
            changed: list[int] = [cursor.rowcount]
            while await cursor.nextset():
                changed.append(cursor.rowcount)
        return rows, changed


class MySQLStore:
    """Executions in a database; writes of one kind share a statement.

    Args:
        url: Of the database.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._inserts = Group[Row](self._insert)
        self._offers = Group[Row](self._offer)
        self._progress = Group[tuple[str, bytes]](self._advance)
        self._spreads = Group[tuple[str, Sequence[Row]]](self._spread)
        self._finishes = Group[tuple[str, bytes, str | None]](self._finish)
        self._lines: list[_Line] = []
        self._heard = False
        self._taken = 0

    @property
    def durable(self) -> bool:
        """The database stays."""
        return True

    def counts(self) -> Counts:
        """Return what reached the database so far."""
        groups: list[Group[Any]] = [
            self._inserts, self._offers, self._progress, self._spreads, self._finishes,
        ]  # fmt: skip
        statements = sum(line.sent for line in self._lines)
        return Counts(
            statements=statements,
            table_statements=statements,
            commits=sum(group.sent for group in groups) + self._taken,
        )

    async def open(self) -> None:
        """Create the tables if there are none."""
        self._lines = [_Line(await connect(self._url)) for _ in range(4)]
        (known, _) = await self._lines[0].execute("SHOW TABLES LIKE 'execution'")
        if not known:
            await self._lines[0].execute(_SCHEMA)

    async def close(self) -> None:
        """Release the driver."""
        for line in self._lines:
            line.connection.close()

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
        for start in range(0, finished, _FILLING):
            rows = _numbered("finished", start, finished)
            text = _insert(rows, phase="completed", finished=now, output="'2'")
            await self._lines[0].execute(text)
        for start in range(0, scheduled, _FILLING):
            rows = _numbered("scheduled", start, scheduled)
            await self._lines[0].execute(_insert(rows, due=now + _WEEK_US))

    async def offer(self, row: Row) -> None:
        """See `SharedStore.offer`."""
        await self._offers.write(row)

    async def take(self, limit: int) -> Sequence[tuple[str, bytes]]:
        """See `SharedStore.take`."""
        line = self._lines[3]
        rows, _ = await line.execute("START TRANSACTION")
        rows, _ = await line.execute(_FIND.format(limit=limit))
        ids = ", ".join(f"'{row[0]}'" for row in rows)
        await line.execute(*([_TAKE.format(ids=ids)] if ids else []), "COMMIT")
        self._taken += bool(ids)
        return [(row[0], row[1]) for row in rows]

    async def ended(self, ids: Sequence[str]) -> Sequence[tuple[str, bytes]]:
        """See `SharedStore.ended`."""
        wanted = ", ".join(f"'{id_}'" for id_ in ids)
        rows, _ = await self._lines[2].execute(_ENDED.format(ids=wanted))
        return [(row[0], row[1]) for row in rows]

    async def heard(self) -> None:
        """See `SharedStore.heard`: the server tells nobody, so it is asked again and again."""
        if self._heard:
            await asyncio.sleep(_PAUSE)
        self._heard = True

    async def _insert(self, rows: list[Row]) -> None:
        await self._lines[0].execute(_insert(rows, owner="'me'"))

    async def _offer(self, rows: list[Row]) -> None:
        await self._lines[0].execute(_insert(rows, due=0))

    async def _advance(self, items: list[tuple[str, bytes]]) -> None:
        values = ", ".join(f"x'{state.hex()}'" for _, state in items)
        await self._change(_PROGRESS, [id_ for id_, _ in items], values)

    async def _spread(self, items: list[tuple[str, Sequence[Row]]]) -> None:
        rows = [child for _, children in items for child in children]
        values = ", ".join(str(len(children)) for _, children in items)
        ids = [id_ for id_, _ in items]
        new = [_insert(rows, owner="'me'")] if rows else []
        await self._change(_WAIT, ids, values, *new)

    async def _finish(self, items: list[tuple[str, bytes, str | None]]) -> None:
        values = ", ".join(f"x'{output.hex()}'" for _, output, _ in items)
        counted: dict[str, int] = {}
        for _, _, parent in items:
            if parent is not None:
                counted[parent] = counted.get(parent, 0) + 1
        downs = [
            _COUNT_DOWN.format(id=id_, number=number) for id_, number in sorted(counted.items())
        ]
        await self._change(_FINISH, [item[0] for item in items], values, *downs)

    async def _change(self, text: str, ids: Sequence[str], values: str, *others: str) -> None:
        now = time.time_ns() // 1_000
        names = ", ".join(f"'{id_}'" for id_ in ids)
        change = text.format(ids=names, values=values, now=now)
        if others:
            _, changed = await self._lines[1].execute(
                "START TRANSACTION", change, *others, "COMMIT"
            )
            done = changed[1]
        else:
            _, (done,) = await self._lines[1].execute(change)
        if done != len(ids):
            raise RuntimeError("an execution is not held: the sketch lost a write")


def _numbered(name: str, start: int, end: int) -> list[Row]:
    numbers = range(start, min(start + _FILLING, end))
    return [Row(f"{name}-{number}", "noop", b'{"number": 1}') for number in numbers]


def _insert(
    rows: Sequence[Row],
    *,
    phase: str = "ready",
    due: int | str = "NULL",
    owner: str = "NULL",
    finished: int | str = "NULL",
    output: str = "NULL",
) -> str:
    now = time.time_ns() // 1_000
    return _INSERT + ", ".join(
        _VALUES.format(
            id=row.id,
            task=row.task,
            parent="NULL" if row.parent_id is None else f"'{row.parent_id}'",
            place=row.child_index,
            input=row.input.hex(),
            phase=phase,
            due=due,
            owner=owner,
            finished=finished,
            output=output,
            now=now,
        )
        for row in rows
    )
