"""Reads: by id, by query, checkpoints."""

# ruff: noqa: S608 - texts are made of constants; values are literals, see `literals`
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from durable_core.storage import (
    Checkpoint,
    CountBy,
    Head,
    InvalidArgumentError,
    Page,
    Query,
    Status,
)

from .literals import blob, name, text, texts
from .records import HEAD_COLUMNS, RECORD_COLUMNS, head, record, tag_bytes
from .session import Session
from .statements import CHECKPOINTS, GET_HEADS, GET_RECORDS

_MAX_INT64: Final = 2**63 - 1

_BY: Final[Mapping[CountBy, str]] = {
    CountBy.STATUS: "IF(finished_at IS NULL AND owner IS NOT NULL, 'running', phase)",
    CountBy.TASK: "task",
    CountBy.QUEUE: "queue",
}

_TEXTS: Final = (("parent_id", "parent_id = "), ("root_id", "root_id = "), ("owner", "owner = "))
_NAMES: Final = (("queue", "queue = "), ("group", "`group` = "))
_TIMES: Final = (
    ("created_from", "created_at >= "),
    ("created_before", "created_at < "),
    ("finished_from", "finished_at >= "),
    ("finished_before", "finished_at < "),
)


async def get_all(session: Session, ids: Sequence[str], *, payload: bool) -> list[Head | None]:
    """Read executions in the order of their ids."""
    # What cannot be an id is not stored, and cannot be written as one.
    wanted = [id_ for id_ in dict.fromkeys(ids) if id_.isascii()]
    found: dict[str, Head] = {}
    if wanted:
        statement = GET_RECORDS if payload else GET_HEADS
        read = record if payload else head
        for row in await session.rows(session.fill(statement, texts(wanted))):
            found[row[0]] = read(row)
    return [found.get(id_) for id_ in ids]


async def find_page(
    session: Session, query: Query, limit: int, cursor: str | None, *, payload: bool
) -> Page[Head]:
    """Return one page of matching executions, continued after the cursor's place."""
    first = "created_at" if query.parent_id is None else "child_index"
    conditions = _conditions(query)
    if cursor is not None:
        number, id_ = _parse(cursor)
        # The first part is what an index can begin at.
        conditions.append(f"{first} >= {number}")
        conditions.append(f"({first} > {number} OR id > {text(id_)})")
    wanted = min(max(limit, 0), _MAX_INT64 - 1)
    columns = RECORD_COLUMNS if payload else HEAD_COLUMNS
    rows = await session.rows(
        session.texts[f"SELECT {columns} FROM ~executions {_index(query)} "]
        + f"{_where(conditions)} ORDER BY {first}, id LIMIT {wanted + 1}"
    )
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
    value = "'*'" if by is None else _BY[by]
    inner = session.texts[f"SELECT {value} AS value FROM ~executions "] + _where(_conditions(query))
    if cap is not None:
        inner += f" LIMIT {max(cap, 0)}"
    rows = await session.rows(f"SELECT value, COUNT(*) FROM ({inner}) AS c GROUP BY value")
    counted = {_text(row[0]): int(row[1]) for row in rows}
    return counted if by is not None else {"*": counted.get("*", 0)}


async def checkpoint_page(
    session: Session, execution_id: str, limit: int, cursor: str | None
) -> Page[Checkpoint]:
    """Return an execution's checkpoints in order of writing, after the cursor's place."""
    after = 0 if cursor is None else _parse(cursor)[0]
    if not execution_id.isascii():
        return Page(items=[])
    wanted = max(limit, 0)
    rows = await session.rows(
        session.fill(CHECKPOINTS, text(execution_id), str(after), str(wanted + 1))
    )
    items = [
        Checkpoint(name=row[1].decode(), value=row[2], created_at=row[3]) for row in rows[:wanted]
    ]
    more = len(rows) > wanted and items
    return Page(items=items, cursor=f"{rows[len(items) - 1][0]} " if more else None)


def _index(query: Query) -> str:
    """Name the index: left alone, the optimizer walks all rows in order to find a few of them."""
    if query.owner is not None:
        return "FORCE INDEX (held)"
    if query.parent_id is not None:
        return "FORCE INDEX (children)"
    if query.root_id is not None:
        return "FORCE INDEX (descendants)"
    return "FORCE INDEX (created)"


def _where(conditions: Sequence[str]) -> str:
    return "WHERE " + " AND ".join(conditions) if conditions else ""


def _conditions(query: Query) -> list[str]:
    conditions: list[str] = []
    for field, condition in _TEXTS:
        value: str | None = getattr(query, field)
        if value is not None:
            conditions.append(condition + text(value) if value.isascii() else "FALSE")
    for field, condition in _NAMES:
        value = getattr(query, field)
        if value is not None:
            conditions.append(condition + name(value))
    for field, condition in _TIMES:
        time: int | None = getattr(query, field)
        if time is not None:
            conditions.append(f"{condition}{time:d}")
    if query.statuses is not None:
        conditions.append(_statuses(query.statuses))
    if query.tasks is not None:
        conditions.append(f"task IN ({', '.join(map(name, sorted(query.tasks))) or 'NULL'})")
    conditions += [f"LOCATE({blob(tag_bytes(tag))}, tags) > 0" for tag in sorted(query.tags)]
    if query.id_prefix is not None:
        prefix = query.id_prefix
        is_one = prefix.isascii()
        conditions.append(f"LEFT(id, {len(prefix)}) = {text(prefix)}" if is_one else "FALSE")
    return conditions


def _statuses(statuses: Collection[Status]) -> str:
    phases = texts(sorted(status.value for status in statuses if status is not Status.RUNNING))
    unheld = f"(phase IN ({phases}) AND (finished_at IS NOT NULL OR owner IS NULL))"
    if Status.RUNNING in statuses:
        return f"({unheld} OR (owner IS NOT NULL AND finished_at IS NULL))"
    return unheld


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _parse(cursor: str) -> tuple[int, str]:
    number, _, id_ = cursor.partition(" ")
    try:
        if id_.isascii():
            return int(number), id_
    except ValueError:
        pass
    msg = f"not a cursor of this storage: {cursor!r}"
    raise InvalidArgumentError(msg)
