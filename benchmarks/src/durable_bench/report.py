"""The table for people and the file for programs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from .figures import Figures, Outcome
from .targets import Outcomes, Verdict, judge

FORMAT: Final = 1
"""Raised when the meaning of a field of the file changes."""

_HEADINGS: Final = (
    "", "tasks/s", "p50 ms", "p95 ms", "p99 ms", "stmts/task", "commits/task", "CPU µs/task",
    "peak MiB", "sketch/s", "ratio",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything of one storage.

    Attributes:
        storage: Its name.
        scale: How much was run.
        durability: Which settings decide about durability.
        created: When, in UTC.
        versions: Of what took part.
        machine: Where.
        outcomes: Case key → what is known of it.
    """

    storage: str
    scale: str
    durability: str
    created: str
    versions: Mapping[str, str]
    machine: Mapping[str, str | int | float]
    outcomes: Outcomes

    @property
    def verdicts(self) -> list[Verdict]:
        """All targets that have a figure."""
        return list(judge(self.storage, self.outcomes))

    def to_json(self) -> dict[str, Any]:
        """Return the file for programs: workload → figures, its cases below it if several."""
        workloads: dict[str, Any] = {}
        verdicts = self.verdicts
        for key, outcome in self.outcomes.items():
            entry = _entry(outcome, [verdict for verdict in verdicts if verdict.case == key])
            workload = outcome.case.workload
            if outcome.case.variant:
                cases = workloads.get(workload, {}).get("cases", {}) | {outcome.case.variant: entry}
                # A workload of which nothing but variants is known stands for its largest.
                main = self.outcomes.get(workload)
                top = workloads[workload] if main is not None else entry
                workloads[workload] = {**top, "cases": cases}
            else:
                workloads[workload] = entry
        return {
            "format": FORMAT,
            "storage": self.storage,
            "durability": self.durability,
            "scale": self.scale,
            "created": self.created,
            "versions": self.versions,
            "machine": self.machine,
            "workloads": workloads,
            "targets_met": sum(verdict.met for verdict in verdicts),
            "targets_missed": [f"{v.case}: {v}" for v in verdicts if not v.met],
        }

    def table(self) -> str:
        """Return the table for people, each target below its case."""
        rows = [_row(key, outcome) for key, outcome in self.outcomes.items()]
        columns = list(zip(_HEADINGS, *rows, strict=True))
        widths = [max(map(len, column)) for column in columns]
        lines = [self._title(), *self._doubts(), "", _line(_HEADINGS, widths)]
        verdicts = self.verdicts
        for (key, outcome), row in zip(self.outcomes.items(), rows, strict=True):
            lines.append(_line(row, widths))
            lines += [f"      {text}" for text in _remarks(outcome)]
            lines += [f"      {verdict}" for verdict in verdicts if verdict.case == key]
        met = sum(verdict.met for verdict in verdicts)
        lines += ["", f"{met} of {len(verdicts)} targets met"]
        return "\n".join(lines)

    def _title(self) -> str:
        machine = self.machine
        return (
            f"{self.storage} ({self.durability or 'durability unknown'}), {self.scale} amounts, "
            f"{machine['processors']} processors ({machine['processor']}), "
            f"Python {self.versions['python']}, durable write {machine['durable_write_ms']} ms"
        )

    def _doubts(self) -> Iterator[str]:
        load, processors = float(self.machine["load_before"]), int(self.machine["processors"])
        if load > processors / 4:
            yield f"BEWARE: others were using the machine, its load was {load} before the first run"


def _entry(outcome: Outcome, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    entry: dict[str, Any] = {"title": outcome.case.title}
    if outcome.engine is None:
        return {**entry, "not_run": outcome.not_run}
    entry |= _numbers(outcome.engine)
    if outcome.sketch is not None:
        entry["sketch"] = _numbers(outcome.sketch)
    entry["ratio_to_sketch"] = _rounded(outcome.ratio_to_sketch)
    entry["ratio_to_sketch_range"] = [_rounded(ratio) for ratio in outcome.ratios]
    entry["p50_to_sketch"] = _rounded(outcome.p50_to_sketch)
    entry["cpu_to_sketch"] = _rounded(outcome.cpu_to_sketch)
    if outcome.ratio_to_empty is not None:
        entry["ratio_to_empty"] = _rounded(outcome.ratio_to_empty)
    entry["targets"] = [
        {**asdict(verdict), "value": _rounded(verdict.value), "met": verdict.met}
        for verdict in verdicts
    ]
    return entry


def _numbers(figures: Figures) -> dict[str, Any]:
    numbers = asdict(figures)
    details: Mapping[str, float] = numbers.pop("details")
    return {
        name: _rounded(value) if isinstance(value, float) else value
        for name, value in {**numbers, **details}.items()
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")


def _row(key: str, outcome: Outcome) -> tuple[str, ...]:
    engine, sketch = outcome.engine, outcome.sketch
    if engine is None:
        return (key, *("",) * (len(_HEADINGS) - 1))
    return (
        key,
        _number(engine.tasks_per_second, ",.0f"),
        _number(engine.p50_ms, ".2f"),
        _number(engine.p95_ms, ".2f"),
        _number(engine.p99_ms, ".2f"),
        _number(engine.statements_per_task, ".3f"),
        _number(engine.commits_per_task, ".4f"),
        _number(engine.cpu_us_per_task, ",.0f"),
        _number(engine.peak_mb, ",.0f"),
        _number(None if sketch is None else sketch.tasks_per_second, ",.0f"),
        _number(outcome.ratio_to_sketch, ".2f"),
    )


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _line(cells: Iterable[str], widths: Sequence[int]) -> str:
    name, *numbers = zip(cells, widths, strict=True)
    parts = [name[0].ljust(name[1]), *(cell.rjust(width) for cell, width in numbers)]
    return "  ".join(parts).rstrip()


def _remarks(outcome: Outcome) -> Iterator[str]:
    yield outcome.case.title
    if outcome.not_run is not None:
        yield f"not run: {outcome.not_run}"
    if outcome.ratios and len(set(outcome.ratios)) > 1:
        low, high = outcome.ratios
        yield f"ratios between {low:.2f} and {high:.2f}"
    if outcome.cpu_to_sketch is not None:
        yield f"processor time through the sketch's: {outcome.cpu_to_sketch:.2f}"
    if outcome.ratio_to_empty is not None:
        yield f"rate through that without the rows: {outcome.ratio_to_empty:.2f}"
    yield from _logged(outcome)
    if outcome.engine is not None:
        if outcome.engine.complaints:
            yield f"BEWARE: the runs complained, {outcome.engine.complaints} lines of warnings"
        for name, value in outcome.engine.details.items():
            yield f"{name.replace('_', ' ')}: {value:,.4g}"


def _logged(outcome: Outcome) -> Iterator[str]:
    if outcome.engine is None or outcome.engine.wal_bytes_per_task is None:
        return
    text = f"bytes of write-ahead log per task: {outcome.engine.wal_bytes_per_task:,.0f}"
    if outcome.sketch is not None and outcome.sketch.wal_bytes_per_task is not None:
        text += f", the sketch's: {outcome.sketch.wal_bytes_per_task:,.0f}"
    yield text
