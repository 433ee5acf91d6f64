import pytest

from durable_bench.cases import Case, Kind, Scale, cases
from durable_bench.figures import Runs, figures, outcome
from durable_bench.measure import percentile
from durable_bench.sample import Counts, Sample
from durable_bench.targets import judge

STREAM = Case(workload="W1", title="a stream", kind=Kind.STREAM, count=100, width=10)


def sample(seconds: float, *, tasks: int = 100, commits: int | None = None) -> Sample:
    counts = Counts(statements=3 * (commits or 0), table_statements=2 * tasks, commits=commits or 0)
    return Sample(
        tasks=tasks,
        seconds=seconds,
        cpu_seconds=seconds / 2,
        latencies_ms=[1_000 * seconds],
        peak_mb=10 * seconds,
        counts=None if commits is None else counts,
    )


@pytest.mark.parametrize(
    ("per_cent", "expected"), [(1, 1), (50, 50), (50.5, 51), (95, 95), (99, 99), (100, 100)]
)
def test_percentiles_are_nearest_ranks(per_cent: float, expected: int) -> None:
    assert percentile(range(1, 101), per_cent) == expected


def test_a_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 1) == percentile([7.0], 99) == 7.0


def test_figures_are_medians_over_runs() -> None:
    found = figures(STREAM, [sample(1, commits=10), sample(4, commits=30), sample(2, commits=20)])
    assert found.runs == 3
    assert found.tasks_per_second == 50
    assert found.p50_ms == 2_000
    assert found.cpu_us_per_task == 10_000
    assert found.commits_per_task == 0.2
    assert found.table_statements_per_task == 2
    assert found.peak_mb == 40


def test_nothing_is_made_up_where_nobody_counted() -> None:
    found = figures(STREAM, [sample(1)])
    assert found.commits_per_task is None
    assert found.statements_per_task is None
    assert found.calls_per_task is None


def test_a_ratio_compares_neighbours_not_medians() -> None:
    # The machine got ten times slower in the second pair: the ratio does not see it.
    runs = Runs(
        engine=[sample(2), sample(20), sample(2)], sketch=[sample(1), sample(10), sample(1)]
    )
    found = outcome(STREAM, runs)
    assert found.ratio_to_sketch == 0.5
    assert found.ratios == (0.5, 0.5)
    assert found.p50_to_sketch == 2


def test_without_a_sketch_there_is_no_ratio() -> None:
    found = outcome(STREAM, Runs(engine=[sample(1)]))
    assert found.sketch is None
    assert found.ratio_to_sketch is None
    assert found.ratios == ()


def test_a_missed_target_is_said_to_be_missed() -> None:
    runs = Runs(engine=[sample(4, commits=1)], sketch=[sample(1)])
    verdicts = list(judge("sqlite", {"W1": outcome(STREAM, runs)}))
    assert [(verdict.value, verdict.met) for verdict in verdicts] == [(0.25, False), (0.01, True)]
    assert "NOT MET" in str(verdicts[0])
    assert str(verdicts[1]).endswith("target ≤ 0.02: met")


def test_targets_of_sqlite_do_not_bind_memory() -> None:
    runs = Runs(engine=[sample(4, commits=1)], sketch=[sample(1)])
    assert list(judge("memory", {"W1": outcome(STREAM, runs)})) == []


def test_fan_outs_are_held_against_the_stream_and_a_tenth_of_their_width() -> None:
    def fan_out(width: int, seconds: float) -> tuple[str, Runs, Case]:
        case = Case(
            workload="W3", variant=str(width), title="", kind=Kind.FAN_OUT, count=1, width=width
        )
        return case.key, Runs(engine=[sample(seconds, tasks=width)]), case

    shapes = [fan_out(1_000, 1.0), fan_out(10_000, 20.0)]
    outcomes = {"W1": outcome(STREAM, Runs(engine=[sample(0.1)]))}
    outcomes |= {key: outcome(case, runs) for key, runs, case in shapes}
    found = [(v.case, v.value, v.met) for v in judge("sqlite", outcomes)]
    assert found == [
        ("W3/1000", 1, True),
        ("W3/10000", 2, False),
        ("W3/10000", 2, False),
    ]


@pytest.mark.parametrize("scale", Scale)
def test_keys_are_unique_and_all_workloads_are_there(scale: Scale) -> None:
    keys = [case.key for case in cases(scale)]
    assert len(set(keys)) == len(keys)
    assert {case.workload for case in cases(scale)} == {f"W{number}" for number in range(1, 10)}


def test_full_runs_beside_a_million_rows_of_each_kind() -> None:
    case = next(case for case in cases(Scale.FULL) if case.key == "W7")
    assert (case.finished, case.scheduled) == (1_000_000, 1_000_000)
