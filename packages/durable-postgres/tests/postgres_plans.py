"""What the server does to carry out a statement: plans, as they ran."""

import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from durable_postgres.session import Driver


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node of a plan that reads a table.

    Attributes:
        kind: As the server calls it.
        table: What it reads.
        index: By which index; None without one.
        rows: How many rows it looked at.
    """

    kind: str
    table: str
    index: str | None
    rows: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A plan that was carried out.

    Attributes:
        nodes: What it read.
        sorted_rows: Rows that went into its largest sort.
    """

    nodes: list[Node]
    sorted_rows: float

    def indexes(self, table: str) -> set[str | None]:
        """Return by which indexes a table was read; None stands for none."""
        return {node.index for node in self.nodes if node.table == table}

    def rows(self, table: str) -> float:
        """Return how many rows of a table were looked at."""
        return sum(node.rows for node in self.nodes if node.table == table)


async def explain(driver: Driver, text: str, *values: Any) -> Plan:
    """Carry out a statement, undo it, and return what was done.

    It is prepared, as drivers do, so that the plan is of the kind which the connection asks for.
    """
    given = f"({', '.join(map(_literal, values))})" if values else ""
    transaction = driver.transaction()
    await transaction.start()
    try:
        await driver.execute(f"PREPARE explained AS {text}")
        said = await driver.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE explained{given}")
    finally:
        await transaction.rollback()
        await driver.execute("DEALLOCATE explained")
    # SQLAlchemy has asyncpg decode JSON on its connections.
    parsed: Any = json.loads(said) if isinstance(said, str) else said
    root: dict[str, Any] = parsed[0]["Plan"]
    every = list(_walk(root))
    return Plan(
        nodes=[_node(one) for one in every if one["Node Type"] in _SCANS],
        sorted_rows=max((_below(one) for one in every if one["Node Type"] == "Sort"), default=0),
    )


def _literal(value: object) -> str:
    """Return a value in SQL, of whatever type the statement wants."""
    if value is None:
        return "NULL"
    text = _text(value) if _items(value) is None else _in_array(value)
    quoted = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{quoted}'"


def _in_array(value: object) -> str:
    if value is None:
        return "NULL"
    items = _items(value)
    if items is not None:
        return "{" + ",".join(map(_in_array, items)) + "}"
    quoted = _text(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}"'


def _items(value: object) -> Sequence[object] | None:
    return cast("Sequence[object]", value) if isinstance(value, list | tuple) else None


def _text(value: object) -> str:
    return f"\\x{value.hex()}" if isinstance(value, bytes) else str(value)


_SCANS = ("Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan")


def _walk(node: dict[str, Any]) -> Generator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", []):
        yield from _walk(child)


def _node(node: dict[str, Any]) -> Node:
    index = node.get("Index Name")
    for child in node.get("Plans", []):
        index = index or child.get("Index Name")
    looked: float = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    return Node(
        kind=node["Node Type"],
        table=node["Relation Name"],
        index=index,
        rows=looked * float(node["Actual Loops"]),
    )


def _below(node: dict[str, Any]) -> float:
    return sum(
        float(child["Actual Rows"] * child["Actual Loops"]) for child in node.get("Plans", [])
    )
