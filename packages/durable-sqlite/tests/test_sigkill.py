"""Workers are killed with SIGKILL at random moments: every execution ends, each result once."""

from pathlib import Path

import pytest

from durable_bench.storm import Plan, in_folder

PLAN = Plan(
    target="sqlite",
    executions=5_000,
    workers=3,
    kills=50,
    restarts=0,
    backlog=300,
    concurrency=8,
    lease=1.0,
    seed=20240917,
)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_every_execution_ends_once_though_workers_are_killed(tmp_path: Path) -> None:
    report = in_folder(PLAN, tmp_path / "run", print)
    assert report.faults == []
    assert report.audited
    assert len(report.workers) == 50
    assert sum(event.held for event in report.workers) > 0, "nobody was killed at work"
    assert report.executions >= 5_000
