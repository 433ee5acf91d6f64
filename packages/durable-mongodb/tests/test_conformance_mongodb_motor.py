"""MongoDB keeps every promise of the storage protocol through a client of Motor, too."""

from contextlib import AbstractAsyncContextManager

from mongodb_hooks import MongoHooks, motor_through_proxy

from durable_conformance import StorageConformance
from durable_core.storage import Storage


class TestMongoMotor(MongoHooks, StorageConformance):
    def open(self, namespace: str) -> AbstractAsyncContextManager[Storage]:
        return motor_through_proxy(*self.place(namespace))
