"""MongoDB: a database per run."""

from typing import TYPE_CHECKING, Any

from pymongo import AsyncMongoClient

from ..sample import Counts
from ..sketch.mongodb import MongoStore
from ..sketch.store import Store
from .room import Place, Room

if TYPE_CHECKING:
    from durable_core.storage import Storage


class MongoRoom(Room):
    """See `Room`."""

    copies = False

    def storage(self, place: Place) -> "Storage":
        """See `Room.storage`."""
        from durable_mongodb import MongoStorage  # noqa: PLC0415  # not for the sketch

        return MongoStorage.from_url(self.url, database=place.name)

    def store(self, place: Place) -> Store:
        """See `Room.store`."""
        return MongoStore(self.url, place.name)

    def _said(self, statistics: Any) -> Counts:
        """See `Room`."""
        return Counts(
            statements=statistics.commands,
            table_statements=statistics.commands,
            commits=statistics.commits,
        )

    async def drop(self, place: Place) -> None:
        """See `Room.drop`."""
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(self.url)
        try:
            await client.drop_database(place.name)
        finally:
            await client.close()


ROOM = MongoRoom
