"""What is measured, and how much of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Scale(StrEnum):
    """How much of everything."""

    QUICK = "quick"
    """Seconds; proves that everything runs, the figures mean little."""
    NORMAL = "normal"
    FULL = "full"
    """As NORMAL, with millions of rows there already and a longer look at idleness."""


class Kind(StrEnum):
    """Which code measures a case."""

    STREAM = "stream"
    """Calls from many callers at once."""
    FAN_OUT = "fan_out"
    CHAIN = "chain"
    FUNCTION = "function"
    """A chain written as a durable function."""
    MIX = "mix"
    IDLE = "idle"
    HANDLES = "handles"
    BACKLOG = "backlog"
    """Rows that are ready before anybody runs them."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One figure of the table.

    Attributes:
        workload: W1 to W9.
        variant: Tells the cases of one workload apart; empty if it has one.
        title: For people.
        kind: Which code measures it.
        count: How many calls, fan-outs, chains, iterations or handles a run does; functions that
            sleep while idleness is looked at; rows of a backlog.
        width: How many callers at once, children per fan-out or steps per chain.
        concurrency: How many executions the executor runs at once.
        seconds: How long idleness is looked at.
        finished: Rows that have ended before the run begins.
        scheduled: Rows that are due next week.
        apart: The worker is a process of its own.
        sketched: The sketch runs beside it.
        repeats: Runs of each side, unless somebody wants another number.
    """

    workload: str
    variant: str = ""
    title: str
    kind: Kind
    count: int = 1
    width: int = 1
    concurrency: int = 1_000
    seconds: float = 0.0
    finished: int = 0
    scheduled: int = 0
    apart: bool = False
    sketched: bool = True
    repeats: int = 3

    @property
    def key(self) -> str:
        """The case's name: the workload, and the variant if there are several."""
        return f"{self.workload}/{self.variant}" if self.variant else self.workload

    @property
    def filled(self) -> bool:
        """Whether rows must be there before the run begins."""
        return bool(self.finished or self.scheduled)


@dataclass(frozen=True, kw_only=True)
class _Amounts:
    calls: int
    latencies: int
    fan_outs: Mapping[int, int]
    chains: int
    idle_seconds: float
    mixes: int
    there: int
    handles: int


_AMOUNTS: Final[Mapping[Scale, _Amounts]] = {
    Scale.QUICK: _Amounts(
        calls=2_000,
        latencies=50,
        fan_outs={100: 2, 1_000: 1},
        chains=5,
        idle_seconds=2,
        mixes=1,
        there=2_000,
        handles=5_000,
    ),
    Scale.NORMAL: _Amounts(
        calls=20_000,
        latencies=500,
        fan_outs={100: 20, 1_000: 5, 10_000: 2},
        chains=50,
        idle_seconds=20,
        mixes=1,
        there=100_000,
        handles=100_000,
    ),
    Scale.FULL: _Amounts(
        calls=20_000,
        latencies=500,
        fan_outs={100: 20, 1_000: 5, 10_000: 2},
        chains=50,
        idle_seconds=60,
        mixes=2,
        there=1_000_000,
        handles=100_000,
    ),
}

STEPS: Final = 20
"""Steps of the chain of W4."""

ASLEEP: Final = 1_000
"""Durable functions that sleep in W5."""

IN_FLIGHT: Final = 1_000
"""Callers at once of W1, W7 and W8."""


def cases(scale: Scale) -> Sequence[Case]:
    """Return all cases, in the order in which they are run.

    Args:
        scale: How much of everything.
    """
    amounts = _AMOUNTS[scale]
    calls, there = amounts.calls, amounts.there
    fan_outs = [
        Case(
            workload="W3",
            variant=str(width),
            title=f"fan-out of {width:,} and join, per child",
            kind=Kind.FAN_OUT,
            count=count,
            width=width,
        )
        for width, count in amounts.fan_outs.items()
    ]
    return [
        Case(
            workload="W1",
            title=f"enqueue → result, {calls:,} no-ops, {IN_FLIGHT:,} in flight",
            kind=Kind.STREAM,
            count=calls,
            width=IN_FLIGHT,
            repeats=5,
        ),
        Case(
            workload="W2",
            title="enqueue → result, idle, one at a time",
            kind=Kind.STREAM,
            count=amounts.latencies,
            repeats=5,
        ),
        *fan_outs,
        Case(
            workload="W4",
            title=f"chain of {STEPS}, per step",
            kind=Kind.CHAIN,
            count=amounts.chains,
            width=STEPS,
        ),
        Case(
            workload="W4",
            variant="function",
            title=f"durable function of {STEPS} steps, per step",
            kind=Kind.FUNCTION,
            count=amounts.chains,
            width=STEPS,
            sketched=False,
        ),
        Case(
            workload="W5",
            title="idle executor, per minute",
            kind=Kind.IDLE,
            seconds=amounts.idle_seconds,
            concurrency=100,
            sketched=False,
            repeats=1,
        ),
        Case(
            workload="W5",
            variant="asleep",
            title=f"idle executor beside {ASLEEP:,} durable functions that sleep, per minute",
            kind=Kind.IDLE,
            count=ASLEEP,
            seconds=amounts.idle_seconds,
            concurrency=100,
            sketched=False,
            repeats=1,
        ),
        Case(
            workload="W6",
            title="100 parents of 50, 100 chains of 4, 100 loops at once",
            kind=Kind.MIX,
            count=amounts.mixes,
            concurrency=100,
        ),
        Case(
            workload="W7",
            title=f"W1 beside {there:,} finished and {there:,} scheduled rows",
            kind=Kind.STREAM,
            count=calls,
            width=IN_FLIGHT,
            finished=there,
            scheduled=there,
            repeats=5,
        ),
        Case(
            workload="W7",
            variant="backlog",
            title=f"{there:,} rows that are ready, run by one executor",
            kind=Kind.BACKLOG,
            count=there,
            sketched=False,
            repeats=1,
        ),
        Case(
            workload="W8",
            title=f"W1 with enqueuer and worker in two processes, {calls:,} no-ops",
            kind=Kind.STREAM,
            count=calls,
            width=IN_FLIGHT,
            apart=True,
        ),
        Case(
            workload="W8",
            variant="idle",
            title="W2 with enqueuer and worker in two processes",
            kind=Kind.STREAM,
            count=amounts.latencies,
            apart=True,
        ),
        Case(
            workload="W9",
            title=f"{amounts.handles:,} awaited handles, added memory",
            kind=Kind.HANDLES,
            count=amounts.handles,
            concurrency=100,
            sketched=False,
            repeats=1,
        ),
    ]
