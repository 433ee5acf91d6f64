"""A room per storage: how to open it, fill it and ask its server, for whoever measures or kills.

A new storage is one module here with a `ROOM`, and a line in `ROOMS`.
"""

import importlib
from collections.abc import Mapping
from typing import Final

from .room import Place, Room

__all__ = ["ROOMS", "Place", "Room", "room_of"]

ROOMS: Final[Mapping[str, str]] = {
    "memory": "memory",
    "sqlite": "sqlite",
    "postgres": "postgres",
    "mysql": "mysql",
    "mariadb": "mysql",
    "redis": "redis",
    "redis-everysec": "redis_everysec",
    "valkey": "redis",
    "mongodb": "mongodb",
}
"""Target → the module here that serves it."""


def room_of(target: str) -> Room:
    """Return a target's room; its drivers are loaded by this, and no others.

    Args:
        target: One of `ROOMS`.
    """
    module = importlib.import_module(f".{ROOMS[target]}", __name__)
    make: type[Room] = module.ROOM
    return make(target)
