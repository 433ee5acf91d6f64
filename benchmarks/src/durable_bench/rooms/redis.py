"""Redis and Valkey: a namespace per run, and the server's own count of commands."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis

from ..measure import percentile
from ..sample import Counts
from ..sketch.redis import RedisStore
from ..sketch.store import Store
from .room import Place, Room

if TYPE_CHECKING:
    from durable_core.storage import Storage

_SCRIPTS = ("evalsha", "eval")
_NONE = {"calls": 0}

_LOGGED = 100_000


class RedisRoom(Room):
    """See `Room`."""

    copies = False

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self._usual: dict[Any, Any] = {}

    def storage(self, place: Place) -> "Storage":
        """See `Room.storage`."""
        from durable_redis import RedisStorage  # noqa: PLC0415  # not for the sketch

        return RedisStorage.from_url(self.url, namespace=place.name)

    def store(self, place: Place) -> Store:
        """See `Room.store`."""
        return RedisStore(self.url, f"{{{place.name}}}:")

    @asynccontextmanager
    async def _client(self) -> AsyncGenerator[Any]:
        kind: Any = Redis
        client = kind.from_url(self.url)
        try:
            yield client
        finally:
            await client.aclose()

    async def drop(self, place: Place) -> None:
        """See `Room.drop`."""
        async with self._client() as client:
            keys: list[bytes] = []
            async for key in client.scan_iter(match=f"{{{place.name}}}:*", count=10_000):
                keys.append(key)
                if len(keys) == 1_000:  # noqa: PLR2004  # enough for one command
                    await client.unlink(*keys)
                    keys.clear()
            if keys:
                await client.unlink(*keys)

    async def times(self) -> Mapping[str, float]:
        """See `Room.times`: by the server's slow log, in which everything is slow meanwhile."""
        async with self._client() as client:
            if not self._usual:
                self._usual = await client.config_get("slowlog-*")
                await client.config_set("slowlog-log-slower-than", 0)
                await client.config_set("slowlog-max-len", _LOGGED)
                await client.slowlog_reset()
                return {}
            entries: list[dict[str, Any]] = await client.slowlog_get(_LOGGED)
            await client.slowlog_reset()
            for name, value in self._usual.items():
                await client.config_set(name, value)
            self._usual = {}
        took = sorted(
            one["duration"] / 1_000 for one in entries if one["command"].startswith(b"EVALSHA")
        )
        if not took:
            return {}
        return {
            "script_p50_ms": percentile(took, 50),
            "script_p99_ms": percentile(took, 99),
            "script_max_ms": took[-1],
        }

    async def counts(self, place: Place) -> Counts | None:
        """See `Room.counts`. Scripts alone are counted, each as a commit; not what they call."""
        async with self._client() as client:
            stats = await client.info("commandstats")
        calls: list[int] = [stats.get(f"cmdstat_{name}", _NONE)["calls"] for name in _SCRIPTS]
        number = sum(calls)
        return Counts(statements=number, table_statements=number, commits=number)


ROOM = RedisRoom
