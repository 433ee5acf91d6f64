"""Many rows per statement: SQLite then works without Python, and without Python's lock."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from durable_core.storage import UNSET, Finish, NewExecution

from .records import birth_row
from .statements import FINISHES, INSERTS, NEWEST
from .writing import Writing

T = TypeVar("T")

SIZES: Final = (64, 8, 1)
"""Rows per statement: few sizes, so that all statements stay prepared."""


def pieces(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut into pieces of the sizes for which there are statements, the largest first."""
    start = 0
    for size in SIZES:
        while len(items) - start >= size:
            yield items[start : start + size]
            start += size


INSERT: Final[Mapping[int, str]] = {
    size: INSERTS.replace("(*)", ", ".join(["(" + ", ".join("?" * 23) + ")"] * size))
    for size in SIZES
}
INSERT_RETURNING: Final[Mapping[int, str]] = {
    size: text + " RETURNING id" for size, text in INSERT.items()
}


def insert_rows(writing: Writing, items: Sequence[NewExecution], now: int) -> list[bool]:
    """Insert rows with distinct ids, unless their id, key or wake key exists.

    Args:
        writing: The transaction.
        items: What to insert.
        now: Becomes `created_at`; decides what is held.

    Returns:
        For each item in turn whether it was inserted.
    """
    created: list[bool] = []
    for piece in pieces(items):
        parameters: list[Any] = []
        for item in piece:
            parameters += birth_row(item, now)
        made = writing.run(INSERT[len(piece)], parameters).rowcount
        if made in (0, len(piece)):
            created += [made > 0] * len(piece)
        else:
            # New rows are numbered after all that there were.
            fresh = {row[0] for row in writing.rows(NEWEST, (made,))}
            created += [item.id in fresh for item in piece]
    return created


_SETTABLE: Final = ("state", "attempt", "join_at", "priority", "output", "error")
_RESET: Final = 1 << len(_SETTABLE)


def finish_shape(item: Finish) -> int:
    """Return which values an item sets, as a number: items of one shape share a statement."""
    return (
        (item.state is not UNSET)
        | (item.attempt is not UNSET) << 1
        | (item.join_at is not UNSET) << 2
        | (item.priority is not UNSET) << 3
        | (item.output is not UNSET) << 4
        | (item.error is not UNSET) << 5
        | item.reset_crashes << 6
    )


def finish_rows(writing: Writing, items: Sequence[Finish], shape: int, now: int) -> bool:
    """Finish rows that have no unfinished children, if all tokens hold.

    Args:
        writing: The transaction.
        items: As many as one of `SIZES`, all of one shape, without checkpoints.
        shape: See `finish_shape`.
        now: Becomes `finished_at`.

    Returns:
        True if all were finished; False if nothing was changed: then each must be looked at. The
        parents are not counted down yet.
    """
    names = [name for bit, name in enumerate(_SETTABLE) if shape >> bit & 1]
    parameters: list[Any] = [now]
    for item in items:
        owner, gen = item.token
        parameters += (item.id, item.parent_id, owner, gen, str(item.phase))
        parameters += [getattr(item, name) for name in names]
    text = writing.finishing.get((shape, len(items)))
    if text is None:
        text = writing.finishing[shape, len(items)] = finish_text(names, shape, len(items))
    if len(items) == 1:
        return writing.run(text, parameters).rowcount == 1
    writing.control("SAVEPOINT bulk")
    done = writing.run(text, parameters).rowcount == len(items)
    if not done:
        writing.control("ROLLBACK TO bulk")
    writing.control("RELEASE bulk")
    return done


def finish_text(names: Sequence[str], shape: int, size: int) -> str:
    """Return the statement that finishes rows.

    Args:
        names: The columns that it sets besides.
        shape: See `finish_shape`.
        size: How many rows.
    """
    assignments = "".join(f", {name} = excluded.{name}" for name in names)
    row = "(" + ", ".join("?" * (5 + len(names))) + ")"
    inserted = {name: f"v.column{place}" for place, name in enumerate(names, 6)}
    # A column that may not be empty, although it is never inserted.
    inserted.setdefault("priority", "0")
    return FINISHES.format(
        columns="".join(f", {name}" for name in inserted),
        values="".join(f", {value}" for value in inserted.values()),
        rows=", ".join([row] * size),
        assignments=assignments + (", crashes = 0" if shape & _RESET else ""),
    )
