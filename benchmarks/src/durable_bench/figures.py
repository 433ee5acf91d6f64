"""From the samples of several runs to the figures of one case."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from .cases import Case, Kind
from .measure import percentile
from .sample import Counts, Sample


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Medians over the runs of one side of a case.

    Attributes:
        runs: How many.
        tasks: Executions of user code per run.
        tasks_per_second: None where nothing runs against the clock.
        p50_ms: Time per call, fan-out, chain or iteration; None likewise, and so on.
        cpu_us_per_task: Processor time of the process, all threads.
        peak_mb: The largest resident set of any run, in MiB.
        statements_per_task: None where nobody counts.
        table_statements_per_task: Those of them that read or write tables.
        commits_per_task: Transactions that wrote.
        wal_bytes_per_task: What they added to the server's write-ahead log.
        calls_per_task: Calls of the storage protocol.
        details: What only this kind of case has.
        durability: Which settings of the storage decide about durability.
        complaints: Lines on the standard error streams of all runs: healthy runs have none.
    """

    runs: int
    tasks: int
    tasks_per_second: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    cpu_us_per_task: float | None
    peak_mb: float
    statements_per_task: float | None
    table_statements_per_task: float | None
    commits_per_task: float | None
    wal_bytes_per_task: float | None
    calls_per_task: float | None
    details: Mapping[str, float]
    durability: str
    complaints: int


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """All that is known of one case on one storage.

    Attributes:
        case: What was run.
        engine: The engine's figures; None if the case was not run.
        sketch: The figures of the sketch beside it.
        ratio_to_sketch: The engine's rate through the sketch's, the median over pairs of
            neighbouring runs: what slows the whole machine down slows both.
        ratios: The smallest and the largest of them.
        p50_to_sketch: The engine's median time through the sketch's, likewise.
        cpu_to_sketch: The engine's processor time per task through the sketch's, likewise: what
            others do on the machine hardly touches it.
        ratio_to_empty: The rate beside rows that are there already through the rate without.
        not_run: Why not.
    """

    case: Case
    engine: Figures | None = None
    sketch: Figures | None = None
    ratio_to_sketch: float | None = None
    ratios: Sequence[float] = ()
    p50_to_sketch: float | None = None
    cpu_to_sketch: float | None = None
    ratio_to_empty: float | None = None
    not_run: str | None = None


@dataclass(frozen=True, kw_only=True)
class Runs:
    """The samples of one case: runs of the same place in the lists were neighbours.

    Attributes:
        engine: Of the engine.
        sketch: Of the sketch; empty if there is none beside this case.
        emptied: Of the engine without the rows that are there already; empty likewise.
    """

    engine: list[Sample] = field(default_factory=list[Sample])
    sketch: list[Sample] = field(default_factory=list[Sample])
    emptied: list[Sample] = field(default_factory=list[Sample])


def outcome(case: Case, runs: Runs) -> Outcome:
    """Return the figures of a case.

    Args:
        case: What was run.
        runs: At least one sample of the engine.
    """
    to_sketch = _ratios(runs.engine, runs.sketch, lambda sample: sample.rate)
    to_empty = _ratios(runs.engine, runs.emptied, lambda sample: sample.rate)
    times = _ratios(runs.engine, runs.sketch, lambda sample: percentile(sample.latencies_ms, 50))
    work = _ratios(runs.engine, runs.sketch, lambda sample: sample.cpu_seconds / sample.tasks)
    return Outcome(
        case=case,
        engine=figures(case, runs.engine),
        sketch=figures(case, runs.sketch) if runs.sketch else None,
        ratio_to_sketch=median(to_sketch) if to_sketch else None,
        ratios=(min(to_sketch), max(to_sketch)) if to_sketch else (),
        p50_to_sketch=median(times) if times else None,
        cpu_to_sketch=median(work) if work else None,
        ratio_to_empty=median(to_empty) if to_empty else None,
    )


def _ratios(
    ours: Sequence[Sample], theirs: Sequence[Sample], figure: Callable[[Sample], float]
) -> list[float]:
    return [figure(one) / figure(other) for one, other in zip(ours, theirs, strict=False)]


def figures(case: Case, samples: Sequence[Sample]) -> Figures:
    """Return the medians of some samples.

    Args:
        case: What was run.
        samples: At least one.
    """
    clocked = case.kind not in {Kind.IDLE, Kind.HANDLES}

    def middle(figure: Callable[[Sample], float]) -> float | None:
        return median(figure(sample) for sample in samples) if clocked else None

    def late(per_cent: float) -> float | None:
        known = [percentile(one.latencies_ms, per_cent) for one in samples if one.latencies_ms]
        return median(known) if clocked and known else None

    def counted(figure: Callable[[Counts], int]) -> float | None:
        known = [figure(one.counts) / one.tasks for one in samples if one.counts is not None]
        return median(known) if clocked and known else None

    logged = [
        one.counts.wal_bytes / one.tasks
        for one in samples
        if one.counts is not None and one.counts.wal_bytes is not None and one.tasks
    ]
    calls = [one.calls / one.tasks for one in samples if one.calls is not None]
    return Figures(
        runs=len(samples),
        tasks=samples[0].tasks,
        tasks_per_second=middle(lambda one: one.rate),
        p50_ms=late(50),
        p95_ms=late(95),
        p99_ms=late(99),
        cpu_us_per_task=middle(lambda one: 1e6 * one.cpu_seconds / one.tasks),
        peak_mb=max(one.peak_mb for one in samples),
        statements_per_task=counted(lambda counts: counts.statements),
        table_statements_per_task=counted(lambda counts: counts.table_statements),
        commits_per_task=counted(lambda counts: counts.commits),
        wal_bytes_per_task=median(logged) if clocked and logged else None,
        calls_per_task=median(calls) if clocked and calls else None,
        details={name: median(one.details[name] for one in samples) for name in samples[0].details},
        durability=samples[0].durability,
        complaints=sum(one.complaints for one in samples),
    )
