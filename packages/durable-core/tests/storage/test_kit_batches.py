"""Batches are cut where a set-based statement would lose an update, and nowhere else."""

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from durable_core.storage.kit import in_chunks, split_families


@dataclass(frozen=True)
class Item:
    id: str
    parent_id: str | None
    place: int


@st.composite
def batches(draw: st.DrawFn) -> list[Item]:
    names = st.sampled_from("abcdef")
    pairs = draw(st.lists(st.tuples(names, st.none() | names), max_size=15))
    return [Item(id_, parent, place) for place, (id_, parent) in enumerate(pairs)]


@given(batches())
def test_a_piece_holds_no_id_twice_and_no_row_with_its_parent(batch: list[Item]) -> None:
    for piece in split_families(batch):
        ids = [item.id for item in piece]
        assert len(set(ids)) == len(ids)
        assert all(
            one.parent_id != other.id for one in piece for other in piece if one is not other
        )


@given(batches())
def test_pieces_keep_all_items_in_order(batch: list[Item]) -> None:
    pieces = split_families(batch)
    assert [item for piece in pieces for item in piece] == batch
    assert all(pieces)


@given(batches())
def test_no_cut_is_needless(batch: list[Item]) -> None:
    pieces = split_families(batch)
    for piece, following in pairwise(pieces):
        first = following[0]
        assert any(
            item.id in {first.id, first.parent_id} or item.parent_id == first.id for item in piece
        )


def test_siblings_stay_together() -> None:
    batch = [Item(id_, "p", 0) for id_ in "abc"]
    assert split_families(batch) == [batch]


@given(st.lists(st.integers()), st.integers(1, 10))
def test_chunks_are_full_and_in_order(items: list[int], size: int) -> None:
    chunks = list(in_chunks(items, size))
    assert [item for chunk in chunks for item in chunk] == items
    assert all(len(chunk) == size for chunk in chunks[:-1])
    assert all(0 < len(chunk) <= size for chunk in chunks)


def test_a_chunk_has_at_least_one_item() -> None:
    with pytest.raises(ValueError, match="at least 1, not 0"):
        list(in_chunks([1], 0))
