"""Workers and the server are killed with SIGKILL: every execution ends, each result once."""

from pathlib import Path

import pytest

from durable_bench.storm import Plan, in_folder

PLAN = Plan(
    target="postgres",
    executions=3_000,
    workers=3,
    kills=8,
    restarts=2,
    backlog=300,
    concurrency=8,
    lease=1.0,
)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_every_execution_ends_once_though_workers_and_server_are_killed(tmp_path: Path) -> None:
    report = in_folder(PLAN, tmp_path / "run", print)
    assert report.faults == []
    assert report.audited
    assert (len(report.workers), len(report.servers)) == (8, 2)
    assert sum(event.held for event in report.workers) > 0, "nobody was killed at work"
    assert report.executions >= 3_000
