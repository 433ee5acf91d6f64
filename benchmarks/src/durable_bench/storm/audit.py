"""Whether a kill run has lost, doubled or changed anything: judged beside the engine."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from durable_core.storage import Phase, Record

from .watch import signature
from .work import expected, poll, size

Asked: TypeAlias = Mapping[str, tuple[str, int]]
"""Id of a root → its task and number."""

_SHOWN: Final = 20


def audit(
    asked: Asked,
    rows: Sequence[Record],
    seen: Mapping[str, str],
    ends: Mapping[str, int] | None,
) -> list[str]:
    """Return what is wrong, in words; nothing if all is well.

    Args:
        asked: What was enqueued.
        rows: All that is there after everything has ended.
        seen: What was seen ended while the run was going on: id → signature.
        ends: How often each execution ended, as the database wrote it down; None if it did not.
    """
    wrong = [*_results(asked, rows), *_changes(seen, rows), *_doubles(rows, ends)]
    more = len(wrong) - _SHOWN
    return [*wrong[:_SHOWN], f"and {more} more"] if more > 0 else wrong


def _results(asked: Asked, rows: Sequence[Record]) -> list[str]:
    """Return what is wrong with what is there."""
    there = {row.id: row for row in rows}
    faults: list[str] = []
    for id_, (name, number) in asked.items():
        row = there.get(id_)
        wanted = expected(name, number)
        if row is None:
            faults.append(f"{name}({number}) is lost: {id_}")
        elif row.phase is not Phase.COMPLETED or row.output is None:
            faults.append(f"{name}({number}) ended as {row.phase.value} instead of completed")
        elif (found := _result(name, row.output)) != wanted:
            faults.append(f"{name}({number}) ended with {found} instead of {wanted}")
    wanted_rows = sum(size(name, number) for name, number in asked.values())
    if len(rows) != wanted_rows:
        faults.append(f"{len(rows)} executions instead of {wanted_rows}")
    faults += [
        f"{row.task} {row.id} is {row.phase.value}, with {row.pending} children pending, held by "
        f"{row.owner}"
        for row in rows
        if row.phase is not Phase.COMPLETED or row.pending or row.owner is not None
    ]
    return faults


def _result(name: str, output: bytes) -> object:
    found: Any = json.loads(output)
    # A loop's result says how many iterations it took beside its output.
    result: object = found["output"] if name == poll.name else found
    return result


def _changes(seen: Mapping[str, str], rows: Sequence[Record]) -> list[str]:
    """Return what had ended and looks different now."""
    there = {row.id: row for row in rows}
    changed = [
        id_ for id_, before in seen.items() if id_ not in there or signature(there[id_]) != before
    ]
    return [f"{id_} had ended, and was changed" for id_ in changed]


def _doubles(rows: Sequence[Record], ends: Mapping[str, int] | None) -> list[str]:
    """Return what did not end exactly once."""
    if ends is None:
        return []
    wrong = [f"{id_} ended {times} times" for id_, times in ends.items() if times != 1]
    wrong += [f"nobody saw {row.id} end" for row in rows if row.id not in ends]
    return wrong
