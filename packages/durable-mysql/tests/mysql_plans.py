"""What a server does to carry out a statement: its plan, and how many rows it looked at."""

from dataclasses import dataclass
from typing import Any

from mysql_hooks import Line

_READS = "SHOW SESSION STATUS LIKE 'Handler_read%'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A statement that was carried out and undone.

    Attributes:
        indexes: By which index each table was read; None stands for none.
        scans: Tables of which everything was to be read.
        sorts: Whether rows of a table were sorted, beyond the few of a result.
        rows: How many rows the server has read, in tables and in temporary ones.
    """

    indexes: set[tuple[str, str | None]]
    scans: set[str]
    sorts: bool
    rows: int


async def plan_of(line: Line, text: str) -> Plan:
    """Carry out a statement, undo it, and return what was done."""
    explained = await _explain(line, text)
    await line.rows("START TRANSACTION")
    await line.rows("FLUSH STATUS")
    await line.rows(text)
    reads = {row[0]: int(row[1]) for row in await line.rows(_READS)}
    await line.rows("ROLLBACK")
    stored = [
        one for one in explained if str(one["table"] or "<").startswith(("durable_", "r", "p"))
    ]
    return Plan(
        indexes={(str(one["table"]), one["key"]) for one in stored},
        scans={str(one["table"]) for one in stored if one["type"] in {"ALL", "index"}},
        sorts=any("filesort" in str(one["Extra"]) for one in stored),
        rows=sum(reads.values()),
    )


async def _explain(line: Line, text: str) -> list[dict[str, Any]]:
    cursor: Any = await line.driver.cursor(None)
    await cursor.execute(
        f"EXPLAIN FORMAT=TRADITIONAL {text}" if "MariaDB" not in line.version else f"EXPLAIN {text}"
    )
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]
