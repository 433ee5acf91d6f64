"""Creating, migrating and inspecting the schema."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from durable_core.storage import (
    PROTOCOL_VERSION,
    ProtocolMismatchError,
    SchemaMissingError,
    SchemaReport,
    SchemaTooNewError,
)

from .metadata import tables
from .migrations import LATEST, MIGRATIONS, Migration
from .session import Session
from .settings import Settings

_SCHEMA_EXISTS: Final = "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1"
_TABLE_EXISTS: Final = "SELECT to_regclass($1) IS NOT NULL"
_NEWEST: Final = "SELECT version, protocol FROM ~schema ORDER BY version DESC LIMIT 1"
_RECORD: Final = "INSERT INTO ~schema (version, name, protocol) VALUES ($1, $2, $3)"
_COLUMNS: Final = (
    "SELECT c.relname, a.attname FROM pg_catalog.pg_class c "
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid "
    "WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped"
)
_INDEXES: Final = (
    "SELECT c.relname FROM pg_catalog.pg_class c "
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid WHERE n.nspname = $1 AND i.indisvalid"
)
_SERVER: Final = (
    "SELECT current_setting('server_version'), current_setting('fsync'), "
    "current_setting('synchronous_commit'), current_setting('full_page_writes')"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What decides about durability, as the server says.

    Attributes:
        version: The server's version.
        fsync: Whether it waits for the disk at all.
        synchronous_commit: When it answers a commit.
        full_page_writes: Whether it survives torn pages.
    """

    version: str
    fsync: str
    synchronous_commit: str
    full_page_writes: str

    @property
    def durable(self) -> bool:
        """Whether what was answered survives the server's kill."""
        return self.fsync == "on" and self.synchronous_commit != "off"

    @property
    def text(self) -> str:
        """The same for people."""
        return (
            f"PostgreSQL {self.version}, fsync={self.fsync}, "
            f"synchronous_commit={self.synchronous_commit}, "
            f"full_page_writes={self.full_page_writes}"
        )


async def look_at_server(session: Session) -> Server:
    """Return what the server says of itself."""
    rows = await session.rows(_SERVER)
    version, fsync, synchronous_commit, full_page_writes = rows[0]
    return Server(
        version=version,
        fsync=fsync,
        synchronous_commit=synchronous_commit,
        full_page_writes=full_page_writes,
    )


async def set_up(
    session: Session, settings: Settings, place: str, *, migrate: bool
) -> SchemaReport:
    """Do what `Storage.setup` says."""
    applied: list[str] = []
    if migrate and await _version(session, settings, place) < LATEST:
        async with session.transaction():
            # Several starters at once: one migrates, the others wait and find it done.
            await session.rows("SELECT pg_advisory_xact_lock($1)", settings.lock)
            applied = await _migrate(session, settings, place)
    version = await _version(session, settings, place)
    missing = await _missing(session, settings, version)
    if migrate and missing:
        msg = (
            f"{place} says that prefix {settings.prefix!r} in schema {settings.schema!r} has "
            f"version {version}, but this is missing: {'; '.join(missing)}. Restore it from a "
            "backup, or use another prefix"
        )
        raise SchemaMissingError(msg)
    return SchemaReport(version=version, applied=applied, missing=missing)


async def _migrate(session: Session, settings: Settings, place: str) -> list[str]:
    if not await session.rows(_SCHEMA_EXISTS, settings.schema):
        await session.write(f'CREATE SCHEMA "{settings.schema}"')
    found = await _version(session, settings, place)
    todo = [step for step in MIGRATIONS if step.number > found]
    for step in todo:
        await _carry_out(session, step)
    return [step.name for step in todo]


async def _carry_out(session: Session, step: Migration) -> None:
    for text in step.statements:
        await session.write(text)
    await session.write(_RECORD, step.number, step.name, step.protocol)


async def _version(session: Session, settings: Settings, place: str) -> int:
    """Return the schema's version, 0 if there is none.

    Raises:
        SchemaTooNewError: A newer release made it.
        ProtocolMismatchError: It serves a newer protocol.
    """
    (there,) = await session.rows(_TABLE_EXISTS, settings.expand("~schema"))
    newest = await session.row(_NEWEST) if there[0] else None
    if newest is None:
        return 0
    version, protocol = newest
    where = f"{place}: prefix {settings.prefix!r} in schema {settings.schema!r}"
    if version > LATEST:
        msg = (
            f"{where} has version {version}, this durable-postgres knows versions up to {LATEST}: "
            "upgrade durable-postgres"
        )
        raise SchemaTooNewError(msg)
    if protocol > PROTOCOL_VERSION:
        msg = (
            f"{where} serves storage protocol {protocol}, this durable-postgres speaks "
            f"{PROTOCOL_VERSION}: upgrade durable-postgres"
        )
        raise ProtocolMismatchError(msg)
    return int(version)


async def _missing(session: Session, settings: Settings, version: int) -> list[str]:
    there: dict[str, set[str]] = {}
    for table, column in await session.rows(_COLUMNS, settings.schema):
        there.setdefault(table, set()).add(column)
    indexes = {row[0] for row in await session.rows(_INDEXES, settings.schema)}
    steps = [f"migration {step.name}" for step in MIGRATIONS if step.number > version]
    return [*steps, *_wanted(settings, there, indexes)]


def _wanted(settings: Settings, there: dict[str, set[str]], indexes: set[str]) -> Iterator[str]:
    for table in tables(schema=settings.schema, prefix=settings.prefix):
        if table.name not in there:
            yield f"table {table.fullname}"
            continue
        missing = (column.name for column in table.columns)
        yield from (
            f"column {table.fullname}.{name}" for name in missing if name not in there[table.name]
        )
        names = (str(index.name) for index in table.indexes)
        yield from (f"index {name}" for name in sorted(names) if name not in indexes)
