"""What a durable function has done: entries in order, several to a checkpoint; and what is open."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from ...storage import Status
from ..run import UnfitError

MAX_ENTRIES: Final = 10_000
"""Most entries that one execution may record."""

MAX_BYTES: Final = 64 * 1024 * 1024
"""Most bytes that one execution may record."""

MAX_OPEN: Final = 1_000
"""Most operations that may be pending at once."""

INLINE: Final = 16 * 1024
"""Results of children up to this size are copied into the record."""

_VERSION: Final = 1
_HEAD_END: Final = b"\n"


class Kind(StrEnum):
    """Kinds of entries."""

    BEGAN = "began"
    """The first run began; gives the function its first time."""
    STEP = "step"
    TRANSACTION = "transaction"
    SLEEP = "sleep"
    TIMER = "timer"
    """A timer of asyncio's, such as a time-out's."""
    CALL = "call"
    EVENT = "event"
    VERSION = "version"
    """The function goes the new way of a change."""
    CANCEL = "cancel"
    """The function was told of its cancellation."""


class How(StrEnum):
    """How an operation ended."""

    OK = "ok"
    FAILED = "failed"
    """`Entry.payload` is an error."""
    TIMED_OUT = "timed_out"
    """Likewise."""
    CANCELLED = "cancelled"
    CONFLICT = "conflict"
    """Another execution waits for the event."""
    STORED = "stored"
    """The result is where `Entry.payload` says: in a child's row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Something that happened to a durable function, at its place in the order.

    Attributes:
        position: Which operation: 0 is the first that the function asked for; -1 none.
        kind: What kind of operation.
        name: Its name: the step's, the task's, the event's.
        how: How it ended.
        at: When, µs.
        payload: The encoded result or error.
    """

    position: int = -1
    kind: Kind
    name: str = ""
    how: How = How.OK
    at: int
    payload: bytes = b""


def encode_entries(entries: Iterable[Entry]) -> bytes:
    """Return a line of JSON, then the payloads as they are."""
    entries = tuple(entries)
    head = [[e.position, e.kind, e.name, e.how, e.at, len(e.payload)] for e in entries]
    line = json.dumps(head, separators=(",", ":")).encode()
    return _HEAD_END.join((line, b"".join(entry.payload for entry in entries)))


def decode_entries(data: bytes) -> list[Entry]:
    """Return what was encoded.

    Raises:
        ValueError: Something else wrote it.
    """
    head, _, payloads = data.partition(_HEAD_END)
    entries: list[Entry] = []
    start = 0
    for position, kind, name, how, at, size in json.loads(head):
        entries.append(
            Entry(
                position=position,
                kind=Kind(kind),
                name=name,
                how=How(how),
                at=at,
                payload=payloads[start : start + size],
            )
        )
        start += size
    return entries


@dataclass(slots=True, kw_only=True)
class Open:
    """An operation that has begun and not ended, as far as it has to be remembered.

    Attributes:
        position: Which operation.
        kind: What kind.
        name: Its name.
        due: When a timer fires, or a step is tried again, µs.
        tries: Failed attempts of a step.
        error: The last one's error, as text.
        child: Whether its child was inserted.
    """

    position: int
    kind: Kind
    name: str
    due: int | None = None
    tries: int = 0
    error: str = ""
    child: bool = False


@dataclass(slots=True, kw_only=True)
class State:
    """A durable function's continuation, beside its record.

    Attributes:
        asked: How many operations the function had asked for.
        open: Those that have not ended.
        run: How many runs came before this one, by `continue_as_new`.
        previous: The execution of the run before.
    """

    asked: int = 0
    open: Sequence[Open] = ()
    run: int = 0
    previous: str | None = None

    def encode(self) -> bytes:
        """Return JSON."""
        return json.dumps(
            {
                "workflow": _VERSION,
                "asked": self.asked,
                "open": [
                    [one.position, one.kind, one.name, one.due, one.tries, one.error, one.child]
                    for one in self.open
                ],
                "run": self.run,
                "previous": self.previous,
            },
            separators=(",", ":"),
        ).encode()

    @classmethod
    def decode(cls, data: bytes | None, task: str) -> "State":
        """Return what was encoded; without data the state of a function that has not begun.

        Raises:
            UnfitError: Another kind of task, or a later release, wrote it.
        """
        if data is None:
            return cls()
        try:
            found: Any = json.loads(data)
            if found["workflow"] != _VERSION:
                msg = f"the record of a durable function has version {found['workflow']}"
                raise UnfitError(msg)
            return cls(
                asked=found["asked"],
                open=[
                    Open(
                        position=position,
                        kind=Kind(kind),
                        name=name,
                        due=due,
                        tries=tries,
                        error=error,
                        child=child,
                    )
                    for position, kind, name, due, tries, error, child in found["open"]
                ],
                run=found["run"],
                previous=found["previous"],
            )
        except (ValueError, TypeError, LookupError):
            msg = f"task {task!r} is another kind of task here than where it began"
            raise UnfitError(msg) from None


_TRANSACTION = "transaction/"


def entries_name(number: int) -> str:
    """Return the name of the checkpoint with the next entries."""
    return f"record/{number}"


def transaction_name(position: int) -> str:
    """Return the name of the checkpoint that a transaction writes."""
    return f"{_TRANSACTION}{position}"


@dataclass(slots=True, kw_only=True)
class History:
    """The record as it was read.

    Attributes:
        entries: In the order in which they happened.
        transactions: Results that transactions have recorded, by position.
        written: How many checkpoints with entries there are.
        size: Bytes of all.
    """

    entries: list[Entry] = field(default_factory=list[Entry])
    transactions: dict[int, bytes] = field(default_factory=dict[int, bytes])
    written: int = 0
    size: int = 0

    @classmethod
    def of(cls, checkpoints: Mapping[str, bytes], task: str) -> "History":
        """Return the record that an execution's checkpoints are.

        Raises:
            UnfitError: Another kind of task, or a later release, wrote them.
        """
        history = cls()
        try:
            while (data := checkpoints.get(entries_name(history.written))) is not None:
                history.entries += decode_entries(data)
                history.written += 1
            for name, value in checkpoints.items():
                history.size += len(value)
                if name.startswith(_TRANSACTION):
                    history.transactions[int(name.removeprefix(_TRANSACTION))] = value
        except (ValueError, TypeError):
            msg = f"the record of task {task!r} was written by a later release"
            raise UnfitError(msg) from None
        return history


def how_of(status: Status) -> How:
    """Return how a child ended."""
    return {
        Status.COMPLETED: How.OK,
        Status.TIMED_OUT: How.TIMED_OUT,
        Status.CANCELLED: How.CANCELLED,
    }.get(status, How.FAILED)
