"""The scheduler: who moves next, which call lands, who dies; and the checks after every commit."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol

from storage.instant import run
from storage.invariants import broken, forgotten_cancels

from durable_core.storage import (
    FINISHED,
    Applied,
    ApplyOutcome,
    Phase,
    Record,
    Transition,
)
from durable_core.storage.kit import split_families

from .specs import START, Specs
from .steps import SECOND, BrokenError, Call, Die, Idle, LostError, Step, Steps, Work, need
from .weak import WeakMemory
from .weakness import Weakness


class Host(Protocol):
    """Whoever runs actors, and may die with all of them."""

    alive: bool


@dataclass(slots=True)
class _Process:
    """An actor, and what it waits for."""

    host: Host
    steps: Steps[None]
    answer: Any = None
    lost: bool = False
    waiting: bool = False
    until: int = 0


@dataclass(slots=True)
class _Flight:
    """A call under way: first it lands, later it is answered."""

    process: _Process
    call: Call
    landed: bool = False
    lost: bool = False
    answer: Any = None


@dataclass(slots=True)
class Rates:
    """How often things go wrong: parts of calls, or of steps of the scheduler."""

    lost_request: float = 0.03
    lost_answer: float = 0.06
    delivered_twice: float = 0.03
    everybody_pauses: float = 0.0012
    death: float = 0.0015


class World:
    """Everything that moves, and a storage in the middle.

    Args:
        seed: Makes all choices.
        weakness: What is done wrong; None for a sound world.
        clock_error: By so many microseconds at most the executors' clocks are wrong.
        rates: How often things go wrong.

    Attributes:
        now: The true time, µs.
        faults: Whether anything goes wrong at all; off while the world comes to rest.
        deaths: Executors that died so far.
        recorded: Steps whose result was recorded, as the policy's actors saw it.
    """

    def __init__(
        self,
        seed: int,
        weakness: Weakness | None = None,
        clock_error: int = SECOND,
        rates: Rates | None = None,
    ) -> None:
        self.random = Random(seed)
        self.weakness = weakness
        self.clock_error = clock_error
        self.rates = rates or Rates()
        self.storage = WeakMemory(weakness)
        self.specs = Specs(self.random)
        self.now = START
        self.faults = True
        self.deaths = 0
        self.recorded: set[tuple[str, int]] = set()
        self.hosts: list[Host] = []
        self._processes: list[_Process] = []
        self._flights: list[_Flight] = []
        self._ends: Counter[str] = Counter()
        self._seen: dict[str, Record] = {}

    @property
    def rows(self) -> dict[str, Record]:
        """All executions as they stand."""
        return self.storage.tables.rows

    @property
    def checkpoints(self) -> dict[str, set[str]]:
        """The names of all checkpoints."""
        return {id_: set(points) for id_, points in self.storage.tables.checkpoints.items()}

    def spawn(self, host: Host, steps: Steps[None]) -> None:
        """Add an actor."""
        self._processes.append(_Process(host, steps))

    def hosted(self, kind: type) -> bool:
        """Whether an actor of such a host is still at work."""
        return any(isinstance(process.host, kind) for process in self._processes)

    def kill(self, host: Host) -> None:
        """Let a host die with all its actors; some of its calls under way still land."""
        self.deaths += 1
        host.alive = False
        self.hosts.remove(host)
        self._processes = [one for one in self._processes if one.host is not host]
        self._flights = [
            flight
            for flight in self._flights
            if flight.process.host is not host or self.random.random() < 0.7
        ]

    def step(self) -> None:
        """Let time pass, and one actor or one call move."""
        random = self.random
        self.now += int(random.random() * 0.12 * SECOND)
        if self.faults and random.random() < self.rates.everybody_pauses:
            self.now += int(random.uniform(5, 40) * SECOND)
        if self.faults and self.hosts and random.random() < self.rates.death:
            self.die(random.choice(self.hosts))
        ready = [one for one in self._processes if not one.waiting and one.until <= self.now]
        moving = len(ready) + len(self._flights)
        if not moving:
            self.now += SECOND // 2
            return
        chosen = random.randrange(moving)
        if chosen < len(ready):
            self._advance(ready[chosen])
        else:
            self._move(self._flights[chosen - len(ready)])

    def die(self, host: Host) -> None:
        """Let a host die; whoever runs the world may put another one in its place."""
        self.kill(host)

    def _advance(self, process: _Process) -> None:
        try:
            step: Step = (
                process.steps.throw(LostError())
                if process.lost
                else process.steps.send(process.answer)
            )
        except StopIteration:
            self._processes.remove(process)
            return
        process.answer, process.lost = None, False
        match step:
            case Call():
                process.waiting = True
                self._flights.append(_Flight(process, step))
            case Idle():
                process.until = self.now + int(self.random.random() * 2 * SECOND)
            case Die():
                self.die(process.host)
            case Work():
                pass

    def _move(self, flight: _Flight) -> None:
        if not flight.landed:
            self._land(flight)
            return
        self._flights.remove(flight)
        if flight.process in self._processes:
            flight.process.waiting = False
            flight.process.answer, flight.process.lost = flight.answer, flight.lost

    def _happens(self, rate: float) -> bool:
        return self.faults and self.random.random() < rate

    def _land(self, flight: _Flight) -> None:
        flight.landed = True
        if self._happens(self.rates.lost_request):
            flight.lost = True
            return
        if flight.call.method == "apply" and self.random.random() < 0.5:
            self._land_together(flight)
            return
        flight.answer = self._carry_out(flight.call)
        if self._happens(self.rates.delivered_twice):
            again = self._carry_out(flight.call)
            if self.random.random() < 0.5:
                flight.answer = again
        flight.lost = self._happens(self.rates.lost_answer)

    def _land_together(self, first: _Flight) -> None:
        """Commit all transitions that one host has under way, as its writer would."""
        flights = [first] + [
            other
            for other in self._flights
            if not other.landed
            and other.call.method == "apply"
            and other.process.host is first.process.host
        ]
        items = [flight.call.arguments["items"][0] for flight in flights]
        now = first.call.arguments["now"]
        for flight, answer in zip(flights, self._apply(items, now), strict=True):
            flight.landed = True
            flight.answer = [answer]
            flight.lost = self._happens(self.rates.lost_answer)

    def _carry_out(self, call: Call) -> Any:
        if call.method == "apply":
            return self._apply(call.arguments["items"], call.arguments["now"])
        answer = run(getattr(self.storage, call.method)(**call.arguments))
        self._check()
        return answer

    def _apply(self, items: Sequence[Transition], now: int) -> list[Applied]:
        if self.weakness is Weakness.FAMILY_IN_ONE_STATEMENT:
            return self._commit(items, self.storage.apply_in_one_statement(items=items, now=now))
        answers: list[Applied] = []
        for piece in split_families(items):
            answers += self._commit(piece, self.storage.apply(items=piece, now=now))
        return answers

    def _commit(self, items: Sequence[Transition], commit: Any) -> list[Applied]:
        before = dict(self.rows)
        answers: list[Applied] = list(run(commit))
        for item, answer in zip(items, answers, strict=True):
            if answer.outcome is ApplyOutcome.APPLIED:
                row = before[item.id]
                current = None if row.owner is None else row.token
                need(item.token == current, "STALE WRITE:", item.id, item.token, "not", current)
        self._check()
        return answers

    def _check(self) -> None:
        tables = self.storage.tables
        for message in (*broken(tables), *forgotten_cancels(tables)):
            raise BrokenError(message)
        for row in tables.rows.values():
            old = self._seen.get(row.id)
            if old is row:
                continue
            self._seen[row.id] = row
            if old is not None and old.phase in FINISHED:
                need(_result(old) == _result(row), "FINISHED AGAIN:", _result(old), _result(row))
            elif row.phase in FINISHED:
                self._ends[row.id] += 1
            need(row.parent_id is None or row.parent_id in tables.rows, "ORPHAN:", row.id)
        for row in tables.rows.values():
            parent = None if row.parent_id is None else tables.rows[row.parent_id]
            told = row.phase in FINISHED or row.cancel_requested
            need(told or parent is None or not _is_over(parent), "NOT TOLD of its parent:", row.id)

    def check_ends(self) -> None:
        """Require that everything has ended exactly once."""
        for row in self.rows.values():
            need(self._ends[row.id] == 1, "ENDED", self._ends[row.id], "times:", row.id)

    def unrest(self) -> list[Record]:
        """Return the executions that still wait for something or somebody."""
        return [
            row
            for row in self.rows.values()
            if row.phase not in FINISHED or row.due is not None or row.owner is not None
        ]


def _is_over(row: Record) -> bool:
    """Whether a parent has ended so that its children should, and nobody will tell them."""
    ended = row.phase in FINISHED and row.phase is not Phase.COMPLETED
    return ended and row.owner is None and row.due is None


def _result(row: Record) -> tuple[object, ...]:
    return (row.id, row.phase, row.output, row.error, row.ended_by, row.finished_at)
