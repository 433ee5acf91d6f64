"""Workers are killed with SIGKILL at 30 moments: everything ends, nothing recorded is run again."""

import asyncio
import random
import time
from pathlib import Path
from typing import Any

import crowd_worker
import pytest
from crowd_worker import Crowd
from workflow_processes import Child
from workflow_targets import Place

from durable_core import Handle
from durable_core.engine.replay.record import History, Kind

KILLS = 30
WORKERS = 3
ERRANDS = 12
PATIENCE = 120.0
IN_A_STEP = 5
"""Of so many kills one is of a worker that has just begun a step."""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [20261125])
async def test_everything_ends_though_workers_are_killed(
    place: Place, tmp_path: Path, seed: int
) -> None:
    async with place.open() as storage:
        if not storage.capabilities.shared:
            return
    chance = random.Random(seed)
    crowd = Crowd(tmp_path / "journal")
    deaths: dict[int, float] = {}
    workers = [start(place, crowd_journal(tmp_path)) for _ in range(WORKERS)]
    try:
        async with place.executor(tasks=crowd.tasks, client_only=True) as client:
            handles: list[Handle[Any]] = []
            for kill in range(KILLS):
                if kill % (KILLS // ERRANDS) == 0 and len(handles) < 2 * ERRANDS:
                    number = len(handles) // 2
                    handles.append(await client.enqueue(crowd.errand, number))
                    handles.append(await client.add_plan(crowd.plan, f"plan-{number}", crowd.steps))
                    await client.send_event("event", key=f"{number}", payload=1000 + number)
                await asyncio.sleep(chance.random() * 0.3)
                victim = chance.randrange(WORKERS)
                if kill % IN_A_STEP == 0:
                    victim = await runs_a_step(crowd, workers, handles) or victim
                await asyncio.to_thread(workers[victim].kill)
                deaths[workers[victim].process.pid or 0] = time.monotonic()
                workers[victim] = await asyncio.to_thread(start, place, crowd_journal(tmp_path))
            results = await client.results(handles, timeout=PATIENCE)
            rows = await client.engine.writer.records([handle.id for handle in handles])
            recorded = {row.id: await history_of(client, row.id) for row in rows if row is not None}
    finally:
        for worker in workers:
            await asyncio.to_thread(worker.kill)
    for number in range(ERRANDS):
        assert results[2 * number] == crowd.expected(number)
        assert results[2 * number + 1].completed == [step.name for step in crowd.steps]
    assert all((row.owner, row.pending) == (None, 0) for row in rows if row is not None)
    assert len(deaths) == KILLS
    nobody_repeats_the_living(crowd, deaths)
    all_is_recorded_once(recorded)


async def runs_a_step(crowd: Crowd, workers: list[Child], handles: list[Handle[Any]]) -> int | None:
    """Return the worker that has just begun a step; None if all steps have been run."""
    pids = {worker.process.pid: place for place, worker in enumerate(workers)}
    seen = len(crowd.runs())
    while not all(status.finished for status in [await handle.status() for handle in handles]):
        for _ in range(100):
            begun = [pids[run["pid"]] for run in crowd.runs()[seen:] if run["pid"] in pids]
            if begun:
                return begun[-1]
            await asyncio.sleep(0.002)
    return None


def nobody_repeats_the_living(crowd: Crowd, deaths: dict[int, float]) -> None:
    """A step is run again only after the death of whoever ran it before."""
    last: dict[tuple[str, int], dict[str, Any]] = {}
    repeated = 0
    for run in crowd.runs():
        step = (run["step"][0], run["step"][1])
        before = last.get(step)
        if before is not None:
            repeated += 1
            assert before["pid"] in deaths, f"{step} was run again while its runner lived"
            assert deaths[before["pid"]] <= run["at"]
        last[step] = run
    assert len(last) == ERRANDS * (4 + 4)
    assert repeated, "no worker was killed while it ran a step"


def all_is_recorded_once(recorded: dict[str, History]) -> None:
    """Each step of each function has one entry."""
    for history in recorded.values():
        steps = [entry.position for entry in history.entries if entry.kind is Kind.STEP]
        assert len(steps) == len(set(steps))


async def history_of(client: Any, execution_id: str) -> History:
    return History.of(await client.engine.writer.recorded(execution_id), "any")


def crowd_journal(folder: Path) -> Path:
    return folder / "journal"


def start(place: Place, journal: Path) -> Child:
    worker = Child(crowd_worker.work, place.target, place.namespace, journal)
    assert worker.pipe.poll(60), "the worker did not start"
    assert worker.pipe.recv() == "at work"
    return worker
