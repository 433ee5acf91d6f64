"""A durable storage in a MongoDB replica set, shared by processes and machines."""

from .statistics import Statistics
from .storage import MongoStorage

__all__ = ["MongoStorage", "Statistics"]
