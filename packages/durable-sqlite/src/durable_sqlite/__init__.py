"""A durable storage in one SQLite file, shared by several processes."""

from .settings import Synchronous
from .statistics import Statistics
from .storage import SQLiteStorage

__all__ = ["SQLiteStorage", "Statistics", "Synchronous"]
