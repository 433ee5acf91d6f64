"""What holds in a memory storage after every commit, whatever happened before."""

from collections import Counter
from collections.abc import Iterator

from durable_core.storage import FINISHED, WAITING, MemoryStorage, OnCancel, Record
from durable_core.storage.memory.tables import Tables


def tables_of(storage: MemoryStorage) -> Tables:
    """Return the data itself."""
    return storage._space.tables


def broken(tables: Tables) -> Iterator[str]:
    """Yield what does not hold."""
    unfinished = Counter(row.parent_id for row in tables.rows.values() if row.phase not in FINISHED)
    for row in tables.rows.values():
        if row.pending != unfinished[row.id]:
            yield f"COUNT wrong: {row.id} pending {row.pending}, children {unfinished[row.id]}"
        yield from _broken_row(tables, row)


def _broken_row(tables: Tables, row: Record) -> Iterator[str]:
    finished = row.phase in FINISHED
    free = row.owner is None
    if free and row.phase in WAITING and row.pending <= row.join_at and row.due != 0:
        yield f"WAIT FORGOTTEN: {row.id} has pending {row.pending}, due {row.due}"
    if finished and (row.finished_at is None or row.ended_by is None):
        yield f"END UNKNOWN: {row.id} is {row.phase}, ended by {row.ended_by}"
    if not free and (row.due is not None or row.gen < 1):
        yield f"HELD WRONGLY: {row.id} has due {row.due}, gen {row.gen}"
    if row.wake_key is not None and not finished:
        box = tables.mailboxes.get((row.task, row.wake_key))
        if box is None or box.message is not None or box.execution_id != row.id:
            yield f"WAKE MISSED: {row.id} sleeps while a message for it is kept"


def crooked_indexes(tables: Tables) -> Iterator[str]:
    """Yield where an index does not say what the rows say."""
    held: dict[str, set[str]] = {}
    marked: dict[str, set[str]] = {}
    keys: dict[tuple[str, str], str] = {}
    sleepers: dict[tuple[str, str], str] = {}
    for row in tables.rows.values():
        if row.owner is not None:
            held.setdefault(row.owner, set()).add(row.id)
            if row.cancel_requested and row.phase not in FINISHED:
                marked.setdefault(row.owner, set()).add(row.id)
        if row.key is not None:
            keys[row.task, row.key] = row.id
        if row.wake_key is not None and row.phase not in FINISHED:
            sleepers[row.task, row.wake_key] = row.id
    for name, index, expected in (
        ("held", tables.held, held),
        ("marked", tables.marked, marked),
        ("keys", tables.keys, keys),
        ("sleepers", tables.sleepers, sleepers),
    ):
        if dict(index) != expected:
            yield f"index {name} is {dict(index)}, the rows say {expected}"


def forgotten_cancels(tables: Tables) -> Iterator[str]:
    """Yield marked rows that nobody holds and nobody will look at.

    Only sound where an owner who has seen the mark always lets go with a due time.
    """
    for row in tables.rows.values():
        told = row.on_cancel is OnCancel.DELIVER and row.due is not None
        if row.cancel_requested and row.owner is None and row.phase not in FINISHED and not told:
            yield f"CANCEL LOST: {row.id} is marked, un-held and {row.phase}"
