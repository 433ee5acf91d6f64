"""The normative text of the protocol, written from the code so that it tells no other story."""

import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, fields
from enum import StrEnum
from importlib.resources import files
from typing import Any, Final

from durable_core.storage import (
    PROTOCOL_VERSION,
    RULES,
    Applied,
    ApplyOutcome,
    Beat,
    Bind,
    BoundStorage,
    Cancelled,
    CancelOutcome,
    Capabilities,
    Checkpoint,
    Claimed,
    CountBy,
    Finish,
    Head,
    Inserted,
    InsertOutcome,
    Keep,
    Lease,
    Leases,
    Listen,
    NewExecution,
    Page,
    Phase,
    Pulse,
    PulseConnection,
    Query,
    Reaped,
    Record,
    Release,
    SchemaReport,
    Settle,
    Storage,
    Wake,
    WakeOutcome,
    Woken,
    errors,
)
from durable_core.storage.kit import limits

from .docstrings import Docstring, markdown, read, shown_type, signature
from .engine_rules import ENGINE_RULES
from .promises import AREAS, JUDGED, Promise

WHO: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (
            *("id", "task", "queue", "group", "key", "wake_key", "root_id", "parent_id"),
            *("child_index", "on_cancel", "tags", "created_at", "options", "meta", "input"),
        ),
        "fixed",
    ),
    **dict.fromkeys(("priority", "attempt", "join_at", "state"), "holder"),
    **dict.fromkeys(("output", "error"), "holder; wake"),
    **dict.fromkeys(("owner", "gen", "pending", "cancel_requested", "ended_by"), "storage"),
    **dict.fromkeys(("started_at", "finished_at"), "storage"),
    "phase": "holder; wake, cancel, reap",
    "due": "holder; storage",
    "crashes": "reap; the holder sets 0",
}
"""Field of a record -> who may change it."""

_VALUES: Final[tuple[type[Any], ...]] = (
    *(NewExecution, InsertOutcome, Inserted, Claimed),
    *(Keep, Release, Finish, Settle, ApplyOutcome, Applied),
    *(Wake, WakeOutcome, Woken, CancelOutcome, Cancelled),
    *(Beat, Reaped, Query, CountBy, Page, Checkpoint, Lease, SchemaReport),
)
_MEANING: Final[Mapping[str, str]] = {
    "outcome": "What became of the item.",
    "record": "The new row, or the existing one.",
    "head": "The row as it stands; None if it is missing.",
    "phase": "A final phase.",
    "woken": "Executions made claimable at once: a hint.",
    "name": "By which it is known.",
    "value": "What was recorded first.",
    "created_at": "When it was recorded.",
    "executor": "Who.",
    "started_at": "When it registered.",
    "expires_at": "Until when it is alive.",
    "info": "What it said of itself.",
}
"""What fields mean whose class says it in its first sentence."""

_ABILITIES: Final = ((Listen, "push"), (Leases, "leases"), (Bind, "bind"), (Pulse, "pulse"))
_PARTS: Final[Mapping[type, type]] = {Bind: BoundStorage, Pulse: PulseConnection}
_LIMITS: Final = (
    ("id, root_id, request", f"1 to {limits.MAX_ID} printable ASCII characters without blanks"),
    ("executor", f"likewise, at most {limits.MAX_OWNER}"),
    (
        "task, queue, group, key, wake_key, checkpoint name",
        f"1 to {limits.MAX_NAME} characters of UTF-8 without NUL, compared byte by byte",
    ),
    ("tags", f"at most {limits.MAX_TAGS}, each 1 to {limits.MAX_TAG} characters"),
    ("priority", f"{limits.MIN_PRIORITY} to {limits.MAX_PRIORITY}"),
    ("child_index", f"-1 to {limits.MAX_INT32}"),
    ("attempt", f"0 to {limits.MAX_INT32}"),
    ("join_at", f"-1 to {limits.MAX_INT32}"),
    ("due", f"0 to {limits.MAX_INT64}, or None"),
    ("a payload", "`max_payload` bytes"),
    ("a call", "`max_batch_rows` rows, children included, and `max_batch_bytes` payload bytes"),
)


def reference() -> str:
    """Return the whole page as Markdown."""
    text = files("durable_conformance").joinpath("reference.txt").read_text(encoding="utf-8")
    parts: Mapping[str, str] = {
        "version": str(PROTOCOL_VERSION),
        "record": _record(),
        "methods": "\n\n".join(_methods(Storage)),
        "values": "\n\n".join(_values()),
        "abilities": "\n\n".join(_abilities()),
        "capabilities": _capabilities(),
        "errors": _errors(),
        "machine": _machine(),
        "judged": max(JUDGED, key=lambda level: level.rank).value,
        "promises": "\n\n".join(_area(name, promises) for name, promises in AREAS.items()),
        "engine": "\n".join(f"- **{id_}**: {rule}" for id_, rule in ENGINE_RULES.items()),
        "limits": _table(("what", "limit"), _LIMITS),
    }
    for name, part in parts.items():
        text = text.replace("{{" + name + "}}", part)
    return text


def _table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(titles)
    lines = [head, ["---"] * len(head), *([_cell(text) for text in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _record() -> str:
    meaning = {**read(Head).items["Attributes"], **read(Record).items["Attributes"]}
    return _table(
        ("field", "type", "who changes it", "meaning"),
        (
            (f"`{field.name}`", f"`{shown_type(field.type)}`", WHO[field.name], meaning[field.name])
            for field in fields(Record)
        ),
    )


def _methods(kind: type, level: str = "###") -> Iterator[str]:
    for name, member in vars(kind).items():
        if inspect.isfunction(member) and not name.startswith("_"):
            yield _method(name, member, level)


def _method(name: str, function: Any, level: str) -> str:
    text = read(function)
    lines = [f"{level} {name}", "", "```", signature(name, function), "```", "", text.prose]
    for title in ("Args", "Returns", "Raises"):
        lines += _details(text, title)
    return "\n".join(lines)


def _details(text: Docstring, title: str) -> list[str]:
    items, plain = text.items.get(title, {}), text.plain.get(title, "")
    if plain and not items:
        return ["", f"{title}: {plain}"]
    if not items:
        return []
    lines = [f"- `{name}`: {meaning}" for name, meaning in items.items()]
    return ["", *([] if title == "Args" else [f"{title}:", ""]), *lines]


def _values() -> Iterator[str]:
    for kind in _VALUES:
        text = read(kind)
        title = f"### {kind.__name__}\n\n{text.prose}"
        members = getattr(kind, "__members__", None)
        if members is not None:
            yield f"{title}\n\nOne of {', '.join(f'`{name}`' for name in members)}."
        else:
            rows = (
                (f"`{field.name}`", f"`{shown_type(field.type)}`", _default(field), what)
                for field, what in _fields(kind)
            )
            yield f"{title}\n\n{_table(('field', 'type', 'default', 'meaning'), rows)}"


def _fields(kind: type[Any]) -> Iterator[tuple[Field[Any], str]]:
    meaning = {**read(Head).items["Attributes"], **read(Record).items["Attributes"]}
    if kind is not NewExecution:
        meaning = dict(_MEANING)
    for base in reversed(kind.__mro__[:-1]):
        meaning |= read(base).items.get("Attributes", {})
    for field in fields(kind):
        yield field, meaning[field.name]


def _default(field: Field[Any]) -> str:
    default = field.default
    if default is MISSING:
        return "must be given" if field.default_factory is MISSING else "empty"
    if isinstance(default, StrEnum):
        return f"`{type(default).__name__}.{default.name}`"
    return f"`{default!r}`"


def _abilities() -> Iterator[str]:
    for kind, capability in _ABILITIES:
        yield f"### {kind.__name__}: `{capability}`\n\n{read(kind).prose}"
        yield from _methods(kind, "####")
        if kind in _PARTS:
            part = _PARTS[kind]
            yield f"**{part.__name__}**: {read(part).prose}"
            yield from _methods(part, "####")


def _capabilities() -> str:
    meaning = read(Capabilities).items["Attributes"]
    return _table(
        ("capability", "weakest", "question"),
        (
            (
                f"`{field.name}`",
                "must be given" if field.default is MISSING else f"`{field.default!r}`",
                meaning[field.name],
            )
            for field in fields(Capabilities)
        ),
    )


def _errors() -> str:
    kinds = [
        kind
        for kind in vars(errors).values()
        if inspect.isclass(kind) and kind.__module__ == errors.__name__
    ]
    return _table(
        ("error", "is a", "what it means"),
        (
            (f"`{kind.__name__}`", f"`{kind.__mro__[1].__name__}`", read(kind).prose)
            for kind in kinds
        ),
    )


def _machine() -> str:
    return _table(
        ("event", "from", "held", "guard", "to", "held afterwards", "effect"),
        (
            (
                rule.event.value,
                _phases(rule.sources, none="no row"),
                _yes(rule.held, none="either"),
                rule.guard,
                "as before" if rule.targets is None else _phases(rule.targets, none="no row"),
                _yes(rule.held_after, none="as before"),
                rule.effect,
            )
            for rule in RULES
        ),
    )


def _phases(phases: frozenset[Phase], *, none: str) -> str:
    if phases == frozenset(Phase):
        return "any"
    return ", ".join(phase.value for phase in Phase if phase in phases) or none


def _yes(value: bool | None, *, none: str) -> str:  # noqa: FBT001
    return none if value is None else ("yes" if value else "no")


def _area(name: str, promises: Iterable[Promise]) -> str:
    rows = (
        (
            promise.id,
            markdown(promise.text),
            promise.requires or "",
            f"`{promise.hook}`" if promise.hook else "",
            _level(promise),
        )
        for promise in promises
    )
    return f"### {name}\n\n" + _table(("", "promise", "if", "needs", "level"), rows)


def _level(promise: Promise) -> str:
    again = [str(one.level) + (f" (`{one.hook}`)" if one.hook else "") for one in promise.again]
    return str(promise.level) + (f", again {', '.join(again)}" if again else "")
