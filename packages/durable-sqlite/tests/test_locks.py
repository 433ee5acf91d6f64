"""A caller who holds the write lock delays writes, and nothing else."""

import asyncio
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from lite import ANNA, NOW, SECOND, claim, held, new, opened

from durable_core.storage import Query
from durable_sqlite.session import Session


@contextmanager
def write_lock(path: Path) -> Generator[sqlite3.Connection]:
    """Hold the database's write lock, as a transaction of the user's does."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        if connection.in_transaction:
            connection.execute("ROLLBACK")


async def test_a_long_transaction_costs_no_lease(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path) as storage:
        await storage.heartbeat(executor=ANNA, ttl=15 * SECOND, now=NOW, register=True)
        await storage.insert(items=[held("a")], now=NOW)
        pulse = storage.pulse()
        with write_lock(path):
            late = asyncio.ensure_future(storage.reap(now=NOW + 20 * SECOND, limit=9))
            await asyncio.sleep(0)
            # Far longer than the lease: both kinds of heartbeat go on.
            for beat in range(1, 6):
                now = NOW + beat * 5 * SECOND
                assert (await storage.heartbeat(executor=ANNA, ttl=15 * SECOND, now=now)).alive
                assert pulse.beat(executor=ANNA, ttl=15 * SECOND, now=now).alive
            assert not late.done()
        reaped = await late
        assert (reaped.leases, reaped.rows) == (0, 0)
        (row,) = await storage.get(ids=["a"])
        assert row is not None
        assert row.token == (ANNA, 1)
        pulse.close()


async def test_reads_go_on_and_see_the_last_commit(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path) as storage:
        await storage.insert(items=[new("a")], now=NOW)
        with write_lock(path) as theirs:
            theirs.execute("DELETE FROM durable_executions")
            assert await storage.get(ids=["a"]) != [None]
            assert await storage.count(query=Query()) == {"*": 1}


async def test_a_write_waits_for_a_short_transaction(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path) as storage:
        await storage.insert(items=[new("a")], now=NOW)
        with write_lock(path):
            waiting = asyncio.ensure_future(claim(storage))
            # The reader answers while the writer waits.
            assert await storage.get(ids=["a"], payload=False) != [None]
            assert not waiting.done()
        assert await waiting == ["a"]


async def test_a_slow_search_keeps_nobody_waiting(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path) as storage:
        await storage.insert(items=[new("a")], now=NOW)
        slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
        cursors: list[sqlite3.Cursor] = []

        def search(session: Session) -> None:
            cursors.append(session.connection.execute(slow))
            cursors[0].fetchone()

        # A search that is in the middle of its rows holds its snapshot.
        await storage._read(search, "searcher")
        await storage.insert(items=[new("b")], now=NOW)
        assert await claim(storage) == ["a", "b"]
        assert await storage.get(ids=["b"], payload=False) != [None]
        cursors[0].close()
