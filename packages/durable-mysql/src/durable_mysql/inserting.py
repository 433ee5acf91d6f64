"""Inserting roots."""

from collections.abc import Iterable, Sequence
from typing import Final

from durable_core.storage import Inserted, InsertOutcome, NewExecution, Record, TemporaryError
from durable_core.storage.kit import born

from .errors import duplicate
from .literals import name, texts
from .mailboxes import Boxes
from .records import birth, record
from .session import Session, in_pieces
from .statements import (
    EXISTING_IDS,
    EXISTING_KEYS,
    EXISTING_SLEEPERS,
    INSERT,
    NEWEST,
    ONE_ASLEEP,
    ONE_KEY,
)

_TURNS: Final = 10


async def insert_all(session: Session, items: Sequence[NewExecution], now: int) -> list[Inserted]:
    """Insert roots, as `Storage.insert` says; in a caller's transaction nobody is held."""
    sleepers = [item for item in items if item.wake_key is not None]
    if not sleepers and not session.bound:
        return await _Inserting(session, items, Boxes({}), now).run()
    async with session.transaction():
        boxes = await Boxes.lock(session, [(item.task, item.wake_key or "") for item in sleepers])
        answers = await _Inserting(session, items, boxes, now).run()
        boxes.write(session)
    return answers


class _Inserting:
    """One call's items: tried all at once; what is in the way is looked up, then the rest tried.

    In a caller's transaction it is the other way round, because a statement that fails leaves
    the rows that made it fail locked.
    """

    def __init__(
        self, session: Session, items: Sequence[NewExecution], boxes: Boxes, now: int
    ) -> None:
        self._session = session
        self._items = items
        self._boxes = boxes
        self._now = now
        self._answers: dict[int, Inserted] = {}

    async def run(self) -> list[Inserted]:
        """Return the answers in the order of the items."""
        if self._session.bound:
            await self._look("")
        for _ in range(_TURNS):
            if not self._left():
                return [self._answers[place] for place in range(len(self._items))]
            await self._try()
            if self._left():
                await self._look(NEWEST if self._session.bound else "")
            # Whoever was in the way may have been purged since: then there is room now.
        if self._left():
            msg = f"{self._items[self._left()[0]].id!r} was there and gone again {_TURNS} times"
            raise TemporaryError(msg)
        return [self._answers[place] for place in range(len(self._items))]

    def _left(self) -> list[int]:
        return [place for place in range(len(self._items)) if place not in self._answers]

    async def _try(self) -> None:
        """Insert what is left, all or nothing."""
        records: dict[str, tuple[int, Record]] = {}
        rows: list[tuple[str, str]] = []
        taken: set[tuple[str, str, str]] = set()
        for place in self._left():
            item = self._items[place]
            names = {
                (what, item.task, one)
                for what, one in (("key", item.key), ("wake_key", item.wake_key))
                if one is not None
            }
            if item.id in records or names & taken:
                # Its turn comes when the one before it is decided.
                continue
            taken |= names
            new = self._born(item)
            records[item.id] = (place, new)
            rows.append((item.id, birth(item, new, self._now)))
        # One order for all, so that two batches with the same ids do not wait for each other.
        rows.sort()
        if not await self._inserted([row for _, row in rows]):
            return
        for place, new in records.values():
            self._answers[place] = Inserted(outcome=InsertOutcome.CREATED, record=new)
            if new.wake_key is not None:
                self._boxes.arrived(new)
            tell(self._session, new)

    async def _inserted(self, rows: Sequence[str]) -> bool:
        session = self._session
        pieces = in_pieces(session.texts[INSERT], rows, "", session.server.packet)
        try:
            await session.write(*pieces)
        except Exception as error:
            if not duplicate(error):
                raise
            session.doubt = False
            if session.left_open:
                await session.clear()
            return False
        return True

    def _born(self, item: NewExecution) -> Record:
        new = born(item, self._now)
        if item.wake_key is not None:
            new = self._boxes.delivered(new, self._now)
        if self._session.bound and new.owner is not None:
            new = _unheld(item, self._now)
        return new

    async def _look(self, lock: str) -> None:
        """Answer those whose place is taken."""
        left = self._left()
        there = _There(await _existing(self._session, [self._items[one] for one in left], lock))
        for place in left:
            met = there.met_by(self._items[place])
            if met is not None:
                self._answers[place] = met


def add_rows(session: Session, rows: Iterable[tuple[str, str]]) -> None:
    """Insert rows with the commit; ids and what `records.birth` gives."""
    session.later_rows(session.texts[INSERT], [row for _, row in sorted(rows)])


def _unheld(item: NewExecution, now: int) -> Record:
    """Return the record of an item whose wish to be held is not granted."""
    wish = NewExecution(
        **{
            field: getattr(item, field)
            for field in NewExecution.__dataclass_fields__
            if field != "owner"
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


async def _existing(session: Session, items: Sequence[NewExecution], lock: str) -> list[Record]:
    ids = texts(dict.fromkeys(item.id for item in items))
    keys = dict.fromkeys((item.task, item.key) for item in items if item.key is not None)
    sleepers = dict.fromkeys(
        (item.task, item.wake_key) for item in items if item.wake_key is not None
    )
    asked = [session.fill(EXISTING_IDS, ids) + lock]
    if keys:
        any_key = " OR ".join(ONE_KEY % (name(task), name(key)) for task, key in keys)
        asked.append(session.fill(EXISTING_KEYS, any_key) + lock)
    if sleepers:
        any_sleeper = " OR ".join(ONE_ASLEEP % (name(task), name(key)) for task, key in sleepers)
        asked.append(session.fill(EXISTING_SLEEPERS, any_sleeper) + lock)
    return [record(row) for result in await session.read(*asked) for row in result.rows]


class _There:
    """Rows that are there, by all that may be in a new one's way."""

    def __init__(self, rows: Sequence[Record]) -> None:
        self._ids: dict[str, Record] = {}
        self._keys: dict[tuple[str, str], Record] = {}
        self._sleepers: dict[tuple[str, str], Record] = {}
        for one in rows:
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
