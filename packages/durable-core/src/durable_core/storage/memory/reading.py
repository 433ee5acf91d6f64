"""Pages of executions and other lists."""

from collections.abc import Sequence
from typing import TypeVar

from ..errors import InvalidArgumentError
from ..records import Head, Page, Record
from ..requests import Query
from .rows import head_of, matches
from .tables import Tables

T = TypeVar("T")


def find_page(
    tables: Tables, query: Query, limit: int, cursor: str | None, *, payload: bool
) -> Page[Head]:
    """Return one page of matching executions, continued after the cursor's place in the order."""
    rows = [row for row in _candidates(tables, query) if matches(row, query)]
    by_index = query.parent_id is not None
    rows.sort(key=lambda row: _place(row, by_index=by_index))
    if cursor is not None:
        after = _parse(cursor)
        rows = [row for row in rows if _place(row, by_index=by_index) > after]
    page = rows[:limit]
    more = len(rows) > limit and page
    return Page(
        items=page if payload else [head_of(row) for row in page],
        cursor="{} {}".format(*_place(page[-1], by_index=by_index)) if more else None,
    )


def _candidates(tables: Tables, query: Query) -> Sequence[Record]:
    if query.parent_id is not None:
        return [tables.rows[id_] for id_ in tables.children.get(query.parent_id, ())]
    if query.owner is not None:
        return [tables.rows[id_] for id_ in tables.held.get(query.owner, ())]
    return list(tables.rows.values())


def _place(row: Record, *, by_index: bool) -> tuple[int, str]:
    return (row.child_index if by_index else row.created_at, row.id)


def _parse(cursor: str) -> tuple[int, str]:
    number, _, id_ = cursor.partition(" ")
    try:
        return int(number), id_
    except ValueError:
        msg = f"not a cursor of this storage: {cursor!r}"
        raise InvalidArgumentError(msg) from None


def offset_page(items: Sequence[T], limit: int, cursor: str | None) -> Page[T]:
    """Return one page of a list that only grows at its end."""
    start = 0 if cursor is None else _parse(cursor)[0]
    end = start + limit
    return Page(items=items[start:end], cursor=f"{end} " if end < len(items) else None)
