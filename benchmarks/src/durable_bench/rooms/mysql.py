"""MySQL and MariaDB: a database per run, and the servers' own counters."""

import importlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..sample import Counts
from ..sketch.mysql import MySQLStore, connect
from ..sketch.store import Store
from .room import Place, Room

if TYPE_CHECKING:
    from durable_core.storage import Storage

_STATUS = (
    "SHOW GLOBAL STATUS WHERE variable_name IN ('Questions', 'Innodb_os_log_written', {names})"
)
_OF_TABLES = (
    "Com_select", "Com_insert", "Com_insert_select", "Com_update", "Com_update_multi",
    "Com_delete", "Com_delete_multi",
)  # fmt: skip
_COMMITS = "trx_rw_commits"
"""Counted by InnoDB when it is told to: transactions that wrote."""

_AUDIT = """
CREATE TRIGGER audit_{event} AFTER {event} ON durable_executions FOR EACH ROW
INSERT INTO audit SELECT NEW.id FROM (SELECT 1) AS one
WHERE NEW.finished_at IS NOT NULL AND {before} IS NULL
"""


class MySQLRoom(Room):
    """See `Room`."""

    copies = False

    def storage(self, place: Place) -> "Storage":
        """See `Room.storage`."""
        from durable_mysql import MySQLStorage  # noqa: PLC0415  # not for the sketch

        return MySQLStorage.from_url(self._url(place))

    def store(self, place: Place) -> Store:
        """See `Room.store`."""
        return MySQLStore(self._url(place))

    def _url(self, place: Place) -> str:
        return urlsplit(self.url)._replace(path=f"/{place.name}").geturl()

    @asynccontextmanager
    async def _cursor(self, url: str) -> AsyncGenerator[Any]:
        connection = await connect(url)
        try:
            yield await connection.cursor(importlib.import_module("aiomysql").Cursor)
        finally:
            connection.close()

    async def create(self, place: Place) -> None:
        """See `Room.create`."""
        async with self._cursor(self.url) as cursor:
            await cursor.execute(f"CREATE DATABASE {place.name} CHARACTER SET utf8mb4")

    async def drop(self, place: Place) -> None:
        """See `Room.drop`."""
        async with self._cursor(self.url) as cursor:
            await cursor.execute(f"DROP DATABASE {place.name}")

    async def settle(self, place: Place) -> None:
        """See `Room.settle`."""
        async with self._cursor(self._url(place)) as cursor:
            await cursor.execute("SHOW TABLES")
            tables = [row[0] for row in await cursor.fetchall()]
            for table in tables:
                await cursor.execute(f"ANALYZE TABLE {table}")

    async def counts(self, place: Place) -> Counts | None:
        """See `Room.counts`. The whole server's: it has one run at a time."""
        names = ", ".join(f"'{name}'" for name in _OF_TABLES)
        async with self._cursor(self.url) as cursor:
            await cursor.execute(f"SET GLOBAL innodb_monitor_enable = '{_COMMITS}'")
            await cursor.execute(_STATUS.format(names=names))
            found = {name.lower(): int(value) for name, value in await cursor.fetchall()}
            await cursor.execute(
                f"SELECT count FROM information_schema.innodb_metrics WHERE name = '{_COMMITS}'"  # noqa: S608
            )
            ((commits,),) = await cursor.fetchall()
        return Counts(
            statements=found["questions"],
            table_statements=sum(found[name.lower()] for name in _OF_TABLES),
            commits=int(commits),
            wal_bytes=found["innodb_os_log_written"],
        )

    async def audit(self, place: Place) -> bool:
        """See `Room.audit`."""
        async with self._cursor(self._url(place)) as cursor:
            await cursor.execute("CREATE TABLE audit (id VARCHAR(255) NOT NULL)")
            for event, before in (("UPDATE", "OLD.finished_at"), ("INSERT", "NULL")):
                await cursor.execute(_AUDIT.format(event=event, before=before))
        return True

    async def ends(self, place: Place) -> Mapping[str, int]:
        """See `Room.ends`."""
        async with self._cursor(self._url(place)) as cursor:
            await cursor.execute("SELECT id, COUNT(*) FROM audit GROUP BY id")
            rows = await cursor.fetchall()
        return {row[0]: row[1] for row in rows}


ROOM = MySQLRoom
