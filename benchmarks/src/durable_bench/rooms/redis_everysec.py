"""Redis that syncs its file once a second, as most are run: the server of `redis`, told so."""

from typing import TYPE_CHECKING

from .redis import RedisRoom
from .room import Place

if TYPE_CHECKING:
    from durable_core.storage import Storage


class EverySecondRoom(RedisRoom):
    """See `Room`."""

    def __init__(self, target: str) -> None:
        super().__init__(target.removesuffix("-everysec"))

    def storage(self, place: Place) -> "Storage":
        """See `Room.storage`."""
        from durable_redis import RedisStorage  # noqa: PLC0415  # not for the sketch

        return RedisStorage.from_url(self.url, namespace=place.name, durability="ignore")

    async def create(self, place: Place) -> None:
        """See `Room.create`."""
        await self._sync("everysec")

    async def drop(self, place: Place) -> None:
        """See `Room.drop`."""
        await super().drop(place)
        await self._sync("always")

    async def _sync(self, how: str) -> None:
        async with self._client() as client:
            await client.config_set("appendfsync", how)


ROOM = EverySecondRoom
"""What every room has."""
