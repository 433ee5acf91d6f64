"""PostgreSQL keeps every promise of the storage protocol."""

from contextlib import AbstractAsyncContextManager

from postgres_hooks import PostgresHooks, through_proxy

from durable_conformance import StorageConformance
from durable_core.storage import Storage


class TestPostgres(PostgresHooks, StorageConformance):
    def open(self, namespace: str) -> AbstractAsyncContextManager[Storage]:
        return through_proxy(namespace)
