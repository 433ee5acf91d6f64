"""Creating, migrating and inspecting the schema."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from durable_core.storage import (
    PROTOCOL_VERSION,
    PermanentError,
    ProtocolMismatchError,
    SchemaMissingError,
    SchemaReport,
    SchemaTooNewError,
    TemporaryError,
)

from .literals import name, number, text
from .metadata import tables
from .migrations import LATEST, MIGRATIONS, Migration
from .session import Session
from .settings import Settings

_LOCK_WAIT: Final = 30
"""Seconds to wait for another process that is changing the schema."""

_TABLES: Final = "SELECT table_name AS t FROM information_schema.tables WHERE table_schema = {}"
_COLUMNS: Final = (
    "SELECT table_name AS t, column_name AS c FROM information_schema.columns "
    "WHERE table_schema = {}"
)
_INDEXES: Final = (
    "SELECT DISTINCT table_name AS t, index_name AS i FROM information_schema.statistics "
    "WHERE table_schema = {}"
)
_NEWEST: Final = "SELECT version, protocol FROM ~schema ORDER BY version DESC LIMIT 1"
_RECORD: Final = "INSERT INTO ~schema (version, name, protocol) VALUES (%s, %s, %s)"


async def set_up(
    session: Session, settings: Settings, place: str, *, migrate: bool
) -> SchemaReport:
    """Do what `Storage.setup` says."""
    await _check_isolation(session, settings, place)
    applied: list[str] = []
    if migrate and await _version(session, settings, place) < LATEST:
        applied = await _migrate(session, settings, place)
    version = await _version(session, settings, place)
    missing = await _missing(session, settings, version)
    if migrate and missing:
        msg = (
            f"{place} says that prefix {settings.prefix!r} has version {version}, but this is "
            f"missing: {'; '.join(missing)}. Restore it from a backup, or use another prefix"
        )
        raise SchemaMissingError(msg)
    return SchemaReport(version=version, applied=applied, missing=missing)


async def _check_isolation(session: Session, settings: Settings, place: str) -> None:
    if not settings.own:
        # Every transaction on a caller's connection begins with its level.
        return
    rows = await session.rows(f"SELECT {session.server.flavor.isolation}")
    level = str(rows[0][0])
    if level != "READ-COMMITTED":
        msg = (
            f"{place}: the connection has isolation level {level}, although READ COMMITTED was "
            "set: does a proxy stand between that hands out other connections?"
        )
        raise PermanentError(msg)


async def _migrate(session: Session, settings: Settings, place: str) -> list[str]:
    # Several starters at once: one migrates, the others wait and find it done.
    lock = text(settings.lock)
    rows = await session.rows(f"SELECT GET_LOCK({lock}, {_LOCK_WAIT})")
    if rows[0][0] != 1:
        msg = f"{place}: another process has been changing the schema for {_LOCK_WAIT} seconds"
        raise TemporaryError(msg)
    try:
        found = await _version(session, settings, place)
        todo = [step for step in MIGRATIONS if step.number > found]
        for step in todo:
            await _carry_out(session, step)
    finally:
        with suppress(Exception):
            await session.rows(f"SELECT RELEASE_LOCK({lock})")
    return [step.name for step in todo]


async def _carry_out(session: Session, step: Migration) -> None:
    for statement in step.statements:
        await session.write(session.fill(statement))
    values = (number(step.number), text(step.name), number(step.protocol))
    await session.write(session.fill(_RECORD, *values))


async def _version(session: Session, settings: Settings, place: str) -> int:
    """Return the schema's version, 0 if there is none.

    Raises:
        SchemaTooNewError: A newer release made it.
        ProtocolMismatchError: It serves a newer protocol.
    """
    there = await session.rows(_TABLES.format(name(settings.database)))
    if f"{settings.prefix}schema" not in {_word(row[0]) for row in there}:
        return 0
    newest = await session.rows(session.fill(_NEWEST))
    if not newest:
        return 0
    version, protocol = newest[0]
    where = f"{place}: prefix {settings.prefix!r}"
    if version > LATEST:
        msg = (
            f"{where} has version {version}, this durable-mysql knows versions up to {LATEST}: "
            "upgrade durable-mysql"
        )
        raise SchemaTooNewError(msg)
    if protocol > PROTOCOL_VERSION:
        msg = (
            f"{where} serves storage protocol {protocol}, this durable-mysql speaks "
            f"{PROTOCOL_VERSION}: upgrade durable-mysql"
        )
        raise ProtocolMismatchError(msg)
    return int(version)


async def _missing(session: Session, settings: Settings, version: int) -> list[str]:
    database = name(settings.database)
    columns: dict[str, set[str]] = {}
    for table, column in await session.rows(_COLUMNS.format(database)):
        columns.setdefault(_word(table), set()).add(_word(column))
    indexes = {
        (_word(table), _word(index))
        for table, index in await session.rows(_INDEXES.format(database))
    }
    steps = [f"migration {step.name}" for step in MIGRATIONS if step.number > version]
    return [*steps, *_wanted(settings, columns, indexes)]


def _wanted(
    settings: Settings, columns: dict[str, set[str]], indexes: set[tuple[str, str]]
) -> Iterator[str]:
    for table in tables(prefix=settings.prefix):
        if table.name not in columns:
            yield f"table {table.name}"
            continue
        yield from (
            f"column {table.name}.{column.name}"
            for column in table.columns
            if column.name not in columns[table.name]
        )
        wanted = sorted(str(index.name) for index in table.indexes)
        yield from (
            f"index {one} of {table.name}" for one in wanted if (table.name, one) not in indexes
        )


def _word(value: object) -> str:
    """Return a name of the catalog's, which some servers give as bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)
