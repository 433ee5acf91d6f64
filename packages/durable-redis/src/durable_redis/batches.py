"""Cutting calls into scripts that are short enough for everybody else to wait for."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

ROWS: Final = 100
"""Rows that one script handles at most, unless a single item has more of them."""

BYTES: Final = 1024 * 1024
"""Payload bytes that one script handles at most, unless a single item has more of them."""

T = TypeVar("T")


def batches(
    items: Sequence[T],
    size: Callable[[T], int] = lambda _: 0,
    rows: Callable[[T], int] = lambda _: 1,
) -> Iterator[Sequence[T]]:
    """Yield consecutive parts, each within the limits of a script; an item is never cut.

    Args:
        items: What to cut.
        size: How many bytes an item has.
        rows: How many rows an item touches.
    """
    begin = used_rows = used_bytes = 0
    for place, item in enumerate(items):
        more_rows, more_bytes = rows(item), size(item)
        full = used_rows + more_rows > ROWS or used_bytes + more_bytes > BYTES
        if full and place > begin:
            yield items[begin:place]
            begin, used_rows, used_bytes = place, 0, 0
        used_rows += more_rows
        used_bytes += more_bytes
    if begin < len(items):
        yield items[begin:]


def shares(total: int) -> list[int]:
    """Return numbers of at most `ROWS` that add up to a total; one 0 for none."""
    full, rest = divmod(total, ROWS)
    return [ROWS] * full + ([rest] if rest or not full else [])
