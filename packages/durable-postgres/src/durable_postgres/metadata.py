"""The newest schema as SQLAlchemy tables, for applications that migrate with Alembic."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

_TEXT: Final = Text(collation="C")
_TUNED: Final = {
    "autovacuum_vacuum_scale_factor": 0,
    "autovacuum_vacuum_threshold": 20_000,
    "autovacuum_analyze_scale_factor": 0,
    "autovacuum_analyze_threshold": 20_000,
    "autovacuum_vacuum_insert_scale_factor": 0,
    "autovacuum_vacuum_insert_threshold": 100_000,
    "autovacuum_vacuum_cost_delay": 0,
}
"""By numbers of rows, not by parts of the table: what a claim walks over stays the same."""


def tables(
    metadata: MetaData | None = None, *, schema: str = "public", prefix: str = "durable_"
) -> Sequence[Table]:
    """Return the tables of a namespace, added to the metadata.

    With them in an application's own metadata, Alembic's autogenerate leaves the tables alone, or
    creates them; `PostgresStorage.setup(migrate=False)` then says whether anything is missing. An
    application that creates them so also records the version:
    ``INSERT INTO durable_schema (version, name, protocol) VALUES (1, '0001_initial', 1)``.

    Args:
        metadata: Where to add them; a new one by default.
        schema: The database schema, as given to `PostgresStorage`.
        prefix: The prefix, as given to `PostgresStorage`.
    """
    owner = MetaData() if metadata is None else metadata
    build = _Builder(owner, schema, prefix)
    return (
        build.executions(),
        build.checkpoints(),
        build.mailboxes(),
        build.leases(),
        build.version(),
    )


class _Builder:
    def __init__(self, metadata: MetaData, schema: str, prefix: str) -> None:
        self._metadata = metadata
        self._schema = schema
        self._prefix = prefix

    def _table(
        self,
        name: str,
        columns: Sequence[Column[Any]],
        key: Sequence[str],
        settings: Mapping[str, int] | None = None,
    ) -> Table:
        return Table(
            self._prefix + name,
            self._metadata,
            *columns,
            PrimaryKeyConstraint(*key, name=f"{self._prefix}{name}_pkey"),
            schema=self._schema,
            postgresql_with=dict(settings or {}),
        )

    def _index(
        self, table: Table, name: str, *columns: str, where: str = "", unique: bool = False
    ) -> None:
        parts = [
            text(f'"{column}"') if column.isidentifier() else text(column) for column in columns
        ]
        Index(
            self._prefix + name,
            *parts,
            unique=unique,
            postgresql_where=text(where) if where else None,
            _table=table,
        )

    def executions(self) -> Table:
        """Return the table of the executions."""
        must = ("id", "task", "queue")
        columns: list[Column[Any]] = [_text(name, null=False) for name in must]
        columns += [_text(name) for name in ("group", "key", "wake_key")]
        columns += [_text("root_id", null=False), _text("parent_id"), _int("child_index")]
        columns += [_text("on_cancel", null=False), Column("tags", ARRAY(_TEXT))]
        columns += [_int("priority"), _text("phase", null=False), _big("due")]
        columns += [Column("lane", SmallInteger), _text("owner"), _big("gen", null=False)]
        columns += [_int(name) for name in ("crashes", "attempt", "pending", "join_at")]
        columns += [Column("cancel_requested", Boolean, nullable=False), _text("ended_by")]
        columns += [_big("created_at", null=False), _big("started_at"), _big("finished_at")]
        columns += [_bytes(name, null=False) for name in ("options", "meta", "input")]
        columns += [_bytes(name) for name in ("state", "output", "error")]
        table = self._table("executions", columns, ["id"], _TUNED)
        pending = "finished_at IS NULL"
        self._index(table, "ready", "queue", "task", "priority DESC", "due", where="lane = 1")
        self._index(table, "scheduled", "queue", "task", "due", where="lane = 2")
        self._index(table, "duties", "priority DESC", "due", where="lane = 3")
        self._index(table, "postponed", "due", where="lane = 4")
        self._index(table, "held", "owner", where="owner IS NOT NULL")
        self._index(
            table, "marked", "owner", "id",
            where=f"cancel_requested AND owner IS NOT NULL AND {pending}",
        )  # fmt: skip
        self._index(
            table, "children", "parent_id", "child_index", "id", where="parent_id IS NOT NULL"
        )
        self._index(table, "descendants", "root_id", where="root_id <> id")
        self._index(table, "keys", "task", "key", where='"key" IS NOT NULL', unique=True)
        self._index(
            table, "sleepers", "task", "wake_key",
            where=f"wake_key IS NOT NULL AND {pending}", unique=True,
        )  # fmt: skip
        self._index(table, "created", "created_at", "id")
        self._index(table, "finished", "finished_at", where="finished_at IS NOT NULL")
        return table

    def checkpoints(self) -> Table:
        """Return the table of the checkpoints."""
        place: Column[Any] = Column("place", BigInteger, Identity(always=True), nullable=False)
        columns = [_text("execution_id", null=False), _text("name", null=False), place]
        columns += [_bytes("value", null=False), _big("created_at", null=False)]
        table = self._table("checkpoints", columns, ["execution_id", "name"])
        self._index(table, "places", "execution_id", "place")
        return table

    def mailboxes(self) -> Table:
        """Return the table of the mailboxes."""
        columns = [_text("task", null=False), _text("wake_key", null=False)]
        names = ("execution_id", "request", "outcome", "answer_id", "answer_first", "answer_woken")
        columns += [_text(name) for name in (*names, "message_phase")]
        columns += [_bytes("message_payload"), _text("message_request"), _big("message_until")]
        table = self._table("mailboxes", columns, ["task", "wake_key"])
        self._index(table, "messages", "message_until", where="message_until IS NOT NULL")
        empty = "execution_id IS NULL AND message_until IS NULL"
        self._index(table, "idle", "task", where=empty)
        return table

    def leases(self) -> Table:
        """Return the table of the leases."""
        columns = [_text("executor", null=False), _big("started_at", null=False)]
        columns += [_big("expires_at", null=False), _bytes("info", null=False)]
        return self._table("leases", columns, ["executor"], {"fillfactor": 50})

    def version(self) -> Table:
        """Return the table of the schema's version."""
        columns = [_int("version"), _text("name", null=False), _int("protocol")]
        return self._table("schema", columns, ["version"])


def _text(name: str, *, null: bool = True) -> Column[Any]:
    return Column(name, _TEXT, nullable=null)


def _int(name: str) -> Column[Any]:
    return Column(name, Integer, nullable=False, autoincrement=False)


def _big(name: str, *, null: bool = True) -> Column[Any]:
    return Column(name, BigInteger, nullable=null)


def _bytes(name: str, *, null: bool = True) -> Column[Any]:
    return Column(name, LargeBinary, nullable=null)
