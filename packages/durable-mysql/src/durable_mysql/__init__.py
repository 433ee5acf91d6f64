"""A durable storage in a MySQL or MariaDB database, shared by any number of processes."""

from .metadata import tables
from .statistics import Statistics
from .storage import MySQLStorage

__all__ = ["MySQLStorage", "Statistics", "tables"]
