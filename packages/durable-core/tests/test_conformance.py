"""Certify MemoryStorage."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import ClassVar

from durable_conformance import StorageConformance
from durable_core.storage import MemoryStorage, Storage


class TestMemory(StorageConformance):
    """MemoryStorage keeps every promise of the protocol."""

    shared: ClassVar[dict[str, MemoryStorage]] = {}

    @asynccontextmanager
    async def open(self, namespace: str) -> AsyncGenerator[Storage]:
        """Open a handle; handles on one namespace share their data."""
        first = self.shared.setdefault(namespace, MemoryStorage())
        storage = MemoryStorage(sharing=first)
        yield storage
        await storage.close()

    async def drop(self, namespace: str) -> None:
        """Forget the data."""
        self.shared.pop(namespace, None)
