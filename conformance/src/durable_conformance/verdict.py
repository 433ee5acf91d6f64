"""From the outcomes of checks to a verdict: nothing that was not seen to pass counts as passed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from .checking import Check
from .promises import JUDGED, LEVELS, PROMISES, Level


class Status(StrEnum):
    """What became of a check or a promise; the worst of several holds."""

    PASSED = "passed"
    NOT_DECLARED = "not declared"
    NOT_RUN = "not run"
    FAILED = "failed"


_WORST: Final = tuple(Status)
_ALTERED: Final = "overridden or deleted by the class"
_NAMED: Final = 8


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What became of a check, and why."""

    status: Status
    reason: str = ""


@dataclass(slots=True, kw_only=True)
class Evidence:
    """All that a run learnt about one class.

    Attributes:
        name: The class's name.
        suite: The checks that it must have.
        altered: Checks that the class overrides or deletes.
        outcomes: By check, as reported.
        storage: The storage's class, as ``module:name``.
        capabilities: Each distinct value that a handle declared.
        versions: Versions of what the storage is made of.
    """

    name: str
    suite: Mapping[str, Check]
    altered: set[str] = field(default_factory=set[str])
    outcomes: dict[str, Outcome] = field(default_factory=dict[str, Outcome])
    storage: str = ""
    capabilities: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    versions: dict[str, str] = field(default_factory=dict[str, str])

    def report(self, check: str, status: Status, reason: str = "") -> None:
        """Note an outcome; of several of one check the worst holds."""
        known = self.outcomes.get(check)
        if known is None or _WORST.index(status) > _WORST.index(known.status):
            self.outcomes[check] = Outcome(status=status, reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a run says about one class.

    Attributes:
        name: The class's name.
        level: The highest level reached; None is not certified.
        checks: Every check of the suite and what became of it.
        promises: Every promise and what became of it at the level reached, or at the first level.
        reasons: Why it is not certified; empty if it is.
    """

    name: str
    level: Level | None
    checks: Mapping[str, Outcome]
    promises: Mapping[str, Status]
    reasons: list[str]

    @property
    def certified(self) -> bool:
        """Whether any level was reached."""
        return self.level is not None

    def line(self) -> str:
        """Return the summary line."""
        numbers = ", ".join(
            f"{sum(status is kind for status in self.promises.values())} {kind}"
            for kind in (Status.PASSED, Status.FAILED, Status.NOT_DECLARED, Status.NOT_RUN)
            if kind is Status.PASSED or kind in self.promises.values()
        )
        if self.level is not None:
            return f"{self.name}: CERTIFIED at level {self.level} ({numbers})"
        return f"{self.name}: NOT CERTIFIED ({numbers}): {'; '.join(self.reasons)}"


def judge(evidence: Evidence) -> Verdict:
    """Judge one class by everything that is known of it."""
    checks = {name: _outcome(evidence, name) for name in evidence.suite}
    lowest = {
        name: outcome
        for name, outcome in checks.items()
        if evidence.suite[name].level is LEVELS[0] or outcome.status is Status.FAILED
    }
    reasons = [
        *_general_reasons(evidence),
        *_listed("failed", lowest, evidence.suite, Status.FAILED),
        *_listed("not run", lowest, evidence.suite, Status.NOT_RUN),
        *_unjudged(evidence.suite),
    ]
    level = None if reasons else _reached(evidence.suite, checks)
    promises = {id_: _promise(id_, evidence.suite, checks, level or LEVELS[0]) for id_ in PROMISES}
    return Verdict(
        name=evidence.name, level=level, checks=checks, promises=promises, reasons=reasons
    )


def _outcome(evidence: Evidence, name: str) -> Outcome:
    if name in evidence.altered:
        return Outcome(status=Status.FAILED, reason=_ALTERED)
    outcome = evidence.outcomes.get(name)
    if outcome is None:
        return Outcome(status=Status.NOT_RUN, reason="deselected or never reached")
    if outcome.status is Status.NOT_DECLARED:
        capability = evidence.suite[name].requires
        if capability is None or any(one[capability] for one in evidence.capabilities):
            reason = f"left out although {capability or 'nothing'} is declared"
            return Outcome(status=Status.NOT_RUN, reason=reason)
    return outcome


def _general_reasons(evidence: Evidence) -> list[str]:
    reasons: list[str] = []
    if not evidence.capabilities:
        reasons.append("no handle was opened, so nothing is known of the storage")
    if len(evidence.capabilities) > 1:
        reasons.append("its handles declare different capabilities")
    if evidence.altered:
        reasons.append(f"{_ALTERED}: {_some(sorted(evidence.altered))}")
    return reasons


def _listed(
    what: str, checks: Mapping[str, Outcome], suite: Mapping[str, Check], status: Status
) -> list[str]:
    """Return one reason for each cause, with the promises concerned."""
    causes: dict[str, dict[str, None]] = {}
    for name, outcome in checks.items():
        if outcome.status is status and outcome.reason != _ALTERED:
            causes.setdefault(outcome.reason, {})[suite[name].promise] = None
    return [
        f"{what}: {_some(list(ids))}" + (f" ({cause})" if cause else "")
        for cause, ids in causes.items()
    ]


def _unjudged(suite: Mapping[str, Check]) -> list[str]:
    judged = {(check.promise, check.level) for check in suite.values()}
    missing = [
        promise.id
        for promise in PROMISES.values()
        if promise.level is LEVELS[0] and (promise.id, promise.level) not in judged
    ]
    return [f"the suite has no check: {_some(missing)}"] if missing else []


def _some(words: list[str]) -> str:
    more = f" and {len(words) - _NAMED} more" if len(words) > _NAMED else ""
    return ", ".join(words[:_NAMED]) + more


def _reached(suite: Mapping[str, Check], checks: Mapping[str, Outcome]) -> Level | None:
    reached: Level | None = None
    for level in LEVELS:
        here = [outcome for name, outcome in checks.items() if suite[name].level is level]
        good = all(one.status in {Status.PASSED, Status.NOT_DECLARED} for one in here)
        if level not in JUDGED or not good or not here:
            break
        reached = level
    return reached


def _promise(
    promise_id: str, suite: Mapping[str, Check], checks: Mapping[str, Outcome], level: Level
) -> Status:
    """Return what became of a promise by the checks of the levels up to this one.

    A check of a higher level that was run and failed counts too; one that was not run leaves the
    promise as the lower levels found it. A promise that only a higher level judges is what that
    level's checks say.
    """
    mine = {name: check for name, check in suite.items() if check.promise == promise_id}
    statuses = [
        checks[name].status
        for name, check in mine.items()
        if check.level.rank <= level.rank or checks[name].status is Status.FAILED
    ]
    return _worst(statuses or [checks[name].status for name in mine])


def _worst(statuses: Iterable[Status]) -> Status:
    found = sorted(statuses, key=_WORST.index)
    if not found:
        return Status.NOT_RUN
    return found[-1]
