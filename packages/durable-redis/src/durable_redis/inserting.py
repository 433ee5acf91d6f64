"""Inserting roots."""

from collections.abc import Iterator, Sequence
from typing import Final

from durable_core.storage import Inserted, InsertOutcome, NewExecution, Record
from durable_core.storage.kit import born

from .batches import batches
from .database import Database
from .records import Reader, Stored, moment, stored
from .scripts import INSERT

_OUTCOMES: Final[Sequence[InsertOutcome]] = (
    InsertOutcome.CREATED,
    InsertOutcome.EXISTING_ID,
    InsertOutcome.EXISTING_KEY,
    InsertOutcome.EXISTING_WAKE_KEY,
)


async def insert_all(database: Database, items: Sequence[NewExecution], now: int) -> list[Inserted]:
    """Insert roots, as `Storage.insert` says."""
    records = [born(item, now) for item in items]
    rows = [(record, stored(record)) for record in records]
    chunks = list(batches(rows, lambda pair: pair[1].size))
    replies = await database.run(INSERT, [arguments(chunk, now) for chunk in chunks])
    return [
        answer
        for chunk, reply in zip(chunks, replies, strict=True)
        for answer in answers(chunk, Reader(reply))
    ]


def arguments(rows: Sequence[tuple[Record, Stored]], now: int, *, dry: bool = False) -> list[bytes]:
    """Return what the script takes.

    Args:
        rows: Records and what is stored of them.
        now: Decides about kept messages.
        dry: Only ask what would become of them.
    """
    given = [moment(now), b"dry" if dry else b""]
    for record, kept in rows:
        given += (record.id.encode(), *kept)
    return given


def answers(rows: Sequence[tuple[Record, Stored]], reader: Reader) -> Iterator[Inserted]:
    """Yield what the script answered."""
    for record, _ in rows:
        code, told = reader.byte(), reader.byte()
        row = reader.record() if told else record
        yield Inserted(outcome=_OUTCOMES[code - 1], record=row)


def skip(reader: Reader, number: int) -> None:
    """Pass over so many answers."""
    for _ in range(number):
        reader.byte()
        if reader.byte():
            reader.record()
