"""Workers are killed with SIGKILL at random moments: every execution ends, each result once."""

import asyncio
import multiprocessing
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

import crash_tasks
import pytest
from crash_worker import executor_on, work

from durable_core import Handle, Task

KILLS = 50
WORKERS = 3
NUMBERS = 4
BATCHES = 10
PATIENCE = 100.0

ROOTS: list[Task[[int], int]] = [
    crash_tasks.square,
    crash_tasks.in_thread,
    crash_tasks.flaky,
    crash_tasks.fan_out,
    crash_tasks.nested,
    crash_tasks.sequence,
    crash_tasks.approved,
]


@pytest.fixture
def forkserver() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["crash_worker"])
    return context


@contextmanager
def workers(context: ForkServerContext, path: Path) -> Generator[list[BaseProcess]]:
    running: list[BaseProcess] = []
    try:
        running.extend(start(context, path) for _ in range(WORKERS))
        yield running
    finally:
        for process in running:
            kill(process)


def start(context: ForkServerContext, path: Path) -> BaseProcess:
    here, there = context.Pipe()
    process = context.Process(target=work, args=(path, there))
    process.start()
    there.close()
    assert here.poll(30), "the worker did not start"
    assert here.recv() == "at work"
    return process


def kill(process: BaseProcess) -> None:
    if process.pid is not None and process.is_alive():
        os.kill(process.pid, signal.SIGKILL)
    process.join()


def audit(path: Path) -> None:
    """Let the database itself write down every end of an execution."""
    with sqlite3.connect(path) as database:
        database.executescript(
            """
            CREATE TABLE audit (id TEXT NOT NULL, phase TEXT NOT NULL);
            CREATE TRIGGER audit_end AFTER UPDATE OF phase ON durable_executions
            WHEN new.finished_at IS NOT NULL AND old.finished_at IS NULL
            BEGIN INSERT INTO audit VALUES (new.id, new.phase); END;
            """
        )


async def enqueue_all(path: Path, first: int) -> dict[str, tuple[str, int]]:
    """Enqueue every task for some numbers and wake what sleeps; returns what was asked for."""
    asked: dict[str, tuple[str, int]] = {}
    numbers = range(first, first + NUMBERS)
    async with executor_on(path, client_only=True) as client:
        for task in ROOTS:
            calls = [task.call(number) for number in numbers]
            handles: list[Handle[int]] = await client.enqueue_many(calls)
            asked |= {
                handle.id: (task.name, number)
                for handle, number in zip(handles, numbers, strict=True)
            }
        for number in numbers:
            await client.wake(crash_tasks.approval, f"approval-{number}", 1000 + number)
    return asked


async def unfinished(path: Path) -> int:
    async with executor_on(path, client_only=True) as client:
        counts = await client.count(by="status")
    return sum(counts.values()) - counts.get("completed", 0)


def results(path: Path) -> dict[str, int]:
    with sqlite3.connect(path) as database:
        rows = database.execute(
            "SELECT id, output FROM durable_executions WHERE phase = 'completed'"
        ).fetchall()
    return {id_: int(output) for id_, output in rows if output is not None}


@pytest.mark.timeout(240)
def test_every_execution_ends_once_though_workers_are_killed(
    tmp_path: Path, forkserver: ForkServerContext
) -> None:
    path = tmp_path / "work.db"
    chance = random.Random(20240917)
    asked: dict[str, tuple[str, int]] = {}

    async def prepare() -> None:
        async with executor_on(path, client_only=True):
            pass
        audit(path)

    asyncio.run(prepare())
    kills = 0
    with workers(forkserver, path) as running:
        while kills < KILLS:
            if kills % (KILLS // BATCHES) == 0:
                asked |= asyncio.run(enqueue_all(path, len(asked)))
            time.sleep(chance.random() * 0.3)
            victim = chance.randrange(len(running))
            kill(running[victim])
            kills += 1
            running[victim] = start(forkserver, path)
        deadline = time.monotonic() + PATIENCE
        while asyncio.run(unfinished(path)):
            assert time.monotonic() < deadline, "executions were left unfinished"
            time.sleep(0.2)

    found = results(path)
    wrong = {
        id_: (name, number, found.get(id_))
        for id_, (name, number) in asked.items()
        if found.get(id_) != crash_tasks.expected(name, number)
    }
    assert not wrong
    with sqlite3.connect(path) as database:
        ends = Counter(id_ for (id_,) in database.execute("SELECT id FROM audit"))
        (stored,) = database.execute("SELECT count(*) FROM durable_executions").fetchone()
        (broken,) = database.execute(
            "SELECT count(*) FROM durable_executions WHERE pending <> 0 OR owner IS NOT NULL"
        ).fetchone()
    assert set(ends.values()) == {1}
    assert len(ends) == stored
    assert broken == 0
