"""Creating, migrating and inspecting the schema."""

import os
import re
import sqlite3
from collections.abc import Iterator
from typing import Final

from durable_core.storage import (
    PROTOCOL_VERSION,
    ProtocolMismatchError,
    SchemaMissingError,
    SchemaReport,
    SchemaTooNewError,
)

from .migrations import LATEST, MIGRATIONS, Migration
from .schema import INDEXES, LEASES, TABLES
from .session import Session, begin, retried
from .settings import Settings
from .writer import Writer

_TABLE_EXISTS: Final = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '~schema'"
_NEWEST: Final = "SELECT version, protocol FROM ~schema ORDER BY version DESC LIMIT 1"
_RECORD: Final = "INSERT INTO ~schema (version, name, protocol) VALUES (?, ?, ?)"
_OBJECTS: Final = "SELECT name FROM sqlite_master WHERE type IN ('table', 'index')"


def set_up(writer: Writer, settings: Settings, *, migrate: bool) -> SchemaReport:
    """Do what `Storage.setup` says; in the writer's thread."""
    if not migrate and settings.path is not None and not os.access(settings.path, os.F_OK):
        return SchemaReport(
            version=0, missing=(f"the file {settings.path}", *_all(settings.prefix))
        )
    # While another process creates the file, even a look at it may find it locked.
    return retried(lambda: _set_up(writer, settings, migrate=migrate), settings.busy_timeout)


def _set_up(writer: Writer, settings: Settings, *, migrate: bool) -> SchemaReport:
    session = writer.session(create=migrate)
    applied: list[str] = []
    if migrate:
        _use_log(session, settings)
        applied = _migrate(session, settings)
    version = _version(session, settings)
    missing = list(_missing(session, settings, version))
    if migrate and missing:
        msg = (
            f"{settings.path or 'the database'} says it has schema {version}, but this is missing: "
            f"{'; '.join(missing)}. Restore it from a backup, or use another prefix"
        )
        raise SchemaMissingError(msg)
    return SchemaReport(version=version, applied=applied, missing=missing)


def _use_log(session: Session, settings: Settings) -> None:
    """Switch the file to a write-ahead log, for good: readers then stand in nobody's way."""
    if settings.path is not None and session.control("PRAGMA journal_mode") != ("wal",):
        session.control("PRAGMA journal_mode = WAL")


def _migrate(session: Session, settings: Settings) -> list[str]:
    if settings.path is None:
        session.connection.execute(session.texts[LEASES])
    if _version(session, settings) == LATEST:
        return []
    begin(session, settings.busy_timeout)
    try:
        # Another process may have done it while this one waited.
        todo = [step for step in MIGRATIONS if step.number > _version(session, settings)]
        for step in todo:
            _carry_out(session, step)
        session.control("COMMIT")
    except BaseException:
        if session.connection.in_transaction:
            session.control("ROLLBACK")
        raise
    return [step.name for step in todo]


def _carry_out(session: Session, step: Migration) -> None:
    for text in step.statements:
        session.run(text)
    session.run(_RECORD, (step.number, step.name, step.protocol))


def _version(session: Session, settings: Settings) -> int:
    """Return the schema's version, 0 if there is none.

    Raises:
        SchemaTooNewError: A newer release made it.
        ProtocolMismatchError: It serves a newer protocol.
    """
    newest = session.row(_NEWEST) if session.row(_TABLE_EXISTS) is not None else None
    if newest is None:
        return 0
    version, protocol = newest
    place = settings.path or "the database"
    if version > LATEST:
        msg = (
            f"{place}: the schema with prefix {settings.prefix!r} has version {version}, this "
            f"durable-sqlite knows versions up to {LATEST}: upgrade durable-sqlite"
        )
        raise SchemaTooNewError(msg)
    if protocol > PROTOCOL_VERSION:
        msg = (
            f"{place}: the schema with prefix {settings.prefix!r} serves storage protocol "
            f"{protocol}, this durable-sqlite speaks {PROTOCOL_VERSION}: upgrade durable-sqlite"
        )
        raise ProtocolMismatchError(msg)
    return int(version)


def _missing(session: Session, settings: Settings, version: int) -> Iterator[str]:
    if settings.path is not None and session.control("PRAGMA journal_mode") != ("wal",):
        yield "journal mode WAL"
    yield from (f"migration {step.name}" for step in MIGRATIONS if step.number > version)
    there = {row[0] for row in session.rows(_OBJECTS)}
    for table, columns in _wanted_tables(settings.prefix).items():
        if table not in there:
            yield f"table {table}"
            continue
        present = {row[1] for row in session.rows(f'PRAGMA table_info("{table}")')}
        yield from (f"column {table}.{name}" for name in columns if name not in present)
    yield from (f"index {name}" for name in _wanted_indexes(settings.prefix) if name not in there)


def _all(prefix: str) -> Iterator[str]:
    yield from (f"table {name}" for name in _wanted_tables(prefix))
    yield from (f"index {name}" for name in _wanted_indexes(prefix))


def _wanted_tables(prefix: str) -> dict[str, list[str]]:
    """Return the columns of every table, as the schema's text says."""
    connection = sqlite3.connect(":memory:")
    try:
        for text in TABLES:
            connection.execute(text.replace("~", prefix))
        names = [
            row[0]
            for row in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid"
            )
        ]
        return {
            name: [row[1] for row in connection.execute(f'PRAGMA table_info("{name}")')]
            for name in names
        }
    finally:
        connection.close()


def _wanted_indexes(prefix: str) -> list[str]:
    return [prefix + name for text in INDEXES for name in re.findall(r"INDEX ~(\w+) ON", text)]
