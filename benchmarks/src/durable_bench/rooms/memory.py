"""The memory storage: there is no server, and nothing outlives the process."""

from typing import TYPE_CHECKING

from ..sketch.memory import MemoryStore
from ..sketch.store import Store
from .room import Place, Room

if TYPE_CHECKING:
    from durable_core.storage import Storage


class MemoryRoom(Room):
    """See `Room`."""

    shared = False
    copies = False
    served = False

    def storage(self, place: Place) -> "Storage":
        """See `Room.storage`."""
        from durable_core.storage import MemoryStorage  # noqa: PLC0415  # not for the sketch

        return MemoryStorage()

    def store(self, place: Place) -> Store:
        """See `Room.store`."""
        return MemoryStore()


ROOM = MemoryRoom
