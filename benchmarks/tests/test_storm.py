import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from serving.machine import alive

from durable_bench.storm import Plan, StormError, in_folder
from durable_bench.storm.__main__ import main
from durable_bench.storm.audit import audit
from durable_bench.storm.report import Event, Report
from durable_bench.storm.watch import Watch, signature
from durable_core.storage import (
    MemoryStorage,
    NewExecution,
    Phase,
    Record,
    TemporaryError,
)
from durable_core.storage.kit import born

NOW = 1_000_000
SQUARE = ("square", 5)


def row(id_: str, output: bytes = b"25", parent: str | None = None) -> Record:
    new = NewExecution(id=id_, task="square", parent_id=parent, root_id=parent or id_)
    return replace(
        born(new, NOW), phase=Phase.COMPLETED, output=output, finished_at=NOW + 1, ended_by="a/1"
    )


ALL_WELL = row("a")
SEEN = {"a": signature(ALL_WELL)}


def test_an_audit_without_faults() -> None:
    assert audit({"a": SQUARE}, [ALL_WELL], SEEN, {"a": 1}) == []
    assert audit({"a": SQUARE}, [ALL_WELL], {}, None) == []


@pytest.mark.parametrize(
    ("rows", "ends", "fault"),
    [
        ([], {"a": 1}, r"square\(5\) is lost"),
        ([row("a", b"24")], {"a": 1}, "ended with 24 instead of 25"),
        ([replace(ALL_WELL, phase=Phase.FAILED)], {"a": 1}, "failed instead of completed"),
        ([ALL_WELL, row("b", parent="a")], {"a": 1, "b": 1}, "2 executions instead of 1"),
        ([replace(ALL_WELL, pending=1)], {"a": 1}, "with 1 children pending"),
        ([replace(ALL_WELL, owner="x")], {"a": 1}, "held by x"),
        ([replace(ALL_WELL, finished_at=NOW + 2)], {"a": 1}, "had ended, and was changed"),
        ([replace(ALL_WELL, ended_by="b/2")], {"a": 1}, "had ended, and was changed"),
        ([ALL_WELL], {"a": 2}, "ended 2 times"),
        ([ALL_WELL], {}, "nobody saw a end"),
    ],
)
def test_an_audit_names_what_is_wrong(rows: list[Record], ends: dict[str, int], fault: str) -> None:
    with pytest.raises(AssertionError, match=fault):
        assert audit({"a": SQUARE}, rows, SEEN, ends) == []


def test_many_faults_are_cut() -> None:
    found = audit({f"{n}": SQUARE for n in range(100)}, [], {}, None)
    assert found[-1] == "and 81 more"
    assert len(found) == 21


def test_a_run_without_kills_ends_well(tmp_path: Path) -> None:
    plan = Plan(target="sqlite", executions=200, workers=1, kills=0, restarts=0, backlog=100)
    report = in_folder(plan, tmp_path / "run", print)
    assert report.faults == []
    assert report.executions >= 200
    assert report.audited
    assert next(report.lines()).startswith(f"sqlite: {report.executions:,} executions")


def test_a_run_that_never_ends_is_given_up(tmp_path: Path) -> None:
    plan = Plan(
        target="sqlite", executions=10, workers=0, kills=0, restarts=0, backlog=10, patience=0.1
    )
    with pytest.raises(StormError, match="executions were left unfinished"):
        in_folder(plan, tmp_path / "run", print)


def test_a_report_tells_how_rates_recover() -> None:
    second = 1_000_000
    ends = [*range(0, 10 * second, second // 100), *range(13 * second, 30 * second, second // 50)]
    report = Report(
        target="x", executions=1, roots=1, seconds=1, workers=[], servers=[], ends=ends,
        loaded_until=30 * second, audited=True, seen=1, faults=[],
    )  # fmt: skip
    event = Event(what="server", at=10 * second, held=0, seconds=3)
    recovery = report.recovery(event)
    assert recovery is not None
    before, after, lag = recovery
    assert before == pytest.approx(100, abs=1)
    assert after == pytest.approx(50, abs=1)
    assert lag == pytest.approx(3, abs=0.1)
    late = Event(what="server", at=29 * second, held=0, seconds=3)
    assert report.recovery(late) is None, "nothing was enqueued any more"


async def test_reading_is_patient_while_the_server_is_away() -> None:
    storage = MemoryStorage()
    await storage.setup()
    watch, calls = Watch(storage, 20), 0

    async def flaky() -> int:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise TemporaryError("away")
        return calls

    assert await watch.read(flaky) == 3
    hasty = Watch(storage, 0)
    calls = 0
    with pytest.raises(TemporaryError):
        await hasty.read(flaky)


def test_the_command_needs_a_shared_storage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["memory"])
    assert "invalid choice: 'memory'" in capsys.readouterr().err
    assert main(["sqlite", "--executions", "50", "--workers", "1", "--kills", "0"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("all well")


_STARTER = """
import sys
from pathlib import Path
from durable_bench.rooms import Place
from durable_bench.storm import Plan
from durable_bench.storm.worker import Crew

if __name__ == "__main__":
    plan = Plan(target="sqlite", workers=2)
    with Crew.at_work(plan, Place(Path(sys.argv[1]))) as crew:
        print(*crew.pids, flush=True)
        sys.stdin.read()
"""


def test_workers_end_with_whoever_started_them(tmp_path: Path) -> None:
    program = tmp_path / "starter.py"
    program.write_text(_STARTER, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, program, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as starter:
        assert starter.stdout is not None
        pids = [int(word) for word in starter.stdout.readline().split()]
        starter.kill()
    assert len(pids) == 2
    deadline = time.monotonic() + 30
    while any(map(alive, pids)):
        assert time.monotonic() < deadline, "workers were left behind"
        time.sleep(0.01)
