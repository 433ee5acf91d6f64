"""Waking sleepers from outside."""

from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Final

from durable_core.storage import Wake, WakeOutcome, Woken

from .batches import batches
from .database import Database
from .records import PHASE_NUMBERS, Reader, moment, text
from .scripts import WAKE

_HEADER: Final = Struct("<BBd")
_OUTCOMES: Final = (
    WakeOutcome.WOKEN,
    WakeOutcome.KEPT,
    WakeOutcome.ALREADY_KEPT,
    WakeOutcome.LATE,
    WakeOutcome.NOBODY,
)


async def wake_all(database: Database, items: Sequence[Wake], now: int) -> list[Woken]:
    """Carry out wake-ups, as `Storage.wake` says."""
    chunks = batches(items, lambda item: len(item.payload or b""))
    begin = moment(now)
    calls = [[begin, *(part for item in chunk for part in _arguments(item))] for chunk in chunks]
    replies = await database.run(WAKE, calls)
    return [answer for reply in replies for answer in _answers(reply)]


def _arguments(item: Wake) -> Iterator[bytes]:
    yield item.task.encode()
    yield text(item.wake_key)
    yield text(item.id)
    yield item.request.encode()
    until = -1.0 if item.keep_until is None else float(item.keep_until)
    yield _HEADER.pack(PHASE_NUMBERS[item.phase], item.payload is not None, until)
    yield item.payload or b""


def _answers(reply: bytes) -> Iterator[Woken]:
    reader = Reader(reply)
    while not reader.ended:
        outcome, id_ = _OUTCOMES[reader.byte() - 1], reader.short()
        first, woken = reader.longer().decode(), reader.short()
        yield Woken(
            outcome=outcome,
            id=id_ or None,
            first=first or None,
            woken=(woken,) if woken else (),
        )
