"""Inserting roots."""

from collections.abc import Sequence

from durable_core.storage import Inserted, InsertOutcome, NewExecution, Record

from .records import Row, record
from .rows import add_row
from .statements import RECORD, RECORD_BY_KEY, RECORD_BY_WAKE_KEY
from .writing import Writing


def insert_all(writing: Writing, items: Sequence[NewExecution], now: int) -> list[Inserted]:
    """Insert roots, as `Storage.insert` says."""
    return [_insert_one(writing, item, now) for item in items]


def _insert_one(writing: Writing, item: NewExecution, now: int) -> Inserted:
    there = existing(writing, item)
    if there is not None:
        return there
    return Inserted(outcome=InsertOutcome.CREATED, record=add_row(writing, item, now))


def existing(writing: Writing, item: NewExecution) -> Inserted | None:
    """Return the row that an insert of this item meets, by id, then key, then wake key."""
    row = writing.row(RECORD, (item.id,))
    if row is not None:
        return _met(InsertOutcome.EXISTING_ID, row)
    if item.key is not None:
        row = writing.row(RECORD_BY_KEY, (item.task, item.key))
        if row is not None:
            return _met(InsertOutcome.EXISTING_KEY, row)
    if item.wake_key is not None:
        row = writing.row(RECORD_BY_WAKE_KEY, (item.task, item.wake_key))
        if row is not None:
            return _met(InsertOutcome.EXISTING_WAKE_KEY, row)
    return None


def _met(outcome: InsertOutcome, row: Row) -> Inserted:
    there: Record = record(row)
    return Inserted(outcome=outcome, record=there)
