"""One thread writes: calls share commits, fail alone, and reach every event loop."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from lite import NOW, finish, held, new, opened

from durable_core.storage import ApplyOutcome, InvalidArgumentError, Query, TemporaryError
from durable_sqlite import SQLiteStorage
from durable_sqlite.jobs import Job
from durable_sqlite.writing import Writing

Call: TypeAlias = Callable[[], Awaitable[Any]]


class Gate:
    """Keeps the writer busy until it is opened, so that calls pile up behind it."""

    def __init__(self, storage: SQLiteStorage) -> None:
        self._storage = storage
        self._open = threading.Event()
        self._jobs: list[asyncio.Future[bool]] = []

    async def __aenter__(self) -> None:
        job: Job[object, bool] = Job(lambda _: self._open.wait(30), alone=True)
        self._jobs.append(asyncio.ensure_future(self._storage._threads.writer.ask(job)))
        await asyncio.sleep(0)

    async def __aexit__(self, *_: object) -> None:
        self._open.set()
        await asyncio.gather(*self._jobs)


async def _together(storage: SQLiteStorage, calls: Sequence[Call]) -> list[Any]:
    """Let calls wait behind a busy writer, then carry them out; return answers and errors."""
    async with Gate(storage):
        tasks = [asyncio.ensure_future(call()) for call in calls]
        await asyncio.sleep(0)
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_waits_shares_a_commit(tmp_path: Path) -> None:
    async with opened(tmp_path / "x.db") as storage:
        before = storage.statistics().commits
        calls: list[Call] = [
            partial(storage.insert, items=[held(f"a{n}")], now=NOW) for n in range(50)
        ]
        calls.append(partial(storage.apply, items=[finish("a7")], now=NOW))
        answers = await _together(storage, calls)
        assert storage.statistics().commits == before + 1
        assert [answer[0].outcome for answer in answers] == ["created"] * 50 + ["applied"]


async def test_a_batch_is_bounded(tmp_path: Path) -> None:
    async with opened(tmp_path / "x.db", synchronous="OFF") as storage:
        before = storage.statistics().commits
        calls = [
            partial(storage.insert, items=[new(f"{n}-{m}") for m in range(500)], now=NOW)
            for n in range(6)
        ]
        await _together(storage, calls)
        assert storage.statistics().commits == before + 3
        assert await storage.count(query=Query()) == {"*": 3_000}


async def test_a_slow_batch_takes_no_more_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable_sqlite.writer._LONGEST_BATCH", -1)
    async with opened(tmp_path / "x.db", synchronous="OFF") as storage:
        before = storage.statistics().commits
        calls = [partial(storage.insert, items=[new(f"{n}")], now=NOW) for n in range(6)]
        await _together(storage, calls)
        assert storage.statistics().commits == before + 6


async def test_a_failing_call_fails_alone(tmp_path: Path) -> None:
    async with opened(tmp_path / "x.db") as storage:

        def broken(writing: Writing) -> None:
            writing.run("INSERT INTO ~hints (name, counter) VALUES ('mine', 1)")
            writing.run("INSERT INTO ~hints (name, counter) VALUES ('mine', 'text')")

        answers = await _together(
            storage,
            [
                lambda: storage.insert(items=[new("a")], now=NOW),
                lambda: storage._threads.writer.ask(Job(broken)),
                lambda: storage.insert(items=[new("b")], now=NOW),
                lambda: storage._threads.writer.ask(Job(lambda w: w.run("SELECT nothing"))),
                lambda: storage.insert(items=[new("a")], now=NOW),
            ],
        )
        assert [answers[n][0].outcome for n in (0, 2, 4)] == ["created", "created", "existing_id"]
        assert isinstance(answers[1], InvalidArgumentError)
        assert "cannot store TEXT value" in str(answers[1].__cause__)
        assert "nothing" in str(answers[3])
        found = await storage.find(query=Query(), limit=9)
        assert [row.id for row in found.items] == ["a", "b"]
        rows = await storage._read(lambda session: session.rows("SELECT name FROM ~hints"))
        assert ("mine",) not in rows


async def test_a_cancelled_call_leaves_all_usable(tmp_path: Path) -> None:
    async with opened(tmp_path / "x.db") as storage:
        async with Gate(storage):
            calls = [
                asyncio.ensure_future(storage.insert(items=[new(f"a{n}")], now=NOW))
                for n in range(3)
            ]
            await asyncio.sleep(0)
            calls[1].cancel()
            await asyncio.sleep(0)
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(ended[1], asyncio.CancelledError)
        found = await storage.find(query=Query(), limit=9)
        assert {"a0", "a2"} <= {row.id for row in found.items}
        assert await storage.insert(items=[new("b")], now=NOW)


async def test_several_event_loops_share_a_storage(tmp_path: Path) -> None:
    async with opened(tmp_path / "x.db") as storage:

        async def work(name: int) -> int:
            created = 0
            for number in range(20):
                (answer,) = await storage.insert(items=[new(f"{name}-{number}")], now=NOW)
                created += answer.outcome == "created"
                assert (await storage.get(ids=[f"{name}-{number}"]))[0] is not None
            return created

        loops = [asyncio.to_thread(asyncio.run, work(name)) for name in range(4)]
        assert await asyncio.gather(work(9), *loops) == [20] * 5


async def test_a_loop_that_was_closed_does_not_hinder_others(tmp_path: Path) -> None:
    async with opened(tmp_path / "x.db") as storage:
        async with Gate(storage):

            async def leave() -> None:
                task = asyncio.ensure_future(storage.insert(items=[new("lost")], now=NOW))
                await asyncio.sleep(0)
                task.get_loop().stop()

            def run() -> None:
                loop = asyncio.new_event_loop()
                task = loop.create_task(leave())
                loop.run_forever()
                pending = asyncio.all_tasks(loop)
                for one in pending:
                    # A task that is left behind on purpose is no news.
                    setattr(one, "_log_destroy_pending", False)  # noqa: B010
                assert task not in pending
                loop.close()

            await asyncio.to_thread(run)
            mine = asyncio.ensure_future(storage.insert(items=[new("a")], now=NOW))
            await asyncio.sleep(0)
        assert (await mine)[0].outcome == "created"


async def test_close_carries_out_what_was_called_before(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path) as storage:
        calls = [
            asyncio.ensure_future(storage.insert(items=[new(f"a{n}")], now=NOW)) for n in range(9)
        ]
        await asyncio.sleep(0)
    assert all(answer[0].outcome == "created" for answer in await asyncio.gather(*calls))


async def test_a_lonely_write_waits_for_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path / "x.db") as storage:
        before = storage.statistics()
        await storage.insert(items=[held("a")], now=NOW)
        await storage.apply(items=[finish("a", output=b"o")], now=NOW)
        after = storage.statistics()
        assert after.commits - before.commits == 2
        # An insert; a finish and its hint.
        assert after.table_statements - before.table_statements == 3


async def test_the_log_is_copied_when_the_writer_is_idle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable_sqlite.writer._IDLE", 0.01)
    monkeypatch.setattr("durable_sqlite.writer._LOG_TOO_LONG", 0)
    copied = threading.Event()
    original = Writing.control

    def control(self: Writing, text: str) -> Any:
        row = original(self, text)
        if "TRUNCATE" in text:
            copied.set()
        return row

    monkeypatch.setattr(Writing, "control", control)
    async with opened(tmp_path / "x.db") as storage:
        for part in range(4):
            await storage.insert(items=[new(f"{part}-{n}") for n in range(500)], now=NOW)
        assert await asyncio.to_thread(copied.wait, 30)
        assert _size(tmp_path / "x.db-wal") == 0
        assert await storage.count(query=Query()) == {"*": 2_000}


def _size(path: Path) -> int:
    return path.stat().st_size


async def test_an_inserted_batch_needs_one_statement_for_many_rows(tmp_path: Path) -> None:
    async with opened(tmp_path / "x.db") as storage:
        before = storage.statistics().table_statements
        await storage.insert(items=[held(f"a{n}") for n in range(1_000)], now=NOW)
        await storage.apply(items=[finish(f"a{n}", output=b"o") for n in range(1_000)], now=NOW)
        # 15 times 64, 5 times 8, of each kind; and a hint.
        assert storage.statistics().table_statements - before == 41


async def test_a_conflict_among_many(tmp_path: Path) -> None:
    async with opened(tmp_path / "x.db") as storage:
        await storage.insert(items=[new("a30"), new("z", key="k")], now=NOW)
        items = [new(f"a{n}", key="k" if n == 50 else None) for n in range(64)]
        answers = await storage.insert(items=items, now=NOW + 1)
        assert {
            n: answer.outcome for n, answer in enumerate(answers) if answer.outcome != "created"
        } == {30: "existing_id", 50: "existing_key"}
        assert answers[50].record.id == "z"
        assert [answer.record.id for answer in answers[:30]] == [f"a{n}" for n in range(30)]


async def test_a_stale_token_among_many(tmp_path: Path) -> None:
    async with opened(tmp_path / "x.db") as storage:
        await storage.insert(items=[held(f"a{n}") for n in range(64)], now=NOW)
        items = [finish(f"a{n}", gen=2 if n == 40 else 1) for n in range(64)]
        answers = await storage.apply(items=items, now=NOW)
        assert [answer.outcome for answer in answers].count(ApplyOutcome.APPLIED) == 63
        assert answers[40].outcome == "superseded"
        again = await storage.apply(items=items, now=NOW)
        assert [answer.outcome for answer in again].count(ApplyOutcome.ALREADY) == 63


async def test_a_locked_database_is_temporary_and_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path, busy_timeout=0.05) as storage:
        other = SQLiteStorage(path)
        await other.setup()
        async with Gate(other):
            pass
        connection = other._threads.writer.session().connection
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(TemporaryError, match="busy_timeout") as caught:
            await storage.insert(items=[new("a")], now=NOW)
        assert "locked" in str(caught.value.__cause__)
        connection.execute("ROLLBACK")
        assert await storage.get(ids=["a"]) == [None]
        assert (await storage.insert(items=[new("a")], now=NOW))[0].outcome == "created"
        await other.close()
