"""MariaDB keeps every promise of the storage protocol."""

from contextlib import AbstractAsyncContextManager

from mysql_hooks import MySQLHooks, through_proxy

from durable_conformance import StorageConformance
from durable_core.storage import Storage


class TestMariaDB(MySQLHooks, StorageConformance):
    server = "mariadb"

    def open(self, namespace: str) -> AbstractAsyncContextManager[Storage]:
        return through_proxy(self.server, f"{namespace}_")
