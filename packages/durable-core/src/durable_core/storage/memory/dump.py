"""A memory storage as a file that can be read back, and as text for people."""

import os
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from tempfile import NamedTemporaryFile

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from ..errors import CorruptError
from ..kit import Mailbox, Message
from ..records import Checkpoint, Lease, Record
from ..requests import Woken
from .tables import Tables

_FORMAT = "durable-memory/1"


@dataclass(
    frozen=True, kw_only=True, config={"ser_json_bytes": "base64", "val_json_bytes": "base64"}
)
class _StoredMailbox:
    task: str
    wake_key: str
    execution_id: str | None
    request: str | None
    answer: Woken | None
    message: Message | None


@dataclass(
    frozen=True, kw_only=True, config={"ser_json_bytes": "base64", "val_json_bytes": "base64"}
)
class _Stored:
    """The file's content."""

    format: str
    executions: list[Record]
    checkpoints: dict[str, list[Checkpoint]]
    mailboxes: list[_StoredMailbox]
    leases: list[Lease]


_FILE = TypeAdapter(_Stored)


def to_json(tables: Tables) -> str:
    """Return everything as indented JSON, payloads in base64."""
    stored = _Stored(
        format=_FORMAT,
        executions=list(tables.in_order()),
        checkpoints={id_: list(points.values()) for id_, points in tables.checkpoints.items()},
        mailboxes=[
            _StoredMailbox(
                task=task,
                wake_key=wake_key,
                execution_id=box.execution_id,
                request=box.request,
                answer=box.answer,
                message=box.message,
            )
            for (task, wake_key), box in tables.mailboxes.items()
        ],
        leases=list(tables.leases.values()),
    )
    return _FILE.dump_json(stored, indent=1).decode()


def from_json(text: str | bytes, source: str) -> Tables:
    """Return the tables that `to_json` wrote.

    Raises:
        CorruptError: It did not write this; `source` is named.
    """
    try:
        stored = _FILE.validate_json(text)
    except ValidationError as error:
        msg = f"{source} is not a saved MemoryStorage: {error}"
        raise CorruptError(msg) from error
    if stored.format != _FORMAT:
        msg = f"{source} has format {stored.format!r}, this release reads {_FORMAT!r}"
        raise CorruptError(msg)
    tables = Tables()
    for record in stored.executions:
        tables.put(record)
    for id_, points in stored.checkpoints.items():
        tables.checkpoints[id_] = {point.name: point for point in points}
    for box in stored.mailboxes:
        tables.mailboxes[box.task, box.wake_key] = Mailbox(
            execution_id=box.execution_id,
            request=box.request,
            answer=box.answer,
            message=box.message,
        )
    tables.leases = {lease.executor: lease for lease in stored.leases}
    return tables


def write(path: Path, text: str) -> None:
    """Replace the file by the text, durably and atomically."""
    with NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=path.name, delete=False
    ) as file:
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def readable(tables: Tables) -> str:
    """Return one line per execution, children indented below their parents."""
    return "\n".join(_lines(tables))


def _lines(tables: Tables) -> Iterator[str]:
    for record in tables.in_order():
        if record.parent_id is None or record.parent_id not in tables.rows:
            yield from _tree(tables, record)


def _tree(tables: Tables, root: Record) -> Iterator[str]:
    stack = [(0, root)]
    while stack:
        depth, record = stack.pop()
        facts = " ".join(
            f"{name}={value}"
            for field in fields(record)
            if (name := field.name) in _SHOWN and (value := getattr(record, name)) not in _DULL
        )
        yield f"{'  ' * depth}{record.id} {record.task} {record.status} {facts}".rstrip()
        children = (tables.rows[id_] for id_ in tables.children.get(record.id, ()))
        ordered = sorted(children, key=lambda row: row.child_index, reverse=True)
        stack.extend((depth + 1, child) for child in ordered)


_DULL = (None, b"", 0)
_SHOWN = frozenset(
    {"queue", "key", "wake_key", "priority", "due", "owner", "gen", "crashes", "attempt"}
    | {"pending", "input", "output", "error"}
)
