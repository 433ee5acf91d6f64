import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest

from durable_bench.bodies import joined
from durable_bench.cases import STEPS, Scale
from durable_bench.cli import main
from durable_bench.engine import TASKS, Engine, fill, handles, idle
from durable_bench.orders import Act, Order, Who, carry_out
from durable_bench.rooms import Place, room_of
from durable_bench.sqlite_tally import SqliteTally
from durable_core import DurableExecutor, Status, Storage
from durable_core.storage import CountBy, Query
from durable_sqlite import SQLiteStorage


@pytest.fixture
def place(target: str, make_place: Callable[[str], Place]) -> Place:
    return make_place(target)


@pytest.fixture
def storage(target: str, place: Place) -> Storage:
    return room_of(target).storage(place)


@pytest.fixture
async def executor(storage: Storage) -> AsyncIterator[DurableExecutor]:
    async with DurableExecutor(storage, tasks=TASKS) as executor:
        yield executor


async def test_every_shape_gives_its_result(executor: DurableExecutor) -> None:
    engine = Engine(executor)
    assert await engine.call(41) == 42
    assert await engine.fan_out(30) == joined(30)
    assert await engine.fan_out(5, napping=True) == joined(5)
    assert await engine.chain(STEPS) == STEPS
    assert await engine.chain(4, napping=True) == 4
    assert await engine.loop() == 1
    assert await engine.function(STEPS) == STEPS


async def test_rows_to_fill_up_with_have_ended_or_wait_for_next_week(
    target: str, place: Place, storage: Storage
) -> None:
    await storage.setup()
    await room_of(target).fill(place, storage, 30, 40)
    await room_of(target).settle(place)
    async with DurableExecutor(storage, tasks=TASKS) as executor:
        assert await Engine(executor).call(1) == 2
        counts = await executor.count(by="status")
    assert counts == {Status.COMPLETED: 31, Status.READY: 40}


async def test_a_storage_is_filled_once(storage: Storage) -> None:
    await storage.setup()
    await fill(storage, finished=1, scheduled=0)
    with pytest.raises(RuntimeError, match="empty storage"):
        await fill(storage, finished=1, scheduled=0)
    await storage.close()


@pytest.mark.usefixtures("executor")
async def test_idleness_is_told_per_minute() -> None:
    async def nothing() -> None:
        """Count nothing."""

    sample = await idle(0.05, nothing, lambda: 0)
    assert sample.details["storage_calls_per_minute"] == 0
    assert sample.details["cpu_seconds_per_minute"] == pytest.approx(
        60 * sample.cpu_seconds / sample.seconds
    )


async def test_awaited_handles_have_no_task_each(
    executor: DurableExecutor, storage: Storage
) -> None:
    sample = await handles(executor, storage, 5_000)
    assert sample.details["added_asyncio_tasks"] < 100
    # What the rows alone take is subtracted: a driver's buffers may make it less than nothing.
    assert abs(sample.details["added_bytes_per_handle"]) < 5_000
    assert sample.tasks == 5_000


def test_the_engine_runs_in_two_processes(
    shared_target: str, make_place: Callable[[str], Place]
) -> None:
    place = make_place(shared_target)
    order = Order(
        who=Who.ENGINE, storage=shared_target, case="W8/idle", scale=Scale.QUICK,
        place=str(place.folder),
    )  # fmt: skip
    sample = carry_out(order)
    assert sample is not None
    assert sample.tasks == 50


def test_a_filled_place_is_found_by_the_next_process(
    shared_target: str, make_place: Callable[[str], Place]
) -> None:
    place = make_place(shared_target)
    order = Order(
        who=Who.ENGINE, act=Act.FILL, storage=shared_target, case="W7", scale=Scale.QUICK,
        place=str(place.folder),
    )  # fmt: skip
    assert carry_out(order) is None

    async def count() -> Mapping[str, int]:
        storage = room_of(shared_target).storage(place)
        await storage.setup()
        try:
            return await storage.count(query=Query(), by=CountBy.STATUS)
        finally:
            await storage.close()

    assert asyncio.run(count()) == {"completed": 2_000, "ready": 2_000}


def test_the_command_prints_a_table_and_writes_a_file(
    target: str,
    serve: Callable[[str], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    serve(target)
    arguments = ["--storage", target, "--workload", "W1,W2,W7", "--quick"]
    assert main([*arguments, "--json-dir", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"{target} (")
    assert "W7 engine 1/1" in said.err.replace(f"{target} ", "")
    file = json.loads((tmp_path / f"{target}.json").read_text(encoding="utf-8"))
    assert list(file["workloads"]) == ["W1", "W2", "W7"]
    assert file["durability"]
    for workload in file["workloads"].values():
        assert workload["tasks_per_second"] > 0
        assert workload["ratio_to_sketch"] > 0
        assert workload["peak_mb"] > 1
        assert (workload["commits_per_task"] is None) == (target == "memory")
    assert file["workloads"]["W7"]["ratio_to_empty"] > 0
    # Nothing of the measured databases stays.
    assert [path.name for path in tmp_path.iterdir()] == [f"{target}.json"]


def test_a_failed_run_is_reported_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("durable_bench.orders.sys.executable", shutil.which("false"))
    assert main(["--storage", "memory", "--quick", "--json-dir", str(tmp_path)]) == 1
    file = json.loads((tmp_path / "memory.json").read_text(encoding="utf-8"))
    assert "failed with exit code 1" in file["workloads"]["W1"]["not_run"]
    assert len(file["workloads"]) == 9
    assert "W9" in capsys.readouterr().out


async def test_the_storage_counts_what_its_driver_is_told(tmp_path: Path) -> None:
    tally = SqliteTally()
    tally.install()
    try:
        storage = SQLiteStorage(tmp_path / "work.db")
        async with DurableExecutor(storage, tasks=TASKS) as executor:
            engine = Engine(executor)
            await engine.call(1)
            before, said_before = tally.read(), storage.statistics()
            await asyncio.gather(*(engine.call(number) for number in range(50)))
            await engine.chain(4)
            more, said = tally.read() - before, storage.statistics()
    finally:
        tally.remove()
    assert said.commits - said_before.commits == pytest.approx(more.commits, abs=1)
    told = said.table_statements - said_before.table_statements
    assert told == pytest.approx(more.table_statements, abs=5)
