"""PostgreSQL keeps every promise of the storage protocol."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from durable_conformance import StorageConformance
from durable_core.storage import Storage
from durable_postgres import PostgresStorage
import os

class TestPostgres(StorageConformance):
    @asynccontextmanager
    async def open(self, namespace: str) -> AsyncIterator[Storage]:
        storage = PostgresStorage.from_url(os.environ["DURABLE_TEST_POSTGRES_URL"], schema=namespace)
        try:
            yield storage
        finally:
            await storage.close()
