"""Rows ↔ records: everything that the protocol allows, to the last microsecond and byte."""

import struct
from typing import Any

from hypothesis import given, settings, strategies as st

from durable_core.storage import NewExecution, OnCancel, Phase
from durable_core.storage.kit import born
from durable_redis.records import INLINE, Reader, milliseconds, moment, short, stored

_INT64 = 2**63 - 1
_ids = st.text(alphabet=[chr(n) for n in range(33, 127)], min_size=1, max_size=255)
_names = st.text(
    alphabet=st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=191
)
_payloads = st.binary(max_size=2 * INLINE)
_items = st.builds(
    NewExecution,
    id=_ids,
    task=_names,
    queue=_names,
    group=st.none() | _names,
    key=st.none() | _names,
    root_id=st.none() | _ids,
    child_index=st.integers(-1, 2**31 - 1),
    on_cancel=st.sampled_from(OnCancel),
    tags=st.frozensets(_names.map(lambda name: name[:64]), max_size=16),
    priority=st.integers(-1000, 1000),
    phase=st.sampled_from([Phase.READY, Phase.SLEEPING]),
    due=st.none() | st.integers(0, _INT64),
    owner=st.none() | _ids.map(lambda name: name[:64]),
    options=_payloads,
    meta=_payloads,
    input=_payloads,
    state=st.none() | _payloads,
)


def _told(item: Any, kept: Any) -> bytes:
    """Return a new row as the scripts tell it."""
    apart: bytes = kept.apart
    blobs = b""
    if item.state is not None and len(item.state) > INLINE:
        (size,) = struct.unpack_from("<I", apart)
        state, apart = apart[4 + size :], apart[4 : 4 + size]
        blobs += struct.pack("<I", len(state)) + state
    if apart:
        blobs += struct.pack("<I", len(apart)) + apart
    row: bytes = struct.pack("<I", len(kept.row)) + kept.row
    return short(item.id.encode()) + row + blobs


@settings(max_examples=200, deadline=None)
@given(item=_items, now=st.integers(0, 2**53 - 1))
def test_a_row_reads_back(item: NewExecution, now: int) -> None:
    record = born(item, now)
    reader = Reader(_told(item, stored(record)))
    assert reader.record() == record
    assert reader.ended


@given(due=st.integers(0, 2**53 - 1), now=st.integers(0, 2**53 - 1))
def test_never_early(due: int, now: int) -> None:
    """What scripts compare: a row is due at the first millisecond that is not before its time."""
    _, exact, now_ms = struct.unpack("<qdd", moment(now))
    assert exact == now, "a number of µs is exact in Lua until 2255"
    assert (milliseconds(due) <= now_ms) == (-(-due // 1000) * 1000 <= now)
    assert not (milliseconds(due) <= now_ms and now < due)


def test_no_due() -> None:
    assert milliseconds(None) < 0 == milliseconds(0) < milliseconds(1)
    assert milliseconds(_INT64) > 2**53
