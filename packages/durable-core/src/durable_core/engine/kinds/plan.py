"""What a parent remembers between its activations, and the plan of many children."""

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ...storage import NewExecution, OnCancel, Phase

_HEAD_END = b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentState:
    """A parent's continuation.

    Attributes:
        output: Its own output, encoded.
        plan: Which plan is being carried out, by the `gen` of its author: an author that died
            half-way leaves pages that must not be mixed with its successor's.
        pages: How many pages that plan has; 0 once all children exist.
    """

    output: bytes
    plan: int = 0
    pages: int = 0

    def encode(self) -> bytes:
        """Return a line of JSON, and the output as it is."""
        return json.dumps([self.plan, self.pages]).encode() + _HEAD_END + self.output

    @classmethod
    def decode(cls, data: bytes) -> "ParentState":
        """Return what was encoded.

        Raises:
            ValueError: Something else wrote it.
        """
        head, _, output = data.partition(_HEAD_END)
        match json.loads(head or b"[0, 0]"):
            case [int(plan), int(pages)]:
                return cls(output=output, plan=plan, pages=pages)
            case _:
                msg = f"not a parent's state: {data[:40]!r}"
                raise ValueError(msg)


def page_name(plan: int, number: int) -> str:
    """Return the name of the checkpoint that holds a page of a plan."""
    return f"$plan/{plan}/{number}"


def encode_page(children: Iterable[NewExecution]) -> bytes:
    """Return children as JSON, to be inserted by whoever holds the parent."""
    return json.dumps([_to_json(child) for child in children], separators=(",", ":")).encode()


def decode_page(data: bytes) -> Sequence[NewExecution]:
    """Return the children of a page."""
    return [_from_json(child) for child in json.loads(data)]


def _to_json(child: NewExecution) -> list[Any]:
    return [
        child.id,
        child.task,
        child.queue,
        child.group,
        child.wake_key,
        child.root_id,
        child.parent_id,
        child.child_index,
        child.on_cancel,
        sorted(child.tags),
        child.priority,
        child.phase,
        child.due,
        base64.b64encode(child.options).decode(),
        base64.b64encode(child.meta).decode(),
        base64.b64encode(child.input).decode(),
    ]


def _from_json(values: list[Any]) -> NewExecution:
    return NewExecution(
        id=values[0],
        task=values[1],
        queue=values[2],
        group=values[3],
        wake_key=values[4],
        root_id=values[5],
        parent_id=values[6],
        child_index=values[7],
        on_cancel=OnCancel(values[8]),
        tags=frozenset(values[9]),
        priority=values[10],
        phase=Phase(values[11]),
        due=values[12],
        options=base64.b64decode(values[13]),
        meta=base64.b64decode(values[14]),
        input=base64.b64decode(values[15]),
    )
