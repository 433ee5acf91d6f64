"""Workers and the server are killed with SIGKILL: every execution ends, each once."""

# ruff: noqa: S608 - the names of tables are made here

import asyncio
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess

import mysql_crash
import pytest
from mysql_crash import executor_on, work
from mysql_hooks import drop_tables, fresh_prefix, line, restart_server, server_url

from durable_core import Handle, Task

KILLS = 15
SERVER_KILLED = (5, 10)
WORKERS = 3
NUMBERS = 4
PATIENCE = 100.0

ROOTS: list[Task[[int], int]] = [
    mysql_crash.square,
    mysql_crash.flaky,
    mysql_crash.fan_out,
    mysql_crash.nested,
    mysql_crash.sequence,
    mysql_crash.approved,
]


@pytest.fixture
def forkserver() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mysql_crash"])
    return context


class Workers:
    """Processes that run executors, until killed."""

    def __init__(self, context: ForkServerContext, url: str, prefix: str) -> None:
        self._context = context
        self._where = (url, prefix)
        self.running: list[BaseProcess] = []

    def start(self) -> None:
        """Start one more."""
        here, there = self._context.Pipe()
        process = self._context.Process(target=work, args=(*self._where, there))
        process.start()
        self.running.append(process)
        there.close()
        assert here.poll(60), "the worker did not start"
        assert here.recv() == "at work"

    def kill(self, place: int) -> None:
        """Kill one."""
        process = self.running.pop(place)
        if process.pid is not None and process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
        process.join()


@contextmanager
def workers(context: ForkServerContext, url: str, prefix: str) -> Generator[Workers]:
    them = Workers(context, url, prefix)
    try:
        for _ in range(WORKERS):
            them.start()
        yield them
    finally:
        while them.running:
            them.kill(0)


async def audit(server: str, prefix: str) -> None:
    """Let the database itself write down every end of an execution."""
    async with line(server) as one:
        await one.rows(f"CREATE TABLE {prefix}audit (id VARCHAR(255), phase VARCHAR(32))")
        for event, before in (("UPDATE", "OLD.finished_at"), ("INSERT", "NULL")):
            await one.rows(
                f"CREATE TRIGGER {prefix}{event} AFTER {event} ON {prefix}executions "
                f"FOR EACH ROW INSERT INTO {prefix}audit SELECT NEW.id, NEW.phase "
                f"FROM (SELECT 1) AS one WHERE NEW.finished_at IS NOT NULL AND {before} IS NULL"
            )


async def enqueue_all(url: str, prefix: str, first: int) -> dict[str, tuple[str, int]]:
    """Enqueue every task for some numbers and wake what sleeps; returns what was asked for."""
    asked: dict[str, tuple[str, int]] = {}
    numbers = range(first, first + NUMBERS)
    async with executor_on(url, prefix, client_only=True) as client:
        for task in ROOTS:
            calls = [task.call(number) for number in numbers]
            handles: list[Handle[int]] = await client.enqueue_many(calls)
            asked |= {
                handle.id: (task.name, number)
                for handle, number in zip(handles, numbers, strict=True)
            }
        for number in numbers:
            await client.wake(mysql_crash.approval, f"approval-{number}", 1000 + number)
    return asked


async def unfinished(url: str, prefix: str) -> int:
    async with executor_on(url, prefix, client_only=True) as client:
        counts = await client.count(by="status")
    return sum(counts.values()) - counts.get("completed", 0)


async def check(server: str, prefix: str, asked: dict[str, tuple[str, int]]) -> None:
    """Compare what is stored with what was asked for."""
    async with line(server) as one:
        rows = await one.rows(
            f"SELECT id, output, pending, owner, parent_id FROM {prefix}executions"
        )
        ends = Counter(row[0] for row in await one.rows(f"SELECT id FROM {prefix}audit"))
    found = {row[0]: int(row[1]) for row in rows if row[0] in asked}
    wrong = {
        id_: (name, number, found.get(id_))
        for id_, (name, number) in asked.items()
        if found.get(id_) != mysql_crash.expected(name, number)
    }
    assert not wrong
    assert all(row[2] == 0 and row[3] is None for row in rows), "something is held or counted"
    assert set(ends.values()) == {1}, "a result was recorded twice"
    assert len(ends) == len(rows)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_execution_ends_once(server: str, forkserver: ForkServerContext) -> None:
    prefix = fresh_prefix("kill")
    url = server_url(server).render_as_string(hide_password=False)
    chance = random.Random(20261125)
    asked: dict[str, tuple[str, int]] = {}

    async def prepare() -> None:
        async with executor_on(url, prefix, client_only=True):
            pass
        await audit(server, prefix)

    asyncio.run(prepare())
    with workers(forkserver, url, prefix) as them:
        for kill in range(KILLS):
            asked |= asyncio.run(enqueue_all(url, prefix, len(asked)))
            time.sleep(chance.random() * 0.3)
            if kill in SERVER_KILLED:
                asyncio.run(restart_server(server))
            else:
                them.kill(chance.randrange(len(them.running)))
                them.start()
        deadline = time.monotonic() + PATIENCE
        while asyncio.run(unfinished(url, prefix)):
            assert time.monotonic() < deadline, "executions were left unfinished"
            time.sleep(0.2)
    asyncio.run(check(server, prefix, asked))
    asyncio.run(drop_tables(server, prefix))
