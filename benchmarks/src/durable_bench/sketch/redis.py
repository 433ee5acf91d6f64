"""The sketch's storage in Redis, by redis-py and nothing else."""

import asyncio
import secrets
import time
from collections.abc import Sequence
from typing import Any, Final

from redis.asyncio import Redis

from ..sample import Counts
from .group import Group
from .store import Row

_WEEK_MS: Final = 7 * 24 * 3600 * 1_000
_FILLING: Final = 1_000

# As wide as an engine's row, with the indexes that no engine can do without: what to claim next,
# what an executor holds, who is whose child, what ended when.
_WIDTH: Final = b"default end ready me 1 0 0 0 0 0".ljust(120)

_INSERT: Final = """
local p, now = ARGV[1], ARGV[2]
for i = 3, #ARGV, 4 do
  local id = ARGV[i]
  redis.call('SET', p .. 'e:' .. id, ARGV[i + 1])
  redis.call('ZADD', p .. 'held', now, id)
  if redis.call('ZADD', p .. 'all', now, id) == 0 then return redis.error_reply('a duplicate') end
  if ARGV[i + 2] ~= '' then redis.call('ZADD', p .. 'kids:' .. ARGV[i + 2], ARGV[i + 3], id) end
end
"""
_OFFER: Final = """
local p, now = ARGV[1], ARGV[2]
for i = 4, #ARGV, 2 do
  local id = ARGV[i]
  redis.call('SET', p .. 'e:' .. id, ARGV[i + 1])
  redis.call('ZADD', p .. 'ready', now, id)
  redis.call('ZADD', p .. 'all', now, id)
end
redis.call('PUBLISH', p .. 'sketch', ARGV[3])
"""
_PROGRESS: Final = """
for i = 2, #ARGV, 2 do
  local key = ARGV[1] .. 'e:' .. ARGV[i]
  local row = redis.call('GET', key)
  if not row then return redis.error_reply('an execution is not held') end
  redis.call('SET', key, string.sub(row, 1, 200) .. ARGV[i + 1])
end
"""
_WAIT: Final = """
for i = 2, #ARGV, 2 do
  redis.call('SET', ARGV[1] .. 'pending:' .. ARGV[i], ARGV[i + 1])
end
"""
_FINISH: Final = """
local p, now = ARGV[1], ARGV[2]
for i = 4, #ARGV, 3 do
  local id = ARGV[i]
  local row = redis.call('GET', p .. 'e:' .. id)
  if not row then return redis.error_reply('an execution is not held') end
  redis.call('SET', p .. 'e:' .. id, row .. ARGV[i + 1])
  redis.call('SET', p .. 'o:' .. id, ARGV[i + 1])
  redis.call('ZREM', p .. 'held', id)
  redis.call('ZADD', p .. 'ended', now, id)
  if ARGV[i + 2] ~= '' then redis.call('DECR', p .. 'pending:' .. ARGV[i + 2]) end
end
if ARGV[3] ~= '' then redis.call('PUBLISH', p .. 'sketch', ARGV[3]) end
"""
_TAKE: Final = """
local p, found = ARGV[1], {}
local ids = redis.call('ZRANGE', p .. 'ready', 0, ARGV[2] - 1)
for i, id in ipairs(ids) do
  redis.call('ZREM', p .. 'ready', id)
  redis.call('ZADD', p .. 'held', 0, id)
  found[2 * i - 1], found[2 * i] = id, redis.call('GET', p .. 'e:' .. id)
end
return found
"""
_FILL: Final = """
local p, name, set, score = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
for n = ARGV[5], ARGV[6] do
  redis.call('SET', p .. 'e:' .. name .. n, ARGV[7])
  redis.call('ZADD', p .. set, score + n, name .. n)
  redis.call('ZADD', p .. 'all', 0, name .. n)
end
"""


class RedisStore:
    """Executions in a server; writes of one kind share a script.

    Args:
        url: Of the server.
        prefix: Begins the names of all keys.
    """

    def __init__(self, url: str, prefix: str) -> None:
        kind: Any = Redis
        self._client: Any = kind.from_url(url)
        self._prefix = prefix.encode()
        self._name = secrets.token_hex(4)
        self._scripts: dict[str, Any] = {}
        self._inserts = Group[Row](self._insert)
        self._offers = Group[Row](self._offer)
        self._progress = Group[tuple[str, bytes]](self._advance)
        self._spreads = Group[tuple[str, Sequence[Row]]](self._spread)
        self._finishes = Group[tuple[str, bytes, str | None]](self._finish)
        self._commands = 0
        self._heard: asyncio.Event | None = None
        self._listening: asyncio.Task[None] | None = None

    @property
    def durable(self) -> bool:
        """The server keeps its keys."""
        return True

    def counts(self) -> Counts:
        """Return what reached the server so far; each script is a commit."""
        return Counts(
            statements=self._commands,
            table_statements=self._commands,
            commits=self._commands,
        )

    async def open(self) -> None:
        """Load the scripts."""
        for text in (_INSERT, _OFFER, _PROGRESS, _WAIT, _FINISH, _TAKE, _FILL):
            self._scripts[text] = self._client.register_script(text)
        await self._client.ping()

    async def close(self) -> None:
        """Release the driver."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
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
        week = time.time_ns() // 1_000_000 + _WEEK_MS
        row = _WIDTH + b'{"number": 1}'
        for name, key, score, number in (
            ("finished-", "ended", 0, finished),
            ("scheduled-", "ready", week, scheduled),
        ):
            for first in range(0, number, _FILLING):
                last = min(first + _FILLING, number) - 1
                await self._run(_FILL, [name, key, score, first, last, row])

    async def offer(self, row: Row) -> None:
        """See `SharedStore.offer`."""
        await self._offers.write(row)

    async def take(self, limit: int) -> Sequence[tuple[str, bytes]]:
        """See `SharedStore.take`."""
        found = await self._run(_TAKE, [limit])
        pairs = zip(found[::2], found[1::2], strict=True)
        return [(id_.decode(), row[len(_WIDTH) :]) for id_, row in pairs]

    async def ended(self, ids: Sequence[str]) -> Sequence[tuple[str, bytes]]:
        """See `SharedStore.ended`."""
        self._commands += 1
        prefix = self._prefix.decode()
        found = await self._client.mget([f"{prefix}o:{id_}" for id_ in ids])
        return [(id_, output) for id_, output in zip(ids, found, strict=True) if output is not None]

    async def heard(self) -> None:
        """See `SharedStore.heard`: the server tells."""
        if self._heard is None:
            self._heard = asyncio.Event()
            pubsub = self._client.pubsub()
            await pubsub.subscribe(self._prefix + b"sketch")
            self._listening = asyncio.create_task(self._listen(pubsub, self._heard))
            return
        await self._heard.wait()
        self._heard.clear()

    async def _listen(self, pubsub: Any, heard: asyncio.Event) -> None:
        async for message in pubsub.listen():
            if message["type"] == "message" and message["data"] != self._name.encode():
                heard.set()

    async def _run(self, text: str, arguments: list[Any]) -> Any:
        self._commands += 1
        return await self._scripts[text](args=[self._prefix, *arguments])

    async def _insert(self, rows: list[Row]) -> None:
        await self._run(_INSERT, [_now(), *_flat(rows)])

    async def _offer(self, rows: list[Row]) -> None:
        flat = [part for row in rows for part in (row.id, _WIDTH + row.input)]
        await self._run(_OFFER, [_now(), self._name, *flat])

    async def _advance(self, items: list[tuple[str, bytes]]) -> None:
        await self._run(_PROGRESS, [part for item in items for part in item])

    async def _spread(self, items: list[tuple[str, Sequence[Row]]]) -> None:
        sizes = [part for parent, children in items for part in (parent, len(children))]
        await self._run(_WAIT, sizes)
        rows = [child for _, children in items for child in children]
        for first in range(0, len(rows), _FILLING):
            await self._run(_INSERT, [_now(), *_flat(rows[first : first + _FILLING])])

    async def _finish(self, items: list[tuple[str, bytes, str | None]]) -> None:
        flat = [part for id_, output, parent in items for part in (id_, output, parent or "")]
        told = "" if self._heard is None else self._name
        await self._run(_FINISH, [_now(), told, *flat])


def _now() -> int:
    return time.time_ns() // 1_000_000


def _flat(rows: Sequence[Row]) -> list[Any]:
    return [
        part
        for row in rows
        for part in (row.id, _WIDTH + row.input, row.parent_id or "", row.child_index)
    ]
