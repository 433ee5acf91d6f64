"""What a memory storage saves is what it loads, and its dump can be read by people."""

from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from durable_core.storage import (
    CorruptError,
    Finish,
    Keep,
    MemoryStorage,
    NewExecution,
    Phase,
    Query,
    Release,
    Wake,
    Woken,
)
from durable_core.storage.memory.dump import from_json, to_json
from durable_core.storage.memory.tables import Tables

from .instant import run
from .invariants import crooked_indexes, tables_of
from .strategies import names, payloads, roots
from .walk import Walk


def content(tables: Tables) -> dict[str, Any]:
    """Return everything that a namespace knows."""
    return {
        "rows": tables.rows,
        "checkpoints": {id_: list(points.items()) for id_, points in tables.checkpoints.items()},
        "mailboxes": {
            key: (box.execution_id, box.request, _plain(box.answer), box.message)
            for key, box in tables.mailboxes.items()
        },
        "leases": tables.leases,
    }


def _plain(answer: Woken | None) -> object:
    return answer and (*astuple(answer)[:-1], list(answer.woken))


@given(
    st.lists(roots(), max_size=3, unique_by=lambda item: item.id),
    st.dictionaries(names, payloads, max_size=3),
    payloads,
)
def test_any_value_comes_back(
    items: list[NewExecution], checkpoints: dict[str, bytes], payload: bytes
) -> None:
    storage = MemoryStorage()
    run(storage.insert(items=items, now=7))
    run(storage.heartbeat(executor="e", ttl=5, now=7, register=True, info=payload))
    run(
        storage.wake(
            items=[Wake(task="t", wake_key="k", request="r", payload=payload, keep_until=99)], now=7
        )
    )
    run(storage.insert(items=[NewExecution(id="held!", task="t", owner="!e")], now=7))
    (held,) = run(storage.find(query=Query(owner="!e"), limit=1)).items
    run(
        storage.apply(
            items=[Keep(id=held.id, token=held.token, checkpoints=checkpoints, error=payload)],
            now=8,
        )
    )
    loaded = from_json(to_json(tables_of(storage)), "here")
    assert content(loaded) == content(tables_of(storage))


@pytest.mark.parametrize("seed", range(10))
def test_a_long_history_comes_back_and_goes_on(seed: int, tmp_path: Path) -> None:
    walk = Walk(seed)
    for _ in range(200):
        walk.step()
    original = walk.watcher.storage
    original.save(tmp_path / "saved")
    copy = MemoryStorage()
    copy.load(tmp_path / "saved")
    assert content(tables_of(copy)) == content(tables_of(original))
    assert not list(crooked_indexes(tables_of(copy)))

    claims = [
        run(
            storage.claim(
                executor="e9", tasks=["t0", "t1"], queues=["q0", "q1"], limit=1_000, now=walk.now
            )
        )
        for storage in (original, copy)
    ]
    assert {row.id for row in claims[0].records} == {row.id for row in claims[1].records}
    assert claims[0].next_due == claims[1].next_due
    purged = [
        run(storage.purge(finished_before=walk.now, now=walk.now, limit=1_000))
        for storage in (original, copy)
    ]
    assert purged[0] == purged[1]
    assert content(tables_of(copy)) == content(tables_of(original))


def test_saving_replaces_the_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "saved.json"
    path.write_text("something else")
    storage = MemoryStorage()
    run(storage.insert(items=[NewExecution(id="a", task="t")], now=1))
    storage.save(str(path))
    storage.save(path)
    assert list(tmp_path.iterdir()) == [path]
    copy = MemoryStorage()
    copy.load(str(path))
    assert [row and row.id for row in run(copy.get(ids=["a"]))] == ["a"]


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "saved.json"
    path.write_text("the old one")

    def refuse(_self: Path, _target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="No space left"):
        MemoryStorage().save(path)
    assert [one.name for one in tmp_path.iterdir()] == ["saved.json"]
    assert path.read_text() == "the old one"


SAVED = to_json(tables_of(Walk(0).watcher.storage)).encode()


@pytest.mark.parametrize(
    ("content_", "message"),
    [
        (b"", "is not a saved MemoryStorage"),
        (b"{}", "is not a saved MemoryStorage"),
        (b"\xff\xfe\x00", "is not a saved MemoryStorage"),
        (SAVED[:-1], "is not a saved MemoryStorage"),
        (SAVED.replace(b"durable-memory/1", b"durable-memory/2"), "has format 'durable-memory/2'"),
    ],
)
def test_another_file_is_refused_and_changes_nothing(
    content_: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "other"
    path.write_bytes(content_)
    storage = MemoryStorage()
    run(storage.insert(items=[NewExecution(id="a", task="t")], now=1))
    with pytest.raises(CorruptError, match=message) as caught:
        storage.load(path)
    assert str(path) in str(caught.value)
    assert [row and row.id for row in run(storage.get(ids=["a"]))] == ["a"]


def test_a_dump_shows_families_and_what_matters() -> None:
    storage = MemoryStorage()
    run(storage.insert(items=[NewExecution(id="p", task="pack", owner="e")], now=1))
    (parent,) = run(storage.get(ids=["p"]))
    assert parent is not None
    children = [
        NewExecution(id=f"p.{n}", task="wrap", parent_id="p", child_index=n, owner="e", input=b"in")
        for n in (1, 0)
    ]
    run(
        storage.apply(
            items=[
                Release(
                    id="p",
                    token=parent.token,
                    phase=Phase.WAITING_FOR_CHILDREN,
                    due=None,
                    children=children,
                )
            ],
            now=2,
        )
    )
    (child,) = run(storage.get(ids=["p.1"]))
    assert child is not None
    end = Finish(id="p.1", token=child.token, phase=Phase.FAILED, error=b"torn")
    run(storage.apply(items=[end], now=3))
    run(storage.insert(items=[NewExecution(id="z", task="other", queue="slow", key="k")], now=4))
    assert storage.dump().splitlines() == [
        "p pack waiting_for_children queue=default gen=1 pending=1",
        "  p.0 wrap running queue=default owner=e gen=1 input=b'in'",
        "  p.1 wrap failed queue=default gen=1 error=b'torn' input=b'in'",
        "z other ready queue=slow key=k",
    ]


def test_an_empty_dump_is_empty() -> None:
    assert MemoryStorage().dump() == ""
