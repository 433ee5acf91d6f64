"""SQLite answers what the reference in memory answers."""

from pathlib import Path

import pytest
from twins import Twins

from durable_core.storage import MemoryStorage
from durable_sqlite import SQLiteStorage


@pytest.mark.parametrize("seed", range(20))
async def test_same_answers_as_memory(seed: int, tmp_path: Path) -> None:
    sqlite = SQLiteStorage(tmp_path / "x.db" if seed % 2 else ":memory:", synchronous="OFF")
    await sqlite.setup()
    try:
        await Twins(sqlite, MemoryStorage(), seed).walk(300)
    finally:
        await sqlite.close()
