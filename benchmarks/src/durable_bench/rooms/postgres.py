"""PostgreSQL: a database per run, copied from a filled one; the server's own statistics."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

import asyncpg

from ..sample import Counts
from ..sketch.postgres import PostgresStore
from ..sketch.store import Store
from .room import Place, Room

if TYPE_CHECKING:
    from durable_core.storage import Storage

    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    Connection: TypeAlias = asyncpg.Connection

_COUNTS = """
SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS commits,
    pg_current_wal_insert_lsn() - '0/0'::pg_lsn AS wal,
    (SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements
        WHERE dbid = (SELECT oid FROM pg_database WHERE datname = $1)) AS statements
"""
"""A transaction that writes takes a number, one that reads takes none."""

_AUDIT = """
CREATE TABLE audit (id text NOT NULL);
CREATE FUNCTION audit_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO audit VALUES (new.id); RETURN NULL; END $$;
CREATE TRIGGER audit_end AFTER UPDATE ON durable_executions FOR EACH ROW
WHEN (new.finished_at IS NOT NULL AND old.finished_at IS NULL) EXECUTE FUNCTION audit_end();
CREATE TRIGGER audit_birth AFTER INSERT ON durable_executions FOR EACH ROW
WHEN (new.finished_at IS NOT NULL) EXECUTE FUNCTION audit_end();
"""

_MULTIPLY = """
INSERT INTO durable_executions (id, root_id, due, {columns})
SELECT '{name}-' || n, '{name}-' || n, {due}, {columns}
FROM durable_executions, generate_series(1, $1::bigint - 1) AS n WHERE id = '{name}-0'
"""


class PostgresRoom(Room):
    """See `Room`."""

    def storage(self, place: Place) -> "Storage":
        """See `Room.storage`."""
        from durable_postgres import PostgresStorage  # noqa: PLC0415  # not for the sketch

        return PostgresStorage.from_url(self._url(place))

    def store(self, place: Place) -> Store:
        """See `Room.store`."""
        return PostgresStore(self._url(place))

    def _url(self, place: Place) -> str:
        return urlsplit(self.url)._replace(path=f"/{place.name}").geturl()

    @asynccontextmanager
    async def _connected(self, url: str) -> AsyncGenerator[Connection]:
        connection = await asyncpg.connect(url)
        try:
            yield connection
        finally:
            await connection.close()

    async def create(self, place: Place) -> None:
        """See `Room.create`."""
        async with self._connected(self.url) as server:
            await server.execute(f"CREATE DATABASE {place.name}")

    async def drop(self, place: Place) -> None:
        """See `Room.drop`."""
        async with self._connected(self.url) as server:
            await server.execute("SET client_min_messages = warning")
            await server.execute(f"DROP DATABASE IF EXISTS {place.name} WITH (FORCE)")

    async def copy(self, template: Place, place: Place) -> None:
        """See `Room.copy`."""
        place.folder.mkdir()
        async with self._connected(self.url) as server:
            await server.execute(f"CREATE DATABASE {place.name} TEMPLATE {template.name}")
            await server.execute("CHECKPOINT")

    async def fill(self, place: Place, storage: "Storage", finished: int, scheduled: int) -> None:
        """See `Room.fill`. One row of each kind by the protocol, copied by the server."""
        from ..engine.fill import WEEK_US, fill  # noqa: PLC0415  # not for the sketch

        await fill(storage, finished=min(finished, 1), scheduled=min(scheduled, 1))
        async with self._connected(self._url(place)) as database:
            columns = await _columns(database)
            for name, count, due in (
                ("finished", finished, "due"),
                ("scheduled", scheduled, f"due + n % {WEEK_US}"),
            ):
                text = _MULTIPLY.format(name=name, due=due, columns=columns)
                await database.execute(text, count)

    async def settle(self, place: Place) -> None:
        """See `Room.settle`."""
        async with self._connected(self._url(place)) as database:
            await database.execute("VACUUM (ANALYZE)")
            await database.execute("CHECKPOINT")

    async def counts(self, place: Place) -> Counts | None:
        """See `Room.counts`. Needs `pg_stat_statements` in the server's preloaded libraries."""
        # From another database, so that looking is not counted.
        async with self._connected(self.url) as server:
            loaded = await server.fetchval("SHOW shared_preload_libraries")
            if "pg_stat_statements" not in str(loaded):
                return None
            await server.execute("SET client_min_messages = warning")
            await server.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
            row: Any = await server.fetchrow(_COUNTS, place.name)
        return Counts(
            statements=row["statements"],
            table_statements=row["statements"],
            commits=row["commits"],
            wal_bytes=int(row["wal"]),
        )

    async def audit(self, place: Place) -> bool:
        """See `Room.audit`."""
        async with self._connected(self._url(place)) as database:
            await database.execute(_AUDIT)
        return True

    async def ends(self, place: Place) -> Mapping[str, int]:
        """See `Room.ends`."""
        async with self._connected(self._url(place)) as database:
            rows = await database.fetch("SELECT id, count(*) AS times FROM audit GROUP BY id")
        return {row["id"]: row["times"] for row in rows}


async def _columns(database: Connection) -> str:
    """Return the columns that copies of a row have in common with it."""
    rows = await database.fetch(
        "SELECT quote_ident(attname) AS name FROM pg_attribute WHERE attrelid = "
        "'durable_executions'::regclass AND attnum > 0 AND NOT attisdropped "
        "AND attname NOT IN ('id', 'root_id', 'due')"
    )
    return ", ".join(row["name"] for row in rows)


ROOM = PostgresRoom
