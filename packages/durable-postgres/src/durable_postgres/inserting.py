"""Inserting roots."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from durable_core.storage import Inserted, InsertOutcome, NewExecution, Record, TemporaryError
from durable_core.storage.kit import born

from .batches import BORN_ALIKE, INSERT
from .mailboxes import Boxes
from .records import Row, birth_row, by_column, record
from .session import Session
from .statements import EXISTING

_TURNS: Final = 5


async def insert_all(
    session: Session, items: Sequence[NewExecution], now: int, *, bound: bool = False
) -> list[Inserted]:
    """Insert roots, as `Storage.insert` says.

    Args:
        session: Where.
        items: What to insert.
        now: The time of birth.
        bound: Inside the caller's transaction: mailboxes are locked in it, and nobody is held.
    """
    if bound or not any(item.wake_key is not None for item in items):
        return await _insert(session, items, now, bound=bound)
    async with session.transaction():
        return await _insert(session, items, now, bound=bound)


async def _insert(
    session: Session, items: Sequence[NewExecution], now: int, *, bound: bool
) -> list[Inserted]:
    sleepers = [item for item in items if item.wake_key is not None]
    boxes = await Boxes.lock(session, [(item.task, item.wake_key or "") for item in sleepers])
    answers: dict[int, Inserted] = {}
    left = list(range(len(items)))
    for _ in range(_TURNS):
        created = await _try(session, [items[place] for place in left], boxes, now, bound=bound)
        for place in left:
            new = created.pop(items[place].id, None)
            if new is not None:
                answers[place] = Inserted(outcome=InsertOutcome.CREATED, record=new)
        left = [place for place in left if place not in answers]
        if not left:
            break
        there = _There(await _existing(session, [items[place] for place in left]))
        for place in left:
            met = there.met_by(items[place])
            if met is not None:
                answers[place] = met
        # Whoever was in the way may have been purged since: then there is room now.
        left = [place for place in left if place not in answers]
        if not left:
            break
    if left:
        msg = f"{items[left[0]].id!r} was there and gone again {_TURNS} times"
        raise TemporaryError(msg)
    await boxes.write(session)
    return [answers[place] for place in range(len(items))]


async def _try(
    session: Session, items: Sequence[NewExecution], boxes: Boxes, now: int, *, bound: bool
) -> dict[str, Record]:
    """Insert what is not there; return it by id."""
    records: dict[str, Record] = {}
    rows: list[Row] = []
    taken: set[tuple[str, str, str]] = set()
    for item in items:
        names = _names(item)
        if item.id in records or not taken.isdisjoint(names):
            # Its turn comes when the one before it is decided.
            continue
        taken.update(names)
        new = born(item, now)
        if item.wake_key is not None:
            new = boxes.delivered(new, now)
        if bound and new.owner is not None:
            new = unheld(item, now)
        records[item.id] = new
        rows.append(birth_row(item, new, now))
    # One order for all, so that two batches with the same ids do not wait for each other.
    ids = await add_rows(session, rows, now)
    created = {id_: new for id_, new in records.items() if id_ in ids}
    for new in created.values():
        if new.wake_key is not None:
            boxes.arrived(new)
        tell(session, new)
    return created


def _names(item: NewExecution) -> Sequence[tuple[str, str, str]]:
    """Return what no two unfinished rows share, beside the id."""
    if item.key is None and item.wake_key is None:
        return ()
    names = (("key", item.key), ("wake_key", item.wake_key))
    return [(what, item.task, name) for what, name in names if name is not None]


async def add_rows(session: Session, rows: Sequence[Row], now: int) -> set[str]:
    """Insert rows made by `records.birth_row`; return the ids of those that were not there."""
    if not rows:
        return set()
    ordered = sorted(rows, key=_id)
    found = await session.write(INSERT, now, *by_column(ordered, BORN_ALIKE))
    return {row[0] for row in found}


def birth_values(items: Sequence[NewExecution], now: int) -> list[list[Any]]:
    """Return new rows as the statement takes them, column by column."""
    return by_column([birth_row(item, born(item, now), now) for item in items], BORN_ALIKE)


def _id(row: Row) -> str:
    id_: str = row[0]
    return id_


def unheld(item: NewExecution, now: int) -> Record:
    """Return the record of an item whose wish to be held is not granted."""
    wish = NewExecution(
        **{
            name: getattr(item, name)
            for name in NewExecution.__dataclass_fields__
            if name != "owner"
        }
    )
    return born(wish, now)


def tell(session: Session, new: Record) -> None:
    """Take note of a new row for the hints after the commit."""
    session.told.rows += 1
    if new.finished_at is not None:
        session.told.finished = True
    elif new.due is not None:
        session.told.ready.add(new.queue)


async def _existing(session: Session, items: Sequence[NewExecution]) -> Sequence[Row]:
    keys = [(item.task, item.key) for item in items if item.key is not None]
    sleepers = [(item.task, item.wake_key) for item in items if item.wake_key is not None]
    return await session.rows(
        EXISTING,
        list({item.id for item in items}),
        *_columns(keys),
        *_columns(sleepers),
    )


def _columns(pairs: Iterable[tuple[str, str | None]]) -> tuple[list[str], list[str | None]]:
    unique = list(dict.fromkeys(pairs))
    return [first for first, _ in unique], [second for _, second in unique]


class _There:
    """Rows that are there, by all that may be in a new one's way."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._ids: dict[str, Record] = {}
        self._keys: dict[tuple[str, str], Record] = {}
        self._sleepers: dict[tuple[str, str], Record] = {}
        for row in rows:
            one = record(row)
            self._ids[one.id] = one
            if one.key is not None:
                self._keys[one.task, one.key] = one
            if one.wake_key is not None and not one.finished:
                self._sleepers[one.task, one.wake_key] = one

    def met_by(self, item: NewExecution) -> Inserted | None:
        """Return the row that an insert of this item meets, by id, then key, then wake key."""
        if (one := self._ids.get(item.id)) is not None:
            return Inserted(outcome=InsertOutcome.EXISTING_ID, record=one)
        if item.key is not None and (one := self._keys.get((item.task, item.key))) is not None:
            return Inserted(outcome=InsertOutcome.EXISTING_KEY, record=one)
        if item.wake_key is not None:
            one = self._sleepers.get((item.task, item.wake_key))
            if one is not None:
                return Inserted(outcome=InsertOutcome.EXISTING_WAKE_KEY, record=one)
        return None
