"""What a server does to carry out a call: its plans, and how many rows it looked at."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

import pytest

from durable_mysql import MySQLStorage, session
from durable_mysql.drivers import Driver, Result, query, quiet_cursor

_READS = "SHOW SESSION STATUS LIKE 'Handler_read%'"
_READING = ("SELECT", "(SELECT", "UPDATE", "DELETE")
_FORMAT = {"mysql": "EXPLAIN FORMAT=TRADITIONAL ", "mariadb": "EXPLAIN "}


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """How one statement reads one table.

    Attributes:
        table: Its name without the prefix.
        index: By which index; None stands for none.
        whole: Whether everything in the table or the index is read.
        sorts: Whether the rows are sorted.
    """

    table: str
    index: str | None
    whole: bool
    sorts: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A call that was carried out.

    Attributes:
        reads: How its statements read tables.
        rows: How many rows the server has looked at, in tables and in its temporary ones.
    """

    reads: set[Read]
    rows: int

    def indexes(self, table: str) -> set[str | None]:
        """Return by which indexes a table was read; None stands for none."""
        return {read.index for read in self.reads if read.table == table}

    def bad(self, *tables: str) -> set[Read]:
        """Return what reads whole tables or sorts them, of the tables that grow."""
        return {read for read in self.reads if read.table in tables and (read.whole or read.sorts)}


async def plan_of(server: str, storage: MySQLStorage, call: Awaitable[object]) -> Plan:
    """Make a call of a storage that has one connection; return what its server did."""
    sent: list[str] = []

    async def recorded(driver: Driver, packet: str) -> list[Result]:
        sent.append(packet)
        return await query(driver, packet)

    before = await _looked_at(storage)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "query", recorded)
        await call
    rows = await _looked_at(storage) - before
    texts = {text for packet in sent for text in packet.split(";") if text.startswith(_READING)}
    reads = {read for text in sorted(texts) for read in await _reads(server, storage, text)}
    return Plan(reads=reads, rows=rows)


async def _looked_at(storage: MySQLStorage) -> int:
    rows = await storage._database.read(lambda s: s.rows(_READS))
    return sum(int(row[1]) for row in rows)


async def _reads(server: str, storage: MySQLStorage, text: str) -> list[Read]:
    async def explain(one: session.Session) -> list[dict[str, Any]]:
        cursor: Any = await one.driver.cursor(quiet_cursor("aiomysql"))
        await cursor.execute(_FORMAT[server] + text)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]

    prefix = storage._settings.prefix
    aliases = {"r": "executions", "p": "executions", "e": "executions", "c": "checkpoints"}
    found: list[Read] = []
    for one in await storage._database.read(explain):
        name = str(one["table"])
        table = aliases.get(name) or name.removeprefix(prefix)
        if name in aliases or name.startswith(prefix):
            found.append(
                Read(
                    table=table,
                    index=one["key"],
                    whole=one["type"] in {"ALL", "index"} and "LIMIT" not in text,
                    sorts="filesort" in str(one["Extra"]),
                )
            )
    return found
