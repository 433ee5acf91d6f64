import asyncio
import platform
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from durable_bench.cases import Scale
from durable_bench.cli import main
from durable_bench.machine import machine, versions
from durable_bench.measure import allocated_mb, peak_mb, resident_mb
from durable_bench.orders import Act, Order, RunFailedError, Who, carry_out
from durable_bench.reference import VARIABLE, compare
from durable_bench.rooms import Place, room_of
from durable_bench.sample import Counts, Sample
from durable_bench.sketch import Row
from durable_bench.sqlite_tally import SqliteTally
from durable_bench.subject import WrongResultError, check


def order(place: Path, *, storage: str = "sqlite", case: str = "W2") -> Order:
    return Order(who=Who.SKETCH, storage=storage, case=case, scale=Scale.QUICK, place=str(place))


def test_orders_and_samples_survive_the_way_to_another_process(tmp_path: Path) -> None:
    given = replace(order(tmp_path), act=Act.FILL, emptied=True)
    assert Order.parse(given.command()[-1]) == given
    sample = Sample(
        tasks=3,
        seconds=1.5,
        cpu_seconds=0.5,
        latencies_ms=[1.0, 2.0],
        counts=Counts(statements=3, table_statements=2, commits=1, wal_bytes=900),
        details={"added_mb": 1.0},
    )
    assert Sample.from_json(sample.to_json()) == sample


def test_a_run_in_a_fresh_process_answers_a_sample(
    target: str, make_place: Callable[[str], Place]
) -> None:
    sample = carry_out(order(make_place(target).folder, storage=target))
    assert sample is not None
    assert sample.tasks == len(sample.latencies_ms) == 50
    assert list(sample.latencies_ms) == sorted(sample.latencies_ms)
    assert sample.seconds > 0
    assert sample.peak_mb > 1
    assert (sample.counts is None) == (target == "memory")


def test_a_filled_case_finds_its_rows(tmp_path: Path) -> None:
    given = order(tmp_path, case="W7")
    assert carry_out(replace(given, act=Act.FILL)) is None
    assert carry_out(given) is not None
    with sqlite3.connect(tmp_path / "sketch.db") as connection:
        (there,) = connection.execute(
            "SELECT count(*) FROM execution WHERE id LIKE 'finished-%' OR id LIKE 'scheduled-%'"
        ).fetchone()
    assert there == 4_000


def test_the_sketch_runs_in_two_processes(
    shared_target: str, make_place: Callable[[str], Place]
) -> None:
    place = make_place(shared_target)
    sample = carry_out(order(place.folder, storage=shared_target, case="W8/idle"))
    assert sample is not None
    assert sample.tasks == 50


def test_a_process_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(RunFailedError, match="unable to open database file"):
        carry_out(order(tmp_path / "missing"))


def test_two_processes_need_a_storage_that_both_can_reach(tmp_path: Path) -> None:
    with pytest.raises(RunFailedError, match="two processes"):
        carry_out(order(tmp_path, storage="memory", case="W8"))


def test_a_process_that_does_not_end_is_ended(tmp_path: Path) -> None:
    with pytest.raises(RunFailedError, match="did not end"):
        carry_out(order(tmp_path), timeout=0.001)


def test_a_wrong_answer_is_refused() -> None:
    check("call", 2, 2)
    with pytest.raises(WrongResultError, match="answered 3 instead of 2"):
        check("call", 3, 2)


def test_statements_and_commits_are_counted_from_outside(tmp_path: Path) -> None:
    tally = SqliteTally()
    tally.install()
    try:
        connection = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
        connection.execute("CREATE TABLE t (a)")
        before = tally.read()
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO t VALUES (?)", [(1,), (2,)])
        connection.execute("COMMIT")
        connection.execute("BEGIN")
        connection.execute("SELECT * FROM t").fetchall()
        connection.execute("COMMIT")
        connection.execute("DELETE FROM t")
        connection.execute("BEGIN")
        connection.execute("UPDATE t SET a = 3")
        connection.execute("ROLLBACK")
        connection.execute("PRAGMA data_version").fetchone()
        connection.close()
    finally:
        tally.remove()
    counted = tally.read() - before
    assert counted == Counts(statements=12, table_statements=5, commits=2)
    assert sqlite3.connect.__module__ == "_sqlite3"


def test_memory_in_use_sees_what_is_put_into_freed_room() -> None:
    before = allocated_mb()
    if before is None:
        # Only the C library of Linux is asked.
        assert platform.libc_ver()[0] != "glibc"
        return
    kept = [object() for _ in range(200_000)]
    taken = allocated_mb()
    del kept
    again = [object() for _ in range(200_000)]
    refilled = allocated_mb()
    assert taken is not None
    assert refilled is not None
    # 16 bytes an object and 8 bytes a place in the list.
    assert 4 < taken - before < 6
    assert abs(refilled - taken) < 0.5
    assert len(again) == 200_000
    assert peak_mb() >= resident_mb() > 0


def test_the_machine_is_described(tmp_path: Path) -> None:
    described = machine(tmp_path)
    assert float(described["durable_write_ms"]) > 0
    assert int(described["processors"]) >= 1
    assert {"python", "sqlite", "durable-core", "durable-sqlite"} <= set(versions())
    assert list(tmp_path.iterdir()) == []


REFERENCE = "import sys\nprint(sys.argv[1], 'tps', {rate}, 'cpu_us/task', 1)\n"


@pytest.mark.parametrize(("rate", "expected"), [(1, 0), (10**9, 1)])
def test_the_sketch_is_held_against_another_one(
    rate: int, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "reference.py"
    program.write_text(REFERENCE.format(rate=rate), encoding="utf-8")
    monkeypatch.setenv(VARIABLE, str(program))
    folder = str(tmp_path / "bench")
    assert main(["--check-sketch", "--quick", "--json-dir", folder]) == expected


def test_a_missing_or_silent_reference_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert main(["--check-sketch", "--quick", "--json-dir", str(tmp_path)]) == 1
    assert f"set {VARIABLE}" in capsys.readouterr().err
    program = tmp_path / "silent.py"
    program.write_text("print('nothing')\n", encoding="utf-8")
    monkeypatch.setenv(VARIABLE, str(program))
    with pytest.raises(RunFailedError, match="printed no rate"):
        compare(Scale.QUICK, 1, tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--storage", "paper"],
            "there is no paper; there are memory, sqlite, postgres",
        ),
        (["--workload", "W1,W77"], "there is no W77"),
        (["--storage", ""], "empty choice"),
        (["--quick", "--full"], "not allowed with"),
        (["--repeat", "0"], "at least 1"),
    ],
)
def test_bad_arguments_are_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


async def test_the_server_itself_counts(make_place: Callable[[str], Place]) -> None:
    """Statements and transactions that write are PostgreSQL's own figures, of this place only."""
    place = await asyncio.to_thread(make_place, "postgres")
    room = room_of("postgres")
    store = room.store(place)
    await store.open()
    await store.insert(Row("first", "noop", b"{}"))
    before = await room.counts(place)
    assert before is not None
    for number in range(10):
        await store.insert(Row(f"{number}", "noop", b"{}"))
    elsewhere = await asyncpg.connect(room.url)
    await elsewhere.execute("SELECT 1")
    await elsewhere.close()
    after = await room.counts(place)
    await store.close()
    assert after is not None
    more = after - before
    assert more.statements == 10
    assert more.commits == pytest.approx(10, abs=2), "the server's housekeeping may write, too"
    assert more.wal_bytes is not None
    assert 2_000 < more.wal_bytes < 200_000
