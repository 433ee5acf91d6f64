"""What only a claim on SQLite can get wrong."""

from pathlib import Path

from durable_core.storage import NewExecution
from durable_sqlite import SQLiteStorage


async def test_a_row_of_a_writer_whose_clock_is_ahead_is_announced(tmp_path: Path) -> None:
    storage = SQLiteStorage(tmp_path / "work.db")
    await storage.setup()
    ahead, behind = 2_000, 1_000
    await storage.insert(items=[NewExecution(id="early", task="t", due=ahead)], now=ahead)
    claimed = await storage.claim(
        executor="e/1", tasks=["t"], queues=["default"], limit=5, now=behind
    )
    assert (claimed.records, claimed.exhausted, claimed.next_due) == ([], True, ahead)
    claimed = await storage.claim(
        executor="e/1", tasks=["t"], queues=["default"], limit=5, now=ahead
    )
    assert [record.id for record in claimed.records] == ["early"]
    await storage.close()
