"""Inserting roots."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from durable_core.storage import Inserted, InsertOutcome, NewExecution

from .records import Row, record
from .rows import add_rows, add_sleeper
from .statements import RECORD, RECORD_BY_KEY, RECORD_BY_WAKE_KEY
from .writing import Writing


def insert_all(writing: Writing, items: Sequence[NewExecution], now: int) -> list[Inserted]:
    """Insert roots, as `Storage.insert` says."""
    answers: list[Inserted] = []
    for sleepers, group in groupby(items, _is_sleeper):
        if sleepers:
            answers += [_insert_sleeper(writing, item, now) for item in group]
        else:
            for distinct in _distinct(group):
                answers += _insert_plain(writing, distinct, now)
    return answers


def _is_sleeper(item: NewExecution) -> bool:
    return item.wake_key is not None


def _distinct(items: Iterator[NewExecution]) -> Iterator[Sequence[NewExecution]]:
    """Cut where an id occurs again: an answer shows the row that was there at its turn."""
    piece: dict[str, NewExecution] = {}
    for item in items:
        if item.id in piece:
            yield [*piece.values()]
            piece = {}
        piece[item.id] = item
    if piece:
        yield [*piece.values()]


def _insert_plain(writing: Writing, items: Sequence[NewExecution], now: int) -> list[Inserted]:
    rows, created = add_rows(writing, items, now)
    if all(created):
        return [Inserted(outcome=InsertOutcome.CREATED, record=row) for row in rows]
    return [
        Inserted(outcome=InsertOutcome.CREATED, record=row) if new else _existing(writing, item)
        for item, row, new in zip(items, rows, created, strict=True)
    ]


def _insert_sleeper(writing: Writing, item: NewExecution, now: int) -> Inserted:
    return _met(writing, item) or Inserted(
        outcome=InsertOutcome.CREATED, record=add_sleeper(writing, item, now)
    )


def _existing(writing: Writing, item: NewExecution) -> Inserted:
    there = _met(writing, item)
    assert there is not None  # noqa: S101 - SQLite refused the row because of it
    return there


def _met(writing: Writing, item: NewExecution) -> Inserted | None:
    """Return the row that an insert of this item meets, by id, then key, then wake key."""
    row = writing.row(RECORD, (item.id,))
    if row is not None:
        return _there(InsertOutcome.EXISTING_ID, row)
    if item.key is not None:
        row = writing.row(RECORD_BY_KEY, (item.task, item.key))
        if row is not None:
            return _there(InsertOutcome.EXISTING_KEY, row)
    if item.wake_key is not None:
        row = writing.row(RECORD_BY_WAKE_KEY, (item.task, item.wake_key))
        if row is not None:
            return _there(InsertOutcome.EXISTING_WAKE_KEY, row)
    return None


def _there(outcome: InsertOutcome, row: Row) -> Inserted:
    return Inserted(outcome=outcome, record=record(row))
