import json

from durable_bench.cases import Case, Kind
from durable_bench.figures import Outcome, Runs, outcome
from durable_bench.report import Report
from durable_bench.sample import Counts, Sample


def report() -> Report:
    def runs(seconds: float) -> Runs:
        counts = Counts(statements=4, table_statements=3, commits=2)
        engine = Sample(
            tasks=100, seconds=seconds, cpu_seconds=0.1, latencies_ms=[1, 2, 3], counts=counts,
            durability="synchronous=FULL", complaints=3,
        )  # fmt: skip
        sketch = Sample(tasks=100, seconds=1, cpu_seconds=0.1, latencies_ms=[1, 2, 3])
        return Runs(engine=[engine], sketch=[sketch])

    cases = [
        Case(workload="W1", title="a stream", kind=Kind.STREAM),
        Case(workload="W3", variant="10", title="ten", kind=Kind.FAN_OUT, width=10),
        Case(workload="W3", variant="100", title="a hundred", kind=Kind.FAN_OUT, width=100),
        Case(workload="W8", title="apart", kind=Kind.STREAM),
        Case(workload="W8", variant="idle", title="apart, idle", kind=Kind.STREAM),
    ]
    outcomes = {case.key: outcome(case, runs(4 if case.workload == "W1" else 1)) for case in cases}
    outcomes["W9"] = Outcome(
        case=Case(workload="W9", title="handles", kind=Kind.HANDLES), not_run="no room"
    )
    return Report(
        storage="sqlite",
        scale="quick",
        durability="synchronous=FULL",
        created="2024-01-01T00:00:00Z",
        versions={"python": "3"},
        machine={"processors": 2, "processor": "some", "durable_write_ms": 0.1, "load_before": 0.6},
        outcomes=outcomes,
    )


def test_the_file_has_every_workload_with_its_figures() -> None:
    file = json.loads(json.dumps(report().to_json()))
    w1 = file["workloads"]["W1"]
    assert w1["tasks_per_second"] == 25
    assert (w1["p50_ms"], w1["p95_ms"], w1["p99_ms"]) == (2, 3, 3)
    assert (w1["statements_per_task"], w1["commits_per_task"]) == (0.04, 0.02)
    assert w1["ratio_to_sketch"] == 0.25
    assert w1["complaints"] == 3
    assert w1["cpu_to_sketch"] == 1
    assert w1["sketch"]["tasks_per_second"] == 100
    assert [target["met"] for target in w1["targets"]] == [False, True]
    assert file["workloads"]["W9"] == {"title": "handles", "not_run": "no room"}
    assert file["targets_missed"] == ["W1: rate through the sketch's: 0.25, target ≥ 0.5: NOT MET"]


def test_a_workload_of_variants_stands_for_its_last_and_lists_all() -> None:
    workloads = report().to_json()["workloads"]
    assert workloads["W3"]["title"] == "a hundred"
    assert list(workloads["W3"]["cases"]) == ["10", "100"]
    assert workloads["W8"]["title"] == "apart"
    assert list(workloads["W8"]["cases"]) == ["idle"]


def test_the_table_says_beside_each_figure_whether_it_is_good_enough() -> None:
    table = report().table()
    lines = [line.strip() for line in table.splitlines()]
    at = next(number for number, line in enumerate(lines) if line.startswith("W1 "))
    assert lines[at].split()[-1] == "0.25"
    assert lines[at + 1] == "a stream"
    assert lines[at + 2] == "processor time through the sketch's: 1.00"
    assert lines[at + 3] == "BEWARE: the runs complained, 3 lines of warnings"
    assert lines[at + 4] == "rate through the sketch's: 0.25, target ≥ 0.5: NOT MET"
    assert lines[lines.index("handles") + 1] == "not run: no room"
    assert "synchronous=FULL" in lines[0]
    assert lines[1].startswith("BEWARE: others were using the machine, its load was 0.6")
