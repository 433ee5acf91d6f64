"""Cutting batches into pieces that a storage can carry out at once."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")


class _InFamily(Protocol):
    @property
    def id(self) -> str: ...

    @property
    def parent_id(self) -> str | None: ...


F = TypeVar("F", bound=_InFamily)


def in_chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield slices of at most `size` items, in order.

    Args:
        items: What to cut.
        size: At least 1.

    Raises:
        ValueError: The size is less than 1.
    """
    if size < 1:
        msg = f"chunk size must be at least 1, not {size}"
        raise ValueError(msg)
    for start in range(0, len(items), size):
        yield items[start : start + size]


def split_families(items: Iterable[F]) -> list[list[F]]:
    """Cut a batch so that no piece holds one id twice, or a row together with its parent.

    A set-based statement that meets a row both as an item and as the parent of an item updates
    it once and loses the other update, silently. Pieces keep the order of the items, so that
    items that touch the same row take effect in item order.

    Args:
        items: Items with `id` and `parent_id`.

    Returns:
        Consecutive pieces; no empty one.
    """
    pieces: list[list[F]] = []
    ids: set[str] = set()
    parents: set[str] = set()
    for item in items:
        clash = item.id in ids or item.id in parents or item.parent_id in ids
        if clash or not pieces:
            pieces.append([])
            ids.clear()
            parents.clear()
        pieces[-1].append(item)
        ids.add(item.id)
        if item.parent_id is not None:
            parents.add(item.parent_id)
    return pieces
