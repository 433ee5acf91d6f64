"""The newest schema as SQLAlchemy tables, for applications that migrate with Alembic."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    VARBINARY,
    BigInteger,
    Column,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    text,
)
from sqlalchemy.dialects.mysql import LONGBLOB, TINYINT, VARCHAR

_NAME_BYTES: Final = 764
_TAG_BYTES: Final = 4200


def tables(
    metadata: MetaData | None = None, *, database: str | None = None, prefix: str = "durable_"
) -> Sequence[Table]:
    """Return the tables of a namespace, added to the metadata.

    With them in an application's own metadata, Alembic's autogenerate leaves the tables alone, or
    creates them; `MySQLStorage.setup(migrate=False)` then says whether anything is missing. An
    application that creates them so also records the version:
    ``INSERT INTO durable_schema (version, name, protocol) VALUES (1, '0001_initial', 1)``.

    Args:
        metadata: Where to add them; a new one by default.
        database: The database, as given to `MySQLStorage`; None for the connection's own.
        prefix: The prefix, as given to `MySQLStorage`.
    """
    owner = MetaData() if metadata is None else metadata
    build = _Builder(owner, database, prefix)
    return (
        build.executions(),
        build.checkpoints(),
        build.mailboxes(),
        build.leases(),
        build.hints(),
        build.listeners(),
        build.version(),
    )


class _Builder:
    def __init__(self, metadata: MetaData, database: str | None, prefix: str) -> None:
        self._metadata = metadata
        self._database = database
        self._prefix = prefix

    def _table(
        self, name: str, columns: Sequence[Column[Any]], key: Sequence[str], *indexes: Index
    ) -> Table:
        return Table(
            self._prefix + name,
            self._metadata,
            *columns,
            PrimaryKeyConstraint(*key),
            *indexes,
            schema=self._database,
            mysql_engine="InnoDB",
            mysql_row_format="DYNAMIC",
            mysql_default_charset="utf8mb4",
            mariadb_engine="InnoDB",
            mariadb_row_format="DYNAMIC",
            mariadb_default_charset="utf8mb4",
        )

    def executions(self) -> Table:
        """Return the table of the executions."""
        columns = [_id("id", null=False), _name("task", null=False), _name("queue", null=False)]
        columns += [_name(name) for name in ("group", "key", "wake_key", "asleep")]
        columns += [_id("root_id", null=False), _id("parent_id"), _int("child_index")]
        columns += [_word("on_cancel", null=False), Column("tags", VARBINARY(_TAG_BYTES))]
        columns += [_small("priority"), _word("phase", null=False), _big("due"), _big("slot")]
        columns += [_small("turn"), _owner("owner"), _big("gen", null=False)]
        columns += [_int(name, zero=True) for name in ("crashes", "attempt", "pending", "join_at")]
        columns += [
            Column("cancel_requested", TINYINT(1), nullable=False, server_default=text("0")),
            _id("ended_by"),
        ]
        columns += [_big("created_at", null=False), _big("started_at"), _big("finished_at")]
        columns += [_bytes(name, null=False) for name in ("options", "meta", "input")]
        columns += [_bytes(name) for name in ("state", "output", "error")]
        return self._table(
            "executions",
            columns,
            ["id"],
            Index("keys", "task", "key", unique=True),
            Index("sleepers", "task", "asleep", unique=True),
            Index("claimable", "slot", "turn", "due"),
            Index("held", "owner", "cancel_requested"),
            Index("children", "parent_id", "child_index", "id"),
            Index("descendants", "root_id"),
            Index("created", "created_at", "id"),
            Index("finished", "finished_at"),
        )

    def checkpoints(self) -> Table:
        """Return the table of the checkpoints."""
        place: Column[Any] = Column("place", BigInteger, nullable=False, autoincrement=True)
        columns = [place, _id("execution_id", null=False), _name("name", null=False)]
        columns += [_bytes("value", null=False), _big("created_at", null=False)]
        return self._table(
            "checkpoints",
            columns,
            ["place"],
            Index("names", "execution_id", "name", unique=True),
            Index("places", "execution_id", "place"),
        )

    def mailboxes(self) -> Table:
        """Return the table of the mailboxes."""
        columns = [_name("task", null=False), _name("wake_key", null=False)]
        columns += [_id("execution_id"), _id("request"), _word("outcome")]
        columns += [_id(name) for name in ("answer_id", "answer_first", "answer_woken")]
        columns += [_word("message_phase"), _bytes("message_payload")]
        columns += [_id("message_request"), _big("message_until")]
        return self._table(
            "mailboxes",
            columns,
            ["task", "wake_key"],
            Index("messages", "message_until"),
            Index("idle", "execution_id", "message_until"),
        )

    def leases(self) -> Table:
        """Return the table of the leases."""
        columns = [_owner("executor", null=False), _big("started_at", null=False)]
        columns += [_big("expires_at", null=False), _bytes("info", null=False)]
        return self._table("leases", columns, ["executor"])

    def hints(self) -> Table:
        """Return the table of the hints."""
        columns = [_owner("sender", null=False), _name("queue", null=False)]
        columns += [_big("number", null=False), _big("told_at", null=False)]
        return self._table("hints", columns, ["sender", "queue"], Index("told", "told_at"))

    def listeners(self) -> Table:
        """Return the table of those who listen for hints."""
        columns = [_owner("listener", null=False), _big("hears_until", null=False)]
        return self._table("listeners", columns, ["listener"])

    def version(self) -> Table:
        """Return the table of the schema's version."""
        columns = [_int("version"), _word("name", null=False), _int("protocol")]
        return self._table("schema", columns, ["version"])


def _ascii(name: str, length: int, *, null: bool) -> Column[Any]:
    kind = VARCHAR(length, charset="ascii", collation="ascii_bin")
    return Column(name, kind, nullable=null)


def _id(name: str, *, null: bool = True) -> Column[Any]:
    return _ascii(name, 255, null=null)


def _owner(name: str, *, null: bool = True) -> Column[Any]:
    return _ascii(name, 64, null=null)


def _word(name: str, *, null: bool = True) -> Column[Any]:
    return _ascii(name, 32, null=null)


def _name(name: str, *, null: bool = True) -> Column[Any]:
    return Column(name, VARBINARY(_NAME_BYTES), nullable=null)


def _int(name: str, *, zero: bool = False) -> Column[Any]:
    default = text("0") if zero else None
    return Column(name, Integer, nullable=False, autoincrement=False, server_default=default)


def _small(name: str) -> Column[Any]:
    return Column(name, SmallInteger, nullable=False)


def _big(name: str, *, null: bool = True) -> Column[Any]:
    return Column(name, BigInteger, nullable=null)


def _bytes(name: str, *, null: bool = True) -> Column[Any]:
    return Column(name, LONGBLOB, nullable=null)
