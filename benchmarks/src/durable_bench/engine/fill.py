"""Rows that are there already, written by the storage protocol in large batches."""

from typing import Final

from durable_core.storage import (
    Finish,
    InsertOutcome,
    NewExecution,
    Phase,
    Storage,
    Token,
)

from .tasks import noop

WEEK_US: Final = 7 * 24 * 3600 * 1_000_000
_OWNER: Final = "filler"
_LARGEST: Final = 5_000

READY: Final = "ready-"


async def fill(storage: Storage, *, finished: int = 0, scheduled: int = 0, ready: int = 0) -> None:
    """Store executions that ended, others that are due next week or now, of a task in use.

    Args:
        storage: Set up.
        finished: How many have ended.
        scheduled: How many are due next week.
        ready: How many are due now, one after the other; `READY` with a number is the id of each.
    """
    size = min(_LARGEST, storage.capabilities.max_batch_rows)
    now = await storage.clock()
    for start in range(0, finished, size):
        ids = [f"finished-{number}" for number in range(start, min(start + size, finished))]
        await _insert(storage, [row(id_, owner=_OWNER) for id_ in ids], now)
        items = [
            Finish(id=id_, token=Token(_OWNER, 1), phase=Phase.COMPLETED, output=b"2")
            for id_ in ids
        ]
        await storage.apply(items=items, now=now)
    for start in range(0, scheduled, size):
        numbers = range(start, min(start + size, scheduled))
        rows = [row(f"scheduled-{number}", due=now + WEEK_US + number) for number in numbers]
        await _insert(storage, rows, now)
    for start in range(0, ready, size):
        numbers = range(start, min(start + size, ready))
        rows = [row(f"{READY}{number}", due=now - ready + number) for number in numbers]
        await _insert(storage, rows, now)


def row(id_: str, *, due: int = 0, owner: str | None = None) -> NewExecution:
    """Return a row like those that the executor makes of the same call.

    Args:
        id_: The execution's id.
        due: When it may be claimed, µs.
        owner: Asks to be held.
    """
    return NewExecution(
        id=id_,
        task=noop.name,
        due=due,
        owner=owner,
        options=noop.policy,
        input=noop.call(1).input,
    )


async def _insert(storage: Storage, rows: list[NewExecution], now: int) -> None:
    answers = await storage.insert(items=rows, now=now)
    if any(answer.outcome is not InsertOutcome.CREATED for answer in answers):
        raise RuntimeError("a row to fill up with is there already: fill an empty storage")
