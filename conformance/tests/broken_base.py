"""What storages that are broken on purpose have in common."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from durable_conformance import StorageConformance
from durable_core.storage import MemoryStorage, Record, Storage
from durable_core.storage.memory.tables import Tables


class Broken(MemoryStorage):
    """A memory storage with one fault."""

    promise: ClassVar[str]
    fault: ClassVar[str]

    @classmethod
    def author(cls) -> type[StorageConformance]:
        """Return the class that tries to certify it."""

        class TestIt(InMemory):
            kind: ClassVar[type[MemoryStorage]] = cls

        return TestIt

    def tables(self) -> Tables:
        """The data, for faults to spoil."""
        return self._space.tables

    def spoil(self, id_: str, **values: Any) -> None:
        """Overwrite fields of a row, as no method of a storage should."""
        row = self.tables().rows[id_]
        fields = {name: getattr(row, name) for name in Record.__dataclass_fields__}
        self.tables().put(Record(**{**fields, **values}))


async def pause() -> None:
    """Let all others go on: here a careless storage waits between looking and writing."""
    for _ in range(25):
        await asyncio.sleep(0)


class InMemory(StorageConformance):
    """How an author certifies a storage that lives in memory."""

    kind: ClassVar[type[MemoryStorage]]
    spaces: ClassVar[dict[str, MemoryStorage]]

    def __init_subclass__(cls) -> None:
        cls.spaces = {}

    @asynccontextmanager
    async def open(self, namespace: str) -> AsyncGenerator[Storage]:
        storage = self.kind(sharing=self.spaces.setdefault(namespace, self.kind()))
        yield storage
        await storage.close()

    async def drop(self, namespace: str) -> None:
        self.spaces.pop(namespace, None)
