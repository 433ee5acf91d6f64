"""The least that any asyncio engine must do: a floor to measure the engine against.

Arguments are encoded, an execution is stored already claimed, run as an asyncio task of its own,
and its result is stored by a fenced update; writes that arrive while a commit is in flight share
the next one. There are no retries, leases, policies, hooks or validation: what an engine adds to
this floor is what it costs.
"""

from .apart import Enqueuer, Worker
from .memory import MemoryStore
from .runner import Sketch
from .sqlite import SqliteStore
from .store import Row, SharedStore, Store

__all__ = [
    "Enqueuer",
    "MemoryStore",
    "Row",
    "SharedStore",
    "Sketch",
    "SqliteStore",
    "Store",
    "Worker",
]
