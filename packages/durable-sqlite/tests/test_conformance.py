"""SQLite keeps every promise of the storage protocol."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from durable_conformance import StorageConformance
from durable_core.storage import Storage
from durable_sqlite import SQLiteStorage


class TestSQLite(StorageConformance):
    @asynccontextmanager
    async def open(self, namespace: str) -> AsyncIterator[Storage]:
        storage = SQLiteStorage(self.folder / f"{namespace}.db")
        try:
            yield storage
        finally:
            await storage.close()
