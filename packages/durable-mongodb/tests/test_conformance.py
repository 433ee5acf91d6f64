"""MongoDB keeps every promise of the storage protocol."""

from contextlib import AbstractAsyncContextManager

from mongodb_hooks import MongoHooks, through_proxy

from durable_conformance import StorageConformance
from durable_core.storage import Storage


class TestMongo(MongoHooks, StorageConformance):
    def open(self, namespace: str) -> AbstractAsyncContextManager[Storage]:
        return through_proxy(*self.place(namespace))
