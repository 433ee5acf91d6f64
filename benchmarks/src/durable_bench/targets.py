"""What the figures are to reach, and whether they do."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from .figures import Figures, Outcome

Outcomes: TypeAlias = Mapping[str, Outcome]
"""Case key → what is known of it."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One target beside its figure.

    Attributes:
        case: The case's key.
        what: The figure's name.
        value: The figure.
        limit: What it is to reach.
        at_least: Whether larger is better.
    """

    case: str
    what: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the target is reached."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        """Return the sentence for people."""
        bound = "≥" if self.at_least else "≤"
        verdict = "met" if self.met else "NOT MET"
        return f"{self.what}: {self.value:.3g}, target {bound} {self.limit:g}: {verdict}"


Figure: TypeAlias = Callable[[Outcome, Figures, Outcomes], float | None]
"""Takes a case's outcome, the engine's figures in it and all outcomes; None: nothing to judge."""


@dataclass(frozen=True, kw_only=True)
class _Target:
    """A limit, and where its figure comes from; None if there is no such figure.

    The limit holds on the storages named; None: on all.
    """

    workload: str
    what: str
    limit: float
    value: Figure
    at_least: bool = False
    on: frozenset[str] | None = None
    variant: str | None = None


def _ratio(outcome: Outcome, _engine: Figures, _others: Outcomes) -> float | None:
    return outcome.ratio_to_sketch


def _p50(outcome: Outcome, _engine: Figures, _others: Outcomes) -> float | None:
    return outcome.p50_to_sketch


def _to_empty(outcome: Outcome, _engine: Figures, _others: Outcomes) -> float | None:
    return outcome.ratio_to_empty


def _commits(_outcome: Outcome, engine: Figures, _others: Outcomes) -> float | None:
    return engine.commits_per_task


def _statements(_outcome: Outcome, engine: Figures, _others: Outcomes) -> float | None:
    return engine.statements_per_task


def _milliseconds(_outcome: Outcome, engine: Figures, _others: Outcomes) -> float | None:
    return engine.p50_ms


def _detail(name: str) -> Figure:
    return lambda _outcome, engine, _others: engine.details.get(name)


def _per_task(outcome: Outcome | None) -> float | None:
    if outcome is None or outcome.engine is None or outcome.engine.tasks_per_second is None:
        return None
    return 1 / outcome.engine.tasks_per_second


def _to_w1(outcome: Outcome, _engine: Figures, others: Outcomes) -> float | None:
    ours, theirs = _per_task(outcome), _per_task(others.get("W1"))
    return None if ours is None or theirs is None else ours / theirs


def _to_narrower(outcome: Outcome, _engine: Figures, others: Outcomes) -> float | None:
    """Return the time per child through that of a tenth of the children."""
    ours, theirs = _per_task(outcome), _per_task(others.get(f"W3/{outcome.case.width // 10}"))
    return None if ours is None or theirs is None else ours / theirs


_SQLITE: Final = frozenset({"sqlite"})
_POSTGRES: Final = frozenset({"postgres"})
_MYSQLS: Final = frozenset({"mariadb", "mysql"})
_REDISES: Final = frozenset({"redis", "redis-everysec", "valkey"})
_MONGODB: Final = frozenset({"mongodb"})
_SERVERS: Final = _POSTGRES | _MYSQLS | _REDISES | _MONGODB
_DISKS: Final = _SQLITE | _SERVERS

_TARGETS: Final[Sequence[_Target]] = (
    _Target(
        workload="W1", what="rate through the sketch's", limit=0.5, at_least=True,
        value=_ratio, on=_SQLITE | _POSTGRES | _REDISES,
    ),
    _Target(
        workload="W1", what="rate through the sketch's", limit=0.4, at_least=True,
        value=_ratio, on=_MYSQLS,
    ),
    _Target(
        workload="W1", what="rate through the sketch's", limit=0.3, at_least=True,
        value=_ratio, on=_MONGODB,
    ),
    _Target(
        workload="W1", what="commits per task", limit=0.02,
        value=_commits, on=_SQLITE | _POSTGRES,
    ),
    _Target(
        workload="W1", what="statements per task", limit=0.1,
        value=_statements, on=_SERVERS,
    ),
    _Target(
        workload="W2", what="p50 through the sketch's", limit=2,
        value=_p50, on=_DISKS,
    ),
    _Target(
        workload="W3", what="time per child through W1's per task", limit=1.5,
        value=_to_w1, on=_DISKS,
    ),
    _Target(
        workload="W3", what="time per child through that of a tenth of the children", limit=1.25,
        value=_to_narrower, on=_DISKS,
    ),
    _Target(
        workload="W4", what="commits per step", limit=4,
        value=_commits, on=_SQLITE | _POSTGRES,
    ),
    _Target(
        workload="W5", what="statements that touch tables per second", limit=1,
        value=_detail("table_statements_per_second"), on=_DISKS,
    ),
    _Target(
        workload="W5", what="processor seconds per minute", limit=0.5,
        value=_detail("cpu_seconds_per_minute"),
    ),
    _Target(
        workload="W7", what="rate through W1's", limit=0.8, at_least=True,
        value=_to_empty, on=_DISKS - _POSTGRES,
    ),
    _Target(
        workload="W7", what="rate through W1's", limit=0.9, at_least=True,
        value=_to_empty, on=_POSTGRES,
    ),
    _Target(
        workload="W7", variant="backlog", what="ms in which 99 of 100 scripts end", limit=5,
        value=_detail("script_p99_ms"), on=_REDISES,
    ),
    _Target(
        workload="W8", variant="idle", what="p50 in ms, woken by a hint", limit=10,
        value=_milliseconds, on=_SERVERS - _MYSQLS,
    ),
    _Target(
        workload="W9", what="MiB added by awaited handles", limit=50,
        value=_detail("added_mb"),
    ),
    _Target(
        workload="W9", what="asyncio tasks added by awaited handles", limit=10,
        value=_detail("added_asyncio_tasks"),
    ),
)  # fmt: skip


def judge(storage: str, outcomes: Outcomes) -> Iterator[Verdict]:
    """Yield a verdict for every target that has a figure, in the order of the cases.

    Args:
        storage: Targets on rates and statements are for storages on disks, those of the engine
            for all.
        outcomes: Everything that was run on it.
    """
    for key, outcome in outcomes.items():
        if outcome.engine is None:
            continue
        for target in _TARGETS:
            if target.workload != outcome.case.workload:
                continue
            if target.variant not in (None, outcome.case.variant):
                continue
            if target.on is not None and storage not in target.on:
                continue
            value = target.value(outcome, outcome.engine, outcomes)
            if value is not None:
                yield Verdict(
                    case=key,
                    what=target.what,
                    value=value,
                    limit=target.limit,
                    at_least=target.at_least,
                )
