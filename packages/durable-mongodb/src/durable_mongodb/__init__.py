"""A durable storage in a MongoDB replica set, shared by processes and machines."""

from .errors import TransactionUndoneError
from .statistics import Statistics
from .storage import MongoStorage

__all__ = ["MongoStorage", "Statistics", "TransactionUndoneError"]
