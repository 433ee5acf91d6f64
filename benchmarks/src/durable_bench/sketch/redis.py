"""The sketch's storage in Redis or Valkey, by redis-py and two scripts."""

import asyncio
import secrets
import time
from collections.abc import Sequence
from typing import Any

import redis.asyncio

from ..sample import Counts
from .group import Group
from .store import Row

_WEEK_US = 7 * 24 * 3600 * 1_000_000
_CHUNK = 5_000

# A hash per execution, and sorted sets of what is due and what is held.
_INSERT = """
local now, due, tell = ARGV[1], ARGV[2], ARGV[3]
for i = 4, #ARGV, 5 do
    local id = ARGV[i]
    local key = KEYS[1] .. id
    if redis.call('EXISTS', key) == 1 then return redis.error_reply('duplicate ' .. id) end
    redis.call('HSET', key, 'task', ARGV[i + 1], 'queue', 'default', 'root_id', id,
        'parent_id', ARGV[i + 3], 'child_index', ARGV[i + 4], 'on_cancel', 'end', 'priority', 0,
        'phase', 'ready', 'gen', 1, 'crashes', 0, 'attempt', 0, 'pending', 0, 'join_at', 0,
        'cancel_requested', 0, 'created_at', now, 'started_at', now, 'options', '', 'meta', '',
        'input', ARGV[i + 2])
    if due == '' then
        redis.call('HSET', key, 'owner', 'me')
        redis.call('SADD', KEYS[1] .. 'held:me', id)
    else
        redis.call('ZADD', KEYS[1] .. 'due:default:noop', due, id)
    end
end
if tell ~= '' then redis.call('PUBLISH', KEYS[1] .. 'told', tell) end
"""
_FINISH = """
local now, tell = ARGV[1], ARGV[2]
for i = 3, #ARGV, 3 do
    local key = KEYS[1] .. ARGV[i]
    local row = redis.call('HMGET', key, 'owner', 'gen')
    if row[1] ~= 'me' or row[2] ~= '1' then return redis.error_reply('not held: ' .. ARGV[i]) end
    redis.call('HSET', key, 'phase', 'completed', 'output', ARGV[i + 1], 'finished_at', now,
        'ended_by', 'me/1')
    redis.call('HDEL', key, 'owner')
    redis.call('SREM', KEYS[1] .. 'held:me', ARGV[i])
    if ARGV[i + 2] ~= '' then redis.call('HINCRBY', KEYS[1] .. ARGV[i + 2], 'pending', -1) end
end
if tell ~= '' then redis.call('PUBLISH', KEYS[1] .. 'told', tell) end
"""
_CHANGE = """
for i = 2, #ARGV, 2 do
    local key = KEYS[1] .. ARGV[i]
    if redis.call('HGET', key, 'owner') ~= 'me' then
        return redis.error_reply('not held: ' .. ARGV[i])
    end
    redis.call('HSET', key, ARGV[1], ARGV[i + 1])
end
"""
_TAKE = """
local ids = redis.call('ZRANGE', KEYS[1] .. 'due:default:noop', '-inf', 1, 'BYSCORE', 'LIMIT', 0,
    ARGV[1])
local found = {}
for _, id in ipairs(ids) do
    redis.call('ZREM', KEYS[1] .. 'due:default:noop', id)
    redis.call('HSET', KEYS[1] .. id, 'owner', 'me')
    redis.call('SADD', KEYS[1] .. 'held:me', id)
    found[#found + 1] = id
    found[#found + 1] = redis.call('HGET', KEYS[1] .. id, 'input')
end
return found
"""
_ENDED = """
local found = {}
for _, id in ipairs(ARGV) do
    local row = redis.call('HMGET', KEYS[1] .. id, 'finished_at', 'output')
    if row[1] then
        found[#found + 1] = id
        found[#found + 1] = row[2]
    end
end
return found
"""


class RedisStore:
    """Executions in hashes; writes of one kind share a script's run.

    Args:
        url: Of the server.
        namespace: Begins all keys, between braces.
    """

    def __init__(self, url: str, namespace: str) -> None:
        self._client: Any = redis.asyncio.Redis.from_url(url)
        self._prefix = f"{{{namespace}}}sketch:"
        self._name = secrets.token_hex(4)
        self._apart = False
        self._inserts = Group[Row](self._insert)
        self._offers = Group[Row](self._offer)
        self._progress = Group[tuple[str, bytes]](self._advance)
        self._spreads = Group[tuple[str, Sequence[Row]]](self._spread)
        self._finishes = Group[tuple[str, bytes, str | None]](self._finish)
        self._scripts = {
            text: self._client.register_script(text)
            for text in (_INSERT, _FINISH, _CHANGE, _TAKE, _ENDED)
        }
        self._told: Any = None
        self._heard = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        self._calls = self._writes = 0

    @property
    def durable(self) -> bool:
        """The server keeps it."""
        return True

    def counts(self) -> Counts:
        """Return what was sent so far; each run of a script is one commit."""
        return Counts(statements=self._calls, table_statements=self._calls, commits=self._writes)

    async def open(self) -> None:
        """Connect."""
        await self._client.ping()

    async def close(self) -> None:
        """Release the driver."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait((self._listening,))
            await self._told.aclose()
        await self._client.aclose()

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
        due = time.time_ns() // 1_000 + _WEEK_US
        done = [Row(f"finished-{number}", "noop", b'{"number": 1}') for number in range(finished)]
        later = [Row(f"scheduled-{n}", "noop", b'{"number": 1}') for n in range(scheduled)]
        for start in range(0, finished, _CHUNK):
            rows = done[start : start + _CHUNK]
            await self._add(rows, "", "")
            await self._finish([(row.id, b"2", None) for row in rows])
        for start in range(0, scheduled, _CHUNK):
            await self._add(later[start : start + _CHUNK], due + start, "")

    async def offer(self, row: Row) -> None:
        """See `SharedStore.offer`."""
        self._apart = True
        await self._offers.write(row)

    async def take(self, limit: int) -> Sequence[tuple[str, bytes]]:
        """See `SharedStore.take`."""
        self._apart = True
        return _pairs(await self._run(_TAKE, limit))

    async def ended(self, ids: Sequence[str]) -> Sequence[tuple[str, bytes]]:
        """See `SharedStore.ended`."""
        return _pairs(await self._run(_ENDED, *ids))

    async def heard(self) -> None:
        """See `SharedStore.heard`: the server tells."""
        if self._listening is None:
            self._told = self._client.pubsub()
            await self._told.subscribe(self._prefix + "told")
            self._listening = asyncio.create_task(self._listen())
            return
        await self._heard.wait()
        self._heard.clear()

    async def _listen(self) -> None:
        async for message in self._told.listen():
            if message["type"] == "message" and message["data"] != self._name.encode():
                self._heard.set()

    async def _insert(self, rows: list[Row]) -> None:
        await self._add(rows, "", "")

    async def _offer(self, rows: list[Row]) -> None:
        await self._add(rows, 0, self._name)

    async def _add(self, rows: Sequence[Row], due: int | str, tell: str) -> None:
        values = [
            part
            for id_, task, data, parent, index in rows
            for part in (id_, task, data, parent or "", index)
        ]
        await self._run(_INSERT, time.time_ns() // 1_000, due, tell, *values)
        self._writes += 1

    async def _advance(self, items: list[tuple[str, bytes]]) -> None:
        await self._run(_CHANGE, "state", *(part for item in items for part in item))
        self._writes += 1

    async def _spread(self, items: list[tuple[str, Sequence[Row]]]) -> None:
        # Redis carries out what one connection sends in order, and a parent's children in one go.
        for parent, children in items:
            for start in range(0, len(children), _CHUNK // 5):
                await self._insert([*children[start : start + _CHUNK // 5]])
            await self._run(_CHANGE, "pending", parent, len(children))
        self._writes += 1

    async def _finish(self, items: list[tuple[str, bytes, str | None]]) -> None:
        values = [part for id_, output, parent in items for part in (id_, output, parent or "")]
        tell = self._name if self._apart else ""
        await self._run(_FINISH, time.time_ns() // 1_000, tell, *values)
        self._writes += 1

    async def _run(self, text: str, *values: object) -> Any:
        self._calls += 1
        try:
            return await self._scripts[text](keys=[self._prefix], args=values)
        except redis.exceptions.ResponseError as error:
            raise RuntimeError(f"the sketch lost a write: {error}") from error


def _pairs(found: Sequence[bytes]) -> list[tuple[str, bytes]]:
    return [(found[at].decode(), found[at + 1]) for at in range(0, len(found), 2)]
