"""Reads: by id, by query, checkpoints."""

# ruff: noqa: S608 - texts are made of constants; values are always parameters
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
from .statements import CHECKPOINTS, GET_HEADS, GET_RECORDS

_LAST_ID: Final = "\x7f"
"""Sorts after every character that an id may have."""

_MAX_INT64: Final = 2**63 - 1

_BY: Final[Mapping[CountBy, str]] = {
    CountBy.STATUS: "CASE WHEN finished_at IS NULL AND owner IS NOT NULL THEN 'running' "
    "ELSE phase END",
    CountBy.TASK: "task",
    CountBy.QUEUE: "queue",
}

_PLAIN: Final = (
    ("queue", "queue = {}"),
    ("group", '"group" = {}'),
    ("parent_id", "parent_id = {}"),
    ("owner", "owner = {}"),
    ("created_from", "created_at >= {}"),
    ("created_before", "created_at < {}"),
    ("finished_from", "finished_at >= {}"),
    ("finished_before", "finished_at < {}"),
)


class _Where:
    """Conditions and their parameters, combined by AND."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._conditions: list[str] = []

    def add(self, condition: str, *values: Any) -> None:
        """Add a condition with a ``{}`` for each value."""
        places: list[str] = []
        for value in values:
            self.values.append(value)
            places.append(f"${len(self.values)}")
        self._conditions.append(condition.format(*places))

    def place(self, value: Any) -> str:
        """Add a value; return how the statement names it."""
        self.values.append(value)
        return f"${len(self.values)}"

    def __str__(self) -> str:
        """Return the clause."""
        return "WHERE " + " AND ".join(self._conditions) if self._conditions else ""


async def get_all(session: Session, ids: Sequence[str], *, payload: bool) -> list[Head | None]:
    """Read executions in the order of their ids."""
    found: dict[str, Head] = {}
    # What cannot be an id is not stored, and the server may not be able to read it.
    wanted = [id_ for id_ in ids if id_.isascii() and "\0" not in id_]
    if payload:
        for row in await session.rows(GET_RECORDS, wanted):
            found[row[0]] = record(row)
    else:
        for row in await session.rows(GET_HEADS, wanted):
            found[row[0]] = head(row)
    return [found.get(id_) for id_ in ids]


async def find_page(
    session: Session, query: Query, limit: int, cursor: str | None, *, payload: bool
) -> Page[Head]:
    """Return one page of matching executions, continued after the cursor's place."""
    first = "created_at" if query.parent_id is None else "child_index"
    where = _where(query)
    if cursor is not None:
        where.add(f"({first}, id) > ({{}}, {{}})", *_parse(cursor))
    columns = RECORD_COLUMNS if payload else HEAD_COLUMNS
    wanted = min(max(limit, 0), _MAX_INT64 - 1)
    most = where.place(wanted + 1)
    text = f"SELECT {columns} FROM ~executions {where} ORDER BY {first}, id LIMIT {most}"
    rows = await session.rows(text, *where.values)
    items = [(record if payload else head)(row) for row in rows[:wanted]]
    if len(rows) <= wanted or not items:
        return Page(items=items)
    last = items[-1]
    place = last.created_at if query.parent_id is None else last.child_index
    return Page(items=items, cursor=f"{place} {last.id}")


async def count_all(
    session: Session, query: Query, by: CountBy | None, cap: int | None
) -> Mapping[str, int]:
    """Count executions, as `Storage.count` says."""
    where = _where(query)
    value = "'*'" if by is None else _BY[by]
    inner = f"SELECT {value} AS value FROM ~executions {where}"
    if cap is not None:
        inner += f" LIMIT {where.place(max(cap, 0))}"
    rows = await session.rows(
        f"SELECT value, count(*) FROM ({inner}) c GROUP BY value", *where.values
    )
    counted: dict[str, int] = {row[0]: row[1] for row in rows}
    return counted if by is not None else {"*": counted.get("*", 0)}


async def checkpoint_page(
    session: Session, execution_id: str, limit: int, cursor: str | None
) -> Page[Checkpoint]:
    """Return an execution's checkpoints in order of writing, after the cursor's place."""
    after = 0 if cursor is None else _parse(cursor)[0]
    rows = await session.rows(CHECKPOINTS, execution_id, after, limit + 1)
    items = [
        Checkpoint(name=row[1], value=row[2], created_at=row[3]) for row in rows[: max(limit, 0)]
    ]
    more = len(rows) > limit and items
    return Page(items=items, cursor=f"{rows[len(items) - 1][0]} " if more else None)


def _where(query: Query) -> _Where:
    where = _Where()
    for name, condition in _PLAIN:
        value = getattr(query, name)
        if value is not None:
            where.add(condition, value)
    if query.root_id is not None:
        # Two branches, because the index knows only those that are not their own root.
        where.add(
            "((id = {} AND root_id = id) OR (root_id = {} AND root_id <> id))",
            query.root_id,
            query.root_id,
        )
    if query.statuses is not None:
        _add_statuses(where, query.statuses)
    if query.tasks is not None:
        where.add("task = ANY ({}::text[])", sorted(query.tasks))
    if query.tags:
        where.add("tags @> {}::text[]", sorted(query.tags))
    if query.id_prefix is not None:
        where.add("id >= {} AND id < {}", query.id_prefix, query.id_prefix + _LAST_ID)
    return where


def _add_statuses(where: _Where, statuses: Collection[Status]) -> None:
    phases = sorted(status.value for status in statuses if status is not Status.RUNNING)
    unheld = "(phase = ANY ({}::text[]) AND (finished_at IS NOT NULL OR owner IS NULL))"
    if Status.RUNNING in statuses:
        unheld = f"({unheld} OR (owner IS NOT NULL AND finished_at IS NULL))"
    where.add(unheld, phases)


def _parse(cursor: str) -> tuple[int, str]:
    number, _, id_ = cursor.partition(" ")
    try:
        return int(number), id_
    except ValueError:
        msg = f"not a cursor of this storage: {cursor!r}"
        raise InvalidArgumentError(msg) from None
