"""Redis and Valkey: a namespace of keys per run."""

from typing import TYPE_CHECKING, Any

import redis.asyncio

from ..sample import Counts
from ..sketch.redis import RedisStore
from ..sketch.store import Store
from .room import Place, Room

if TYPE_CHECKING:
    from durable_core.storage import Storage

_PAGE = 1_000


class RedisRoom(Room):
    """See `Room`."""

    copies = False

    def storage(self, place: Place) -> "Storage":
        """See `Room.storage`."""
        from durable_redis import RedisStorage  # noqa: PLC0415  # not for the sketch

        return RedisStorage.from_url(self.url, namespace=place.name)

    def store(self, place: Place) -> Store:
        """See `Room.store`."""
        return RedisStore(self.url, place.name)

    def _said(self, statistics: Any) -> Counts:
        """See `Room`: a run of a script is what a statement is elsewhere, and commits."""
        return Counts(
            statements=statistics.commands,
            table_statements=statistics.scripts,
            commits=statistics.writes,
        )

    async def drop(self, place: Place) -> None:
        """See `Room.drop`."""
        client: Any = redis.asyncio.Redis.from_url(self.url)
        try:
            keys = [key async for key in client.scan_iter(match=f"{{{place.name}}}*", count=_PAGE)]
            for start in range(0, len(keys), _PAGE):
                await client.unlink(*keys[start : start + _PAGE])
        finally:
            await client.aclose()


ROOM = RedisRoom
