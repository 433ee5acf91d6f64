"""A durable storage in a PostgreSQL database, shared by any number of processes and machines."""

from .metadata import tables
from .statistics import Statistics
from .storage import PostgresStorage

__all__ = ["PostgresStorage", "Statistics", "tables"]
