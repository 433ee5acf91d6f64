"""Certify SQLiteStorage."""

import sqlite3
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, closing

from durable_conformance import StorageConformance
from durable_core.storage import Storage
from durable_sqlite import SQLiteStorage


class TestSQLite(StorageConformance):
    """SQLiteStorage keeps every promise of the protocol."""

    @asynccontextmanager
    async def open(self, namespace: str) -> AsyncGenerator[Storage]:
        """Open a handle on a file of the namespace's own."""
        storage = SQLiteStorage(self.folder / f"{namespace}.db")
        yield storage
        await storage.close()

    @asynccontextmanager
    async def transaction(self, storage: Storage) -> AsyncGenerator["CallersTransaction"]:
        """Begin a transaction of the standard library's driver."""
        assert isinstance(storage, SQLiteStorage)
        with closing(sqlite3.connect(storage.path or "")) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY)")
            yield CallersTransaction(connection)

    async def newer_schema(self, namespace: str) -> None:
        """Record a migration that this release does not know."""
        with closing(sqlite3.connect(self.folder / f"{namespace}.db")) as connection, connection:
            connection.execute("INSERT INTO durable_schema VALUES (1000, '1000_later', 1)")

    async def versions(self, storage: Storage) -> Mapping[str, str]:
        """Name the library."""
        return {"SQLite": sqlite3.sqlite_version}


class CallersTransaction:
    """A transaction with a table of the caller's own."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.tx = connection

    async def write(self) -> None:
        """Insert a row."""
        self.tx.execute("INSERT INTO orders DEFAULT VALUES")

    async def commit(self) -> None:
        """Commit."""
        self.tx.commit()

    async def rollback(self) -> None:
        """Roll back."""
        self.tx.rollback()
