"""Inserting roots."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from durable_core.storage import Inserted, InsertOutcome, NewExecution, Record, TemporaryError
from durable_core.storage.kit import born

from .mailboxes import Boxes
from .parts import in_transactions
from .records import Doc, birth_doc, record
from .session import Session
from .settings import EXECUTIONS

_TURNS: Final = 5


async def insert_all(session: Session, items: Sequence[NewExecution], now: int) -> list[Inserted]:
    """Insert roots, as `Storage.insert` says.

    One command, and one more if something is there already. Sleepers need a transaction.
    """
    if any(item.wake_key is not None for item in items):
        return await in_transactions(
            session, items, lambda some: insert_in_transaction(session, some, now), size_of
        )
    answers: dict[int, Inserted] = {}
    left: list[int] = list(range(len(items)))
    mark = session.line.stamp()
    for _ in range(_TURNS):
        records = [born(items[place], now) for place in left]
        docs = [birth_doc(new, now, mark) for new in records]
        refused = await session.insert(EXECUTIONS, docs)
        for number, place in enumerate(left):
            if number not in refused:
                created = InsertOutcome.CREATED
                answers[place] = Inserted(outcome=created, record=records[number])
        left = [place for place in left if place not in answers]
        if not left:
            break
        there = await _There.look(session, [items[place] for place in left])
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
    return [answers[place] for place in range(len(items))]


def size_of(item: NewExecution) -> int:
    """Return the payload bytes of a new row."""
    return len(item.options) + len(item.meta) + len(item.input) + len(item.state or b"")


async def insert_in_transaction(
    session: Session, items: Sequence[NewExecution], now: int, *, bound: bool = False
) -> list[Inserted]:
    """Insert roots in a transaction, which a refusal by the server would undo: so look first.

    Args:
        session: In a transaction.
        items: What to insert.
        now: The time of birth.
        bound: In the caller's transaction nobody is held.
    """
    keys = [(item.task, item.wake_key) for item in items if item.wake_key is not None]
    boxes = await Boxes.read(session, keys)
    there = await _There.look(session, items)
    answers: list[Inserted] = []
    docs: list[Doc] = []
    mark = session.line.stamp()
    for item in items:
        met = there.met_by(item)
        if met is not None:
            answers.append(met)
            continue
        new = born(replace(item, owner=None) if bound else item, now)
        if new.wake_key is not None:
            new = boxes.delivered(new, now)
            boxes.arrived(new)
        there.add(new)
        docs.append(birth_doc(new, now, mark))
        answers.append(Inserted(outcome=InsertOutcome.CREATED, record=new))
    await session.insert(EXECUTIONS, docs)
    await boxes.write(session)
    return answers


class _There:
    """Rows that are there, by all that may be in a new one's way."""

    def __init__(self) -> None:
        self._ids: dict[str, Record] = {}
        self._keys: dict[tuple[str, str], Record] = {}
        self._sleepers: dict[tuple[str, str], Record] = {}

    @classmethod
    async def look(cls, session: Session, items: Sequence[NewExecution]) -> "_There":
        """Read the rows of these ids, these keys and these sleepers."""
        there = cls()
        keys: defaultdict[str, set[str]] = defaultdict(set)
        sleepers: defaultdict[str, set[str]] = defaultdict(set)
        for item in items:
            if item.key is not None:
                keys[item.task].add(item.key)
            if item.wake_key is not None:
                sleepers[item.task].add(item.wake_key)
        any_of: list[dict[str, Any]] = [{"_id": {"$in": list({item.id for item in items})}}]
        any_of += [{"task": task, "key": {"$in": list(some)}} for task, some in keys.items()]
        any_of += [{"task": task, "asleep": {"$in": list(some)}} for task, some in sleepers.items()]
        for doc in await session.find(EXECUTIONS, {"$or": any_of}):
            there.add(record(doc))
        return there

    def add(self, one: Record) -> None:
        """Take note of a row."""
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
