"""MySQL and MariaDB: a database per run; the server's own statistics."""

# ruff: noqa: S608 - texts are made of names that are made here

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

_DIGITS = " UNION ALL ".join(f"SELECT {digit} AS n" for digit in range(10))
_NUMBERS = f"""
SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n + 100000 * f.n AS n
FROM ({_DIGITS}) a, ({_DIGITS}) b, ({_DIGITS}) c, ({_DIGITS}) d, ({_DIGITS}) e, ({_DIGITS}) f
"""
"""Every number below a million, by what both servers understand."""

_MULTIPLY = """
INSERT INTO durable_executions (id, root_id, due, {columns})
SELECT CONCAT('{name}-', x.n), CONCAT('{name}-', x.n), {due}, {columns}
FROM durable_executions, ({numbers}) x WHERE id = '{name}-0' AND x.n BETWEEN 1 AND %s - 1
"""

_AUDIT = (
    "CREATE TABLE audit (id VARCHAR(255) NOT NULL)",
    """
CREATE TRIGGER audit_end AFTER UPDATE ON durable_executions FOR EACH ROW
INSERT INTO audit SELECT NEW.id FROM DUAL
WHERE NEW.finished_at IS NOT NULL AND OLD.finished_at IS NULL
""",
    """
CREATE TRIGGER audit_birth AFTER INSERT ON durable_executions FOR EACH ROW
INSERT INTO audit SELECT NEW.id FROM DUAL WHERE NEW.finished_at IS NOT NULL
""",
)

_TABLES = ("Com_select", "Com_insert", "Com_update", "Com_delete", "Com_insert_select",
           "Com_update_multi", "Com_delete_multi", "Com_replace")  # fmt: skip


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
            async with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    async def create(self, place: Place) -> None:
        """See `Room.create`."""
        async with self._cursor(self.url) as server:
            await server.execute(f"CREATE DATABASE {place.name}")

    async def drop(self, place: Place) -> None:
        """See `Room.drop`."""
        async with self._cursor(self.url) as server:
            await server.execute("SET sql_notes = 0")
            await server.execute(f"DROP DATABASE IF EXISTS {place.name}")

    async def fill(self, place: Place, storage: "Storage", finished: int, scheduled: int) -> None:
        """See `Room.fill`. One row of each kind by the protocol, copied by the server."""
        from ..engine.fill import WEEK_US, fill  # noqa: PLC0415  # not for the sketch

        await fill(storage, finished=min(finished, 1), scheduled=min(scheduled, 1))
        async with self._cursor(self._url(place)) as database:
            columns = await _columns(database)
            for name, count, due in (
                ("finished", finished, "due"),
                ("scheduled", scheduled, f"due + x.n MOD {WEEK_US}"),
            ):
                text = _MULTIPLY.format(name=name, due=due, columns=columns, numbers=_NUMBERS)
                await database.execute(text, (count,))

    async def settle(self, place: Place) -> None:
        """See `Room.settle`."""
        async with self._cursor(self._url(place)) as database:
            await database.execute("SHOW TABLES")
            for (table,) in await database.fetchall():
                await database.execute(f"ANALYZE TABLE {table}")
                await database.fetchall()

    async def counts(self, place: Place) -> Counts | None:
        """See `Room.counts`. Of the whole server, on which nothing else goes on."""
        async with self._cursor(self.url) as server:
            await server.execute("SHOW GLOBAL STATUS")
            found = {str(name): str(value) for name, value in await server.fetchall()}
        return Counts(
            statements=int(found["Questions"]),
            table_statements=sum(int(found.get(name, 0)) for name in _TABLES),
            commits=int(found["Com_commit"]),
            wal_bytes=int(found["Innodb_os_log_written"]),
        )

    async def audit(self, place: Place) -> bool:
        """See `Room.audit`."""
        async with self._cursor(self._url(place)) as database:
            for text in _AUDIT:
                await database.execute(text)
        return True

    async def ends(self, place: Place) -> Mapping[str, int]:
        """See `Room.ends`."""
        async with self._cursor(self._url(place)) as database:
            await database.execute("SELECT id, count(*) FROM audit GROUP BY id")
            return {str(id_): int(times) for id_, times in await database.fetchall()}


async def _columns(database: Any) -> str:
    """Return the columns that copies of a row have in common with it."""
    await database.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = DATABASE() "
        "AND table_name = 'durable_executions' AND column_name NOT IN ('id', 'root_id', 'due')"
    )
    return ", ".join(f"`{name}`" for (name,) in await database.fetchall())


ROOM = MySQLRoom
