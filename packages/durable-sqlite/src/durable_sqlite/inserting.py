"""Inserting roots."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from durable_core.storage import Inserted, InsertOutcome, NewExecution
from durable_core.storage.kit import born

from .records import record
from .rows import add_rows, add_sleeper
from .session import Plan
from .statements import RECORD, RECORD_BY_KEY, RECORD_BY_WAKE_KEY
from .writing import Writing


def insert_all(writing: Writing, items: Sequence[NewExecution], now: int) -> list[Inserted]:
    """Insert roots, as `Storage.insert` says."""
    answers: list[Inserted] = []
    for sleepers, group in groupby(items, is_sleeper):
        if sleepers:
            answers += [_insert_sleeper(writing, item, now) for item in group]
        else:
            for distinct in distinct_ids(group):
                answers += _insert_plain(writing, distinct, now)
    return answers


def is_sleeper(item: NewExecution) -> bool:
    """Whether a message may be kept for the item."""
    return item.wake_key is not None


def distinct_ids(items: Iterable[NewExecution]) -> Iterator[Sequence[NewExecution]]:
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
    return [
        Inserted(outcome=InsertOutcome.CREATED, record=born(item, now))
        if new
        else _existing(writing, item)
        for item, new in zip(items, add_rows(writing, items, now), strict=True)
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
    return writing.carry_out(meeting(item))


def meeting(item: NewExecution) -> Plan[Inserted | None]:
    """Return the row that an insert of this item meets, by id, then key, then wake key."""
    found = yield RECORD, (item.id,)
    outcome = InsertOutcome.EXISTING_ID
    if not found and item.key is not None:
        found = yield RECORD_BY_KEY, (item.task, item.key)
        outcome = InsertOutcome.EXISTING_KEY
    if not found and item.wake_key is not None:
        found = yield RECORD_BY_WAKE_KEY, (item.task, item.wake_key)
        outcome = InsertOutcome.EXISTING_WAKE_KEY
    return Inserted(outcome=outcome, record=record(found[0])) if found else None
