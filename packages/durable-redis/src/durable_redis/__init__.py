"""A durable storage in Redis or Valkey, shared by any number of processes and machines."""

from .settings import Durability
from .statistics import Statistics
from .storage import RedisStorage

__all__ = ["Durability", "RedisStorage", "Statistics"]
