"""Row ↔ record: the bytes that Redis stores and the scripts change (`scripts/rows.lua`)."""

from collections.abc import Sequence
from struct import Struct
from typing import Any, Final, NamedTuple

from durable_core.storage import Checkpoint, Head, OnCancel, Phase, Record

INLINE: Final = 512
"""Payloads up to so many bytes are stored in the row; larger ones have a key of their own."""

PHASES: Final[Sequence[Phase]] = tuple(Phase)
"""By the number that is stored."""

PHASE_NUMBERS: Final = {phase: number for number, phase in enumerate(PHASES)}

_NONE: Final = -(2**63)
_LARGEST: Final = 2.0**63

_NUMBERS: Final = Struct("<BHhiiiiiddqqqq")
_NOW: Final = Struct("<qdd")
_U16: Final = Struct("<H")
_U32: Final = Struct("<I")
_PAYLOAD: Final = Struct("<II")
_TIME: Final = Struct("<q")

_CANCEL: Final = 1
_DELIVER: Final = 2
_ERROR: Final = 4
_STATE: Final = 8
_OUTPUT: Final = 16
_ERROR_APART: Final = 32
_STATE_APART: Final = 64
_OUTPUT_APART: Final = 128
_PAYLOAD_APART: Final = 256

_NO_TAGS: Final = frozenset[str]()


def milliseconds(due: int | None) -> float:
    """Return the due time by which rows are ordered: rounded up, -1 for none."""
    return -1.0 if due is None else float(-(-due // 1000))


def microseconds(time: int | None) -> bytes:
    """Return a time as it is stored."""
    return _TIME.pack(_NONE if time is None else time)


def moment(now: int) -> bytes:
    """Return a call's `now` as scripts take it."""
    return _NOW.pack(now, float(now), float(now // 1000))


def short(data: bytes) -> bytes:
    """Return bytes after their length, of one byte."""
    return bytes((len(data),)) + data


def longer(data: bytes) -> bytes:
    """Return bytes after their length, of two bytes."""
    return _U16.pack(len(data)) + data


def text(value: str | None) -> bytes:
    """Return a text as it is stored; none is empty, as no text of the protocol is."""
    return b"" if value is None else value.encode()


class Stored(NamedTuple):
    """A new row as scripts take it.

    Attributes:
        row: The row itself.
        apart: What is too large for it.
    """

    row: bytes
    apart: bytes

    @property
    def size(self) -> int:
        """How many bytes these are."""
        return len(self.row) + len(self.apart)


def stored(record: Record) -> Stored:
    """Return a record that is new as it is stored."""
    flags = _DELIVER if record.on_cancel is OnCancel.DELIVER else 0
    state = record.state
    inline = b""
    state_apart = False
    if state is not None:
        state_apart = len(state) > INLINE
        inline = b"" if state_apart else state
        flags |= _STATE | (_STATE_APART if state_apart else 0)
    options, meta = record.options, record.meta
    payload = _PAYLOAD.pack(len(options), len(meta)) + options + meta + record.input
    payload_apart = len(payload) > INLINE
    if payload_apart:
        flags |= _PAYLOAD_APART
    numbers = _NUMBERS.pack(
        PHASE_NUMBERS[record.phase],
        flags,
        record.priority,
        record.child_index,
        0,
        0,
        0,
        0,
        record.gen,
        milliseconds(record.due),
        _NONE if record.due is None else record.due,
        record.created_at,
        _NONE if record.started_at is None else record.started_at,
        _NONE,
    )
    tags = b"".join(longer(tag.encode()) for tag in sorted(record.tags)) if record.tags else b""
    row = b"".join(
        (
            numbers,
            short(text(record.owner)),
            b"\0\0\0\0",
            longer(inline),
            b"\0\0",
            longer(record.task.encode()),
            longer(record.queue.encode()),
            short(text(record.parent_id)),
            longer(text(record.wake_key)),
            longer(text(record.key)),
            short(b"" if record.root_id == record.id else record.root_id.encode()),
            longer(text(record.group)),
            longer(tags),
            b"" if payload_apart else payload,
        )
    )
    apart = payload if payload_apart else b""
    if state_apart and state is not None:
        apart = _U32.pack(len(apart)) + apart + state
    return Stored(row, apart)


class Reader:
    """Reads an answer of a script from its beginning to its end.

    Args:
        data: The answer.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def ended(self) -> bool:
        """Whether everything was read."""
        return self._at >= len(self._data)

    def numbers(self, form: Struct) -> tuple[Any, ...]:
        """Read numbers."""
        values = form.unpack_from(self._data, self._at)
        self._at += form.size
        return values

    def byte(self) -> int:
        """Read a number of one byte."""
        self._at += 1
        return self._data[self._at - 1]

    def take(self, size: int) -> bytes:
        """Read so many bytes."""
        self._at += size
        return self._data[self._at - size : self._at]

    def short(self) -> str:
        """Read a text after its length, of one byte."""
        return self.take(self.byte()).decode()

    def longer(self) -> bytes:
        """Read bytes after their length, of two bytes."""
        (size,) = _U16.unpack_from(self._data, self._at)
        self._at += 2
        return self.take(size)

    def large(self) -> bytes:
        """Read bytes after their length, of four bytes."""
        (size,) = _U32.unpack_from(self._data, self._at)
        self._at += 4
        return self.take(size)

    def _optional(self) -> str | None:
        return self.longer().decode() or None

    def head(self) -> Head:
        """Read a row that was told without payloads."""
        return self._row(payload=False)

    def record(self) -> Record:
        """Read a row that was told with its payloads."""
        row = self._row(payload=True)
        assert isinstance(row, Record)  # noqa: S101 - it was asked for
        return row

    def row(self, *, payload: bool) -> Head:
        """Read a row."""
        return self._row(payload=payload)

    def _row(self, *, payload: bool) -> Head:
        id_ = self.short()
        (size,) = _U32.unpack_from(self._data, self._at)
        self._at += 4
        end = self._at + size
        (
            phase, flags, priority, child_index, crashes, attempt, pending, join_at, gen, _,
            due, created_at, started_at, finished_at,
        ) = _NUMBERS.unpack_from(self._data, self._at)  # fmt: skip
        self._at += _NUMBERS.size
        owner = self.short() or None
        ended_by = self._optional()
        error: bytes | None = self.longer()
        state: bytes | None = self.longer()
        output: bytes | None = self.longer()
        task = self.longer().decode()
        queue = self.longer().decode()
        parent_id = self.short() or None
        wake_key = self._optional()
        key = self._optional()
        root_id = self.short() or id_
        group = self._optional()
        tags = self.longer()
        rest = self._data[self._at : end]
        self._at = end
        if flags & _ERROR_APART:
            error = self.large()
        elif not flags & _ERROR:
            error = None
        fields: dict[str, Any] = {
            "id": id_,
            "task": task,
            "queue": queue,
            "group": group,
            "key": key,
            "wake_key": wake_key,
            "root_id": root_id,
            "parent_id": parent_id,
            "child_index": child_index,
            "on_cancel": OnCancel.DELIVER if flags & _DELIVER else OnCancel.END,
            "tags": _tags(tags) if tags else _NO_TAGS,
            "priority": priority,
            "phase": PHASES[phase],
            "due": None if due == _NONE else due,
            "owner": owner,
            "gen": int(gen),
            "crashes": crashes,
            "attempt": attempt,
            "error": error,
            "pending": pending,
            "join_at": join_at,
            "cancel_requested": bool(flags & _CANCEL),
            "ended_by": ended_by,
            "created_at": created_at,
            "started_at": None if started_at == _NONE else started_at,
            "finished_at": None if finished_at == _NONE else finished_at,
        }
        if not payload:
            return Head(**fields)
        if flags & _STATE_APART:
            state = self.large()
        elif not flags & _STATE:
            state = None
        if flags & _OUTPUT_APART:
            output = self.large()
        elif not flags & _OUTPUT:
            output = None
        if flags & _PAYLOAD_APART:
            rest = self.large()
        options, meta = _PAYLOAD.unpack_from(rest)
        meta_at = _PAYLOAD.size + options
        input_at = meta_at + meta
        return Record(
            **fields,
            options=rest[_PAYLOAD.size : meta_at],
            meta=rest[meta_at:input_at],
            input=rest[input_at:],
            state=state,
            output=output,
        )


def _tags(data: bytes) -> frozenset[str]:
    reader = Reader(data)
    tags: list[str] = []
    while not reader.ended:
        tags.append(reader.longer().decode())
    return frozenset(tags)


def checkpoint(name: bytes, value: bytes) -> Checkpoint:
    """Return a checkpoint from its name and what is stored under it."""
    (created_at,) = _TIME.unpack_from(value)
    return Checkpoint(name=name.decode(), value=value[_TIME.size :], created_at=created_at)
