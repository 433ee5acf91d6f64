"""Heartbeats of a thread."""

import asyncio
import threading
from pathlib import Path

import pytest
from lite import ANNA, NOW, SECOND, held, opened

from durable_core.storage import ClosedError, InvalidArgumentError, TemporaryError
from durable_sqlite import SQLiteStorage
from durable_sqlite.jobs import Job


@pytest.mark.parametrize("place", ["file", "memory"])
async def test_a_pulse_beats_like_a_heartbeat(place: str, tmp_path: Path) -> None:
    async with opened(":memory:" if place == "memory" else tmp_path / "x.db") as storage:
        pulse = storage.pulse()

        def beat(now: int, ttl: int = SECOND) -> tuple[bool, list[str]]:
            answer = pulse.beat(executor=ANNA, ttl=ttl, now=now)
            return answer.alive, [order.id for order in answer.orders]

        assert await asyncio.to_thread(beat, NOW) == (False, [])
        await storage.heartbeat(executor=ANNA, ttl=SECOND, now=NOW, register=True)
        await storage.insert(items=[held("a"), held("b")], now=NOW)
        await storage.cancel(ids=["b"], request="r", now=NOW)
        assert await asyncio.to_thread(beat, NOW + 5 * SECOND) == (True, ["b"])
        assert (await storage.reap(now=NOW + 6 * SECOND, limit=9)).leases == 0
        assert (await storage.reap(now=NOW + 6 * SECOND + 1, limit=9)).rows == 2
        assert await asyncio.to_thread(beat, NOW + 7 * SECOND) == (False, [])
        await asyncio.to_thread(pulse.close)
        pulse.close()


@pytest.mark.parametrize("place", ["file", "memory"])
async def test_a_bad_name_is_refused(place: str, tmp_path: Path) -> None:
    async with opened(":memory:" if place == "memory" else tmp_path / "x.db") as storage:
        pulse = storage.pulse()
        with pytest.raises(InvalidArgumentError):
            pulse.beat(executor="no blanks", ttl=SECOND, now=NOW)
        pulse.close()


async def test_a_closed_pulse_says_so(tmp_path: Path) -> None:
    async with opened(tmp_path / "x.db") as storage:
        pulse = storage.pulse()
        pulse.close()
        with pytest.raises(ClosedError):
            pulse.beat(executor=ANNA, ttl=SECOND, now=NOW)


async def test_a_pulse_outlives_a_blocked_loop(tmp_path: Path) -> None:
    async with opened(tmp_path / "x.db") as storage:
        await storage.heartbeat(executor=ANNA, ttl=SECOND, now=NOW, register=True)
        pulse, beaten = storage.pulse(), threading.Event()

        def beat() -> None:
            assert pulse.beat(executor=ANNA, ttl=SECOND, now=NOW + 9 * SECOND).alive
            beaten.set()

        thread = threading.Thread(target=beat)
        thread.start()
        # The loop does nothing else meanwhile.
        assert beaten.wait(30)
        thread.join()
        assert (await storage.reap(now=NOW + 5 * SECOND, limit=9)).leases == 0
        pulse.close()


async def test_a_pulse_blocks_for_a_third_of_its_time_to_live(tmp_path: Path) -> None:
    async with opened(tmp_path / "x.db") as storage:
        await storage.heartbeat(executor=ANNA, ttl=SECOND, now=NOW, register=True)
        other = SQLiteStorage(tmp_path / "x.db")
        await other.setup()
        leases = await other._read(lambda session: session.leases)
        leases.control("BEGIN IMMEDIATE")
        pulse = storage.pulse()
        with pytest.raises(TemporaryError) as caught:
            pulse.beat(executor=ANNA, ttl=SECOND // 10, now=NOW)
        assert "locked" in str(caught.value.__cause__)
        leases.control("ROLLBACK")
        assert pulse.beat(executor=ANNA, ttl=SECOND, now=NOW).alive
        pulse.close()
        await other.close()


async def test_a_pulse_in_memory_waits_no_longer_either() -> None:
    async with opened(":memory:") as storage:
        busy, gate = threading.Event(), threading.Event()

        def work(_: object) -> None:
            busy.set()
            gate.wait(30)

        job: Job[object, None] = Job(work, alone=True)
        working = asyncio.ensure_future(storage._threads.writer.ask(job))
        assert await asyncio.to_thread(busy.wait, 30)
        with pytest.raises(TemporaryError, match="a third of its time to live"):
            await asyncio.to_thread(storage.pulse().beat, executor=ANNA, ttl=3_000, now=NOW)
        gate.set()
        await working
