"""Reads: by id, by query, checkpoints."""

# ruff: noqa: S608 - texts are made of constants; values are always parameters
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from durable_core.storage import (
    Checkpoint,
    CountBy,
    Head,
    InvalidArgumentError,
    Page,
    Query,
    Status,
)

from .records import HEAD_COLUMNS, RECORD_COLUMNS, head, record
from .session import Session
from .statements import CHECKPOINTS, HEADS, RECORDS

_LAST_ID: Final = "\x7f"
"""Sorts after every character that an id may have."""

_IN_ORDER: Final = "~executions INDEXED BY ~created"

# Two branches, because the index knows only those that are not their own root.
_TREE: Final = (
    "(SELECT * FROM ~executions WHERE id = ? AND +root_id = id UNION ALL "
    "SELECT * FROM ~executions INDEXED BY ~descendants WHERE root_id = ? AND root_id <> id)"
)

_RUNNING: Final = frozenset({Status.RUNNING})
_MAX_INT64: Final = 2**63 - 1

_BY: Final[Mapping[CountBy, str]] = {
    CountBy.STATUS: "CASE WHEN finished_at IS NULL AND owner IS NOT NULL THEN 'running' "
    "ELSE phase END",
    CountBy.TASK: "task",
    CountBy.QUEUE: "queue",
}

_PLAIN: Final = (
    ("queue", "queue = ?"),
    ("group", '"group" = ?'),
    ("parent_id", "parent_id = ?"),
    ("owner", "owner = ?"),
    ("created_from", "created_at >= ?"),
    ("created_before", "created_at < ?"),
    ("finished_from", "finished_at >= ?"),
    ("finished_before", "finished_at < ?"),
)


def get_all(session: Session, ids: Sequence[str], *, payload: bool) -> list[Head | None]:
    """Read executions in the order of their ids."""
    wanted = (json.dumps(list(ids)),)
    found: dict[str, Head] = {}
    if payload:
        for row in session.rows(RECORDS, wanted):
            found[row[0]] = record(row)
    else:
        for row in session.rows(HEADS, wanted):
            found[row[0]] = head(row)
    return [found.get(id_) for id_ in ids]


def find_page(
    session: Session, query: Query, limit: int, cursor: str | None, *, payload: bool
) -> Page[Head]:
    """Return one page of matching executions, continued after the cursor's place."""
    wanted = min(max(limit, 0), _MAX_INT64 - 1)
    rows = session.rows(*search(query, wanted + 1, cursor, payload=payload))
    items = [(record if payload else head)(row) for row in rows[:wanted]]
    if len(rows) <= wanted or not items:
        return Page(items=items)
    last = items[-1]
    place = last.created_at if query.parent_id is None else last.child_index
    return Page(items=items, cursor=f"{place} {last.id}")


def search(
    query: Query, limit: int, cursor: str | None, *, payload: bool
) -> tuple[str, Sequence[Any]]:
    """Return the statement of a search, and its parameters."""
    first = "created_at" if query.parent_id is None else "child_index"
    conditions, parameters = _where(query)
    if cursor is not None:
        conditions.append(f"({first}, id) > (?, ?)")
        parameters += _parse(cursor)
    columns = RECORD_COLUMNS if payload else HEAD_COLUMNS
    source, given = _source(query)
    text = (
        f"SELECT {columns} FROM {source or _IN_ORDER} {_and(conditions)} "
        f"ORDER BY {first}, id LIMIT ?"
    )
    return text, (*given, *parameters, limit)


def _source(query: Query) -> tuple[str | None, Sequence[str]]:
    """Return what finds the rows quickly, with its parameters; None if nothing does."""
    if query.root_id is not None:
        return _TREE, (query.root_id, query.root_id)
    if query.parent_id is not None:
        return "~executions INDEXED BY ~children", ()
    if query.owner is not None or query.statuses == _RUNNING:
        return "~executions INDEXED BY ~held", ()
    if query.id_prefix:
        return "~executions INDEXED BY sqlite_autoindex_~executions_1", ()
    if query.finished_from is not None:
        return "~executions INDEXED BY ~finished", ()
    return None, ()


def count_all(
    session: Session, query: Query, by: CountBy | None, cap: int | None
) -> Mapping[str, int]:
    """Count executions, as `Storage.count` says."""
    conditions, parameters = _where(query)
    value = "'*'" if by is None else _BY[by]
    source, given = _source(query)
    inner = f"SELECT {value} AS value FROM {source or '~executions'} {_and(conditions)}"
    if cap is not None:
        inner += " LIMIT ?"
        parameters.append(max(cap, 0))
    rows = session.rows(
        f"SELECT value, count(*) FROM ({inner}) GROUP BY value", (*given, *parameters)
    )
    counted = {row[0]: row[1] for row in rows}
    return counted if by is not None else {"*": counted.get("*", 0)}


def checkpoint_page(
    session: Session, execution_id: str, limit: int, cursor: str | None
) -> Page[Checkpoint]:
    """Return an execution's checkpoints in order of writing, after the cursor's place."""
    after = 0 if cursor is None else _parse(cursor)[0]
    rows = session.rows(CHECKPOINTS, (execution_id, after, limit + 1))
    items = [
        Checkpoint(name=row[1], value=row[2], created_at=row[3]) for row in rows[: max(limit, 0)]
    ]
    more = len(rows) > limit and items
    return Page(items=items, cursor=f"{rows[len(items) - 1][0]} " if more else None)


def is_slow(query: Query) -> bool:
    """Whether a search may have to walk over many rows that it does not want."""
    return query.parent_id is None and query.owner is None


def _where(query: Query) -> tuple[list[str], list[Any]]:
    conditions: list[str] = []
    parameters: list[Any] = []
    for name, condition in _PLAIN:
        value = getattr(query, name)
        if value is not None:
            conditions.append(condition)
            parameters.append(value)
    if query.root_id is not None:
        conditions.append("root_id = ?")
        parameters.append(query.root_id)
    if query.statuses == _RUNNING:
        conditions.append("owner IS NOT NULL AND finished_at IS NULL")
    elif query.statuses is not None:
        condition, phases = _statuses(query.statuses)
        conditions.append(condition)
        parameters.append(phases)
    if query.tasks is not None:
        conditions.append("task IN (SELECT value FROM json_each(?))")
        parameters.append(json.dumps(sorted(query.tasks), ensure_ascii=False))
    for tag in sorted(query.tags):
        conditions.append("EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?)")
        parameters.append(tag)
    if query.id_prefix is not None:
        conditions.append("id >= ? AND id < ?")
        parameters += (query.id_prefix, query.id_prefix + _LAST_ID)
    return conditions, parameters


def _statuses(statuses: Collection[Status]) -> tuple[str, str]:
    """Return a condition, and its parameter: the phases that count when nobody holds the row."""
    running = Status.RUNNING in statuses
    phases = json.dumps([status.value for status in statuses if status is not Status.RUNNING])
    unheld = (
        "(phase IN (SELECT value FROM json_each(?)) AND (finished_at IS NOT NULL OR owner IS NULL))"
    )
    return (f"({unheld} OR (owner IS NOT NULL AND finished_at IS NULL))" if running else unheld), (
        phases
    )


def _and(conditions: Sequence[str]) -> str:
    return "WHERE " + " AND ".join(conditions) if conditions else ""


def _parse(cursor: str) -> tuple[int, str]:
    number, _, id_ = cursor.partition(" ")
    try:
        return int(number), id_
    except ValueError:
        msg = f"not a cursor of this storage: {cursor!r}"
        raise InvalidArgumentError(msg) from None
