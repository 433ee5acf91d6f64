"""Redis that syncs its file once a second, as most are run: the server of `redis`, told so."""

from typing import TYPE_CHECKING

from .redis import RedisRoom
from .room import Place

if TYPE_CHECKING:
    from durable_core.storage import Storage


_HOW = "appendfsync"


class EverySecondRoom(RedisRoom):
    """See `Room`."""

    def __init__(self, target: str) -> None:
        super().__init__(target.removesuffix("-everysec"))
        self._before = "always"

    def storage(self, place: Place) -> "Storage":
        """See `Room.storage`."""
        from durable_redis import RedisStorage  # noqa: PLC0415  # not for the sketch

        return RedisStorage.from_url(self.url, namespace=place.name, durability="ignore")

    async def create(self, place: Place) -> None:
        """See `Room.create`."""
        async with self._client() as client:
            self._before = (await client.config_get(_HOW))[_HOW]
            await client.config_set(_HOW, "everysec")

    async def drop(self, place: Place) -> None:
        """See `Room.drop`."""
        await super().drop(place)
        async with self._client() as client:
            await client.config_set(_HOW, self._before)


ROOM = EverySecondRoom
"""What every room has."""
