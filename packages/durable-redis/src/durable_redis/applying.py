"""Writing transitions."""

from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Final

from durable_core.storage import (
    Applied,
    ApplyOutcome,
    Finish,
    Keep,
    Release,
    Settle,
    Transition,
    Unset,
)
from durable_core.storage.kit import born

from .batches import batches
from .database import Database
from .records import PHASE_NUMBERS, Reader, microseconds, milliseconds, moment, stored
from .scripts import APPLY

_HEADER: Final = Struct("<dBBHiihd8sHH")
_ANSWER: Final = Struct("<HH")

_KEEP, _RELEASE, _FINISH, _SETTLE = range(4)
_STATE, _OUTPUT, _ERROR = 1, 4, 16
_ATTEMPT, _JOIN_AT, _PRIORITY, _RESET_CRASHES, _CANCEL_SEEN = 64, 128, 256, 512, 1024

_OUTCOMES: Final = (
    ApplyOutcome.APPLIED,
    ApplyOutcome.ALREADY,
    ApplyOutcome.SUPERSEDED,
    ApplyOutcome.CANCEL_REQUESTED,
    ApplyOutcome.CHILD_CONFLICT,
    ApplyOutcome.MISSING,
)

MAX_POINTS: Final = 2**16 - 1
"""Checkpoints that one item may carry."""


class _Item:
    """A transition as the script takes it."""

    def __init__(self, item: Transition, now: int) -> None:
        self.values: list[bytes] = []
        self.rows = 1
        self._mask = 0
        kind, phase, due = _KEEP, 0, None
        points = children = 0
        attempt = join_at = priority = 0
        if isinstance(item, Settle):
            kind, due = _SETTLE, item.due
        else:
            attempt = self._number(_ATTEMPT, item.attempt)
            join_at = self._number(_JOIN_AT, item.join_at)
            priority = self._number(_PRIORITY, item.priority)
            if item.reset_crashes:
                self._mask |= _RESET_CRASHES
            self._blob(_STATE, item.state)
            self._blob(_OUTPUT, item.output)
            self._blob(_ERROR, item.error)
            points = self._points(item)
            if isinstance(item, Finish):
                kind, phase = _FINISH, PHASE_NUMBERS[item.phase]
            else:
                children = self._children(item, now)
                if item.cancel_seen:
                    self._mask |= _CANCEL_SEEN
                if isinstance(item, Release):
                    kind, phase, due = _RELEASE, PHASE_NUMBERS[item.phase], item.due
        header = _HEADER.pack(
            item.token.gen, kind, phase, self._mask, attempt, join_at, priority,
            milliseconds(due), microseconds(due), points, children,
        )  # fmt: skip
        self.arguments = (item.id.encode(), item.token.owner.encode(), header, *self.values)
        self.size = sum(map(len, self.values))

    def _number(self, bit: int, value: int | Unset) -> int:
        if isinstance(value, Unset):
            return 0
        self._mask |= bit
        return value

    def _blob(self, bit: int, value: bytes | Unset | None) -> None:
        if isinstance(value, Unset):
            return
        if value is None:
            self._mask |= 2 * bit
        else:
            self._mask |= bit
            self.values.append(value)

    def _points(self, item: Keep | Release | Finish) -> int:
        for name, value in item.checkpoints.items():
            self.values += (name.encode(), value)
        return len(item.checkpoints)

    def _children(self, item: Keep | Release, now: int) -> int:
        for child in item.children:
            self.values += (child.id.encode(), *stored(born(child, now)))
        self.rows += len(item.children)
        return len(item.children)


async def apply_all(database: Database, items: Sequence[Transition], now: int) -> list[Applied]:
    """Write transitions, as `Storage.apply` says."""
    prepared = [_Item(item, now) for item in items]
    chunks = list(batches(prepared, lambda item: item.size, lambda item: item.rows))
    begin = moment(now)
    calls = [[begin, *(part for item in chunk for part in item.arguments)] for chunk in chunks]
    replies = await database.run(APPLY, calls)
    return [answer for reply in replies for answer in _answers(reply)]


def _answers(reply: bytes) -> Iterator[Applied]:
    reader = Reader(reply)
    while not reader.ended:
        code, told, woken = reader.byte(), reader.byte(), reader.short()
        conflict, held = reader.numbers(_ANSWER)
        outcome = _OUTCOMES[code - 1]
        yield Applied(
            outcome=outcome,
            head=reader.head() if told else None,
            woken=(woken,) if woken else (),
            held=[reader.short() for _ in range(held)],
            conflict=conflict if outcome is ApplyOutcome.CHILD_CONFLICT else None,
        )
