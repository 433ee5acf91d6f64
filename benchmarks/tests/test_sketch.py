import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from durable_bench.bodies import joined
from durable_bench.rooms import Place, room_of
from durable_bench.sketch import Row, Sketch, SqliteStore, Store


@pytest.fixture
def place(target: str, make_place: Callable[[str], Place]) -> Place:
    return make_place(target)


@pytest.fixture
async def store(target: str, place: Place) -> AsyncIterator[Store]:
    store = room_of(target).store(place)
    await store.open()
    yield store
    await store.close()


async def test_every_shape_gives_its_result(store: Store) -> None:
    sketch = Sketch(store)
    assert await sketch.call(41) == 42
    assert await sketch.fan_out(30) == joined(30) == 465
    assert await sketch.fan_out(3, napping=True) == 6
    assert await sketch.chain(7) == 7
    assert await sketch.chain(3, napping=True) == 3
    assert await sketch.loop() == 1


async def test_concurrent_calls_share_commits(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "sketch.db")
    await store.open()
    sketch = Sketch(store)
    answers = await asyncio.gather(*(sketch.call(number) for number in range(500)))
    counts = store.counts()
    await store.close()
    assert answers == list(range(1, 501))
    assert counts.table_statements == 1_000
    assert counts.commits < 20


async def test_what_was_answered_is_in_the_file_and_let_go(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "sketch.db")
    await store.open()
    sketch = Sketch(store)
    await asyncio.gather(sketch.call(1), sketch.fan_out(5), sketch.chain(3))
    await store.close()
    with sqlite3.connect(tmp_path / "sketch.db") as connection:
        rows = connection.execute(
            "SELECT phase, owner, pending, count(*) FROM execution GROUP BY 1, 2, 3"
        ).fetchall()
        outputs = connection.execute(
            "SELECT output FROM execution WHERE parent_id IS NOT NULL ORDER BY child_index"
        ).fetchall()
    assert rows == [("completed", None, 0, 8)]
    assert outputs == [(b"1",), (b"2",), (b"3",), (b"4",), (b"5",)]


async def test_a_failed_write_reaches_everybody_who_waits(store: Store) -> None:
    await store.insert(Row("twice", "noop", b"{}"))
    if store.durable:
        with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
            await store.insert(Row("twice", "noop", b"{}"))
    with pytest.raises(Exception, match=r"not held|nobody"):
        await store.finish("nobody", b"1")


async def test_rows_that_are_there_already_do_not_disturb(store: Store) -> None:
    await store.fill(200, 300)
    assert await Sketch(store).call(1) == 2


async def test_filled_rows_have_ended_or_are_due_next_week(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "sketch.db")
    await store.open()
    await store.fill(20, 30)
    await store.close()
    with sqlite3.connect(tmp_path / "sketch.db") as connection:
        finished, scheduled = connection.execute(
            "SELECT count(finished_at), count(due) FROM execution WHERE owner IS NULL"
        ).fetchone()
    assert (finished, scheduled) == (20, 30)
