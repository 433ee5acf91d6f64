"""What is kept of an exception: its type, message and traceback as text, never the object."""

import json
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self, cast

MAX_TYPE: Final = 512
"""Longest type name that is kept, in characters."""

MAX_MESSAGE: Final = 8 * 1024
"""Longest message that is kept, in characters."""

MAX_TRACEBACK: Final = 16 * 1024
"""Longest traceback that is kept, in characters."""

MAX_NOTES: Final = 16
"""Most notes that are kept, each of at most `MAX_NOTE` characters."""

MAX_NOTE: Final = 1024
"""Longest note that is kept, in characters."""

_LONGEST_ESCAPE: Final = len("\\ud800")
_VERSION: Final = 1
_PACKAGE: Final = __name__.partition(".")[0]


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """An exception as data, readable without the code that raised it.

    Texts that are too long lose their middle; characters that UTF-8 cannot carry are written as
    escapes.

    Attributes:
        type: Qualified name of the exception's class, such as ``builtins.ValueError``.
        message: ``str()`` of the exception.
        traceback: As Python prints it, with causes and notes; it begins in the user's code.
        retryable: Whether the retry policy allowed another attempt after it.
        notes: What was added by ``add_note``.
    """

    type: str
    message: str
    traceback: str = ""
    retryable: bool = False
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Bound and clean every text."""
        set_field = object.__setattr__
        set_field(self, "type", _clean(self.type, MAX_TYPE))
        set_field(self, "message", _clean(self.message, MAX_MESSAGE))
        set_field(self, "traceback", _clean(self.traceback, MAX_TRACEBACK))
        notes = tuple(_clean(note, MAX_NOTE) for note in self.notes[:MAX_NOTES])
        set_field(self, "notes", notes)

    @classmethod
    def from_exception(cls, exc: BaseException, retryable: bool) -> Self:  # noqa: FBT001 - a fact
        """Return what is to be kept of an exception; works for every exception.

        Args:
            exc: The exception, with its traceback if it was raised.
            retryable: Whether another attempt is allowed.
        """
        kind = type(exc)
        return cls(
            type=f"{kind.__module__}.{kind.__qualname__}",
            message=_text(exc),
            traceback=_traceback(exc),
            retryable=retryable,
            notes=tuple(_notes(exc)),
        )

    @property
    def type_name(self) -> str:
        """The type as people read it: without module for Python's own exceptions."""
        return self.type.removeprefix("builtins.")

    def encode(self) -> bytes:
        """Return UTF-8 JSON; never fails."""
        fields: dict[str, object] = {"v": _VERSION, "type": self.type, "message": self.message}
        if self.traceback:
            fields["traceback"] = self.traceback
        if self.retryable:
            fields["retryable"] = True
        if self.notes:
            fields["notes"] = self.notes
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return what `encode` wrote; bytes of another origin become the message.

        Never raises, so that a damaged error can still be looked at.
        """
        try:
            found: object = json.loads(data)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict):
            fields = cast("dict[str, object]", found)
            kind, message = fields.get("type"), fields.get("message")
            if isinstance(kind, str) and isinstance(message, str):
                return cls(
                    type=kind,
                    message=message,
                    traceback=_str_or_empty(fields.get("traceback")),
                    retryable=fields.get("retryable") is True,
                    notes=_str_items(fields.get("notes")),
                )
        return cls(type="unknown", message=data.decode("utf-8", "backslashreplace"))

    def __str__(self) -> str:
        """Return type and message, like the last line of a traceback."""
        return f"{self.type_name}: {self.message}" if self.message else self.type_name


def _clean(text: str, limit: int) -> str:
    if text.isascii() and len(text) <= limit:
        return text
    clean = _escaped(_bounded(text, limit))
    if len(clean) > limit:
        clean = _escaped(_bounded(text, limit // _LONGEST_ESCAPE))
    return clean


def _escaped(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _bounded(text: str, limit: int) -> str:
    """Keep head and tail, and say how much is missing between them."""
    if len(text) <= limit:
        return text
    room = limit - len(_gap(len(text)))
    head = room // 2
    tail = room - head
    return text[:head] + _gap(len(text) - room) + text[-tail:]


def _gap(count: int) -> str:
    return f"\n[… {count} characters left out …]\n"


def _text(value: object) -> str:
    """Return ``str(value)`` as a plain str, whatever its ``__str__`` does."""
    try:
        return str.__str__(str(value))
    except BaseException as error:  # noqa: BLE001 - the failure being recorded matters more
        return f"<str() of this {type(value).__name__} raised {type(error).__name__}>"


def _notes(exc: BaseException) -> Iterator[str]:
    notes: object = getattr(exc, "__notes__", None)
    if isinstance(notes, list | tuple):
        for note in cast("list[object]", notes)[:MAX_NOTES]:
            yield _text(note)


def _traceback(exc: BaseException) -> str:
    try:
        formatted = traceback.TracebackException(
            type(exc), exc, _first_foreign(exc.__traceback__), compact=True
        )
        return "".join(formatted.format()).rstrip("\n")
    except BaseException as error:  # noqa: BLE001 - the failure being recorded matters more
        return f"<the traceback could not be formatted: {type(error).__name__}>"


def _first_foreign(frames: TracebackType | None) -> TracebackType | None:
    """Skip this package's own frames at the top, unless there are no others."""
    current = frames
    while current is not None:
        module: Any = current.tb_frame.f_globals.get("__name__")
        if not (isinstance(module, str) and module.partition(".")[0] == _PACKAGE):
            return current
        current = current.tb_next
    return frames


def _str_or_empty(value: object) -> str:
    return value if isinstance(value, str) else ""


def _str_items(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(item for item in cast("list[object]", value) if isinstance(item, str))
