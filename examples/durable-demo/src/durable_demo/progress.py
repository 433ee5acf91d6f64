"""How far a run is: pure functions from the storage's rows to what a screen shows."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from durable_core.storage import Head, Phase

from .ledger import Ledger
from .verify import PAGE_STEPS, expected_executions

_NOTHING: Mapping[str, str] = {}


class Mood(IntEnum):
    """What to tell of a file; the larger one wins."""

    WAITING = 0
    RUNNING = 1
    DONE = 2
    RECOVERED = 3
    """Done, and a worker died on the way."""
    TROUBLE = 4
    """A step failed for good."""
    CUT_OFF = 5
    """The dead worker held a step that nobody has taken up yet."""


@dataclass(frozen=True)
class Cell:
    """One file: how many of its steps have ended, and its mood."""

    done: int
    mood: Mood


@dataclass(frozen=True, kw_only=True)
class Board:
    """A run at one moment.

    Attributes:
        total: How many executions there will be.
        ended: How many have ended.
        running: How many steps are held by a worker that lives.
        cut_off: How many steps the dead worker still holds.
        retrying: How many wait for their next attempt.
        asleep: How many wait for a wake-up.
        timed_out: How many ended so.
        cells: One per file.
    """

    total: int
    ended: int = 0
    running: int = 0
    cut_off: int = 0
    retrying: int = 0
    asleep: int = 0
    timed_out: int = 0
    cells: tuple[Cell, ...] = ()

    @property
    def share(self) -> float:
        """The part that has ended, from 0 to 1."""
        return self.ended / self.total

    @property
    def steps_share(self) -> float:
        """The part of the files' steps that has ended, from 0 to 1."""
        return sum(cell.done for cell in self.cells) / (len(self.cells) * len(PAGE_STEPS))

    @property
    def only_approval_left(self) -> bool:
        """Whether every file is studied and nothing but the approval is awaited."""
        return self.asleep > 0 and self.ended == self.total - 3


def look(ledger: Ledger, lost: Mapping[str, str] = _NOTHING) -> Board:
    """Sum up a run.

    Args:
        ledger: What the storage holds now.
        lost: Id -> the dead worker, for what it held when it died.
    """
    pages: dict[int, list[Head]] = defaultdict(list)
    counts: Counter[str] = Counter()
    for row in ledger.rows.values():
        counts["ended"] += row.finished
        counts["timed_out"] += row.phase is Phase.TIMED_OUT
        counts["asleep"] += row.phase is Phase.SLEEPING
        if row.task in PAGE_STEPS and row.parent_id:
            pages[ledger.rows[row.parent_id].child_index].append(row)
            mood = _mood(row, lost)
            counts["running"] += mood is Mood.RUNNING
            counts["cut_off"] += mood is Mood.CUT_OFF
            counts["retrying"] += mood is Mood.WAITING and row.attempt > 0
    names = len(ledger.names)
    return Board(
        total=expected_executions(names),
        ended=counts["ended"],
        running=counts["running"],
        cut_off=counts["cut_off"],
        retrying=counts["retrying"],
        asleep=counts["asleep"],
        timed_out=counts["timed_out"],
        cells=tuple(_cell(pages[index], lost) for index in range(names)),
    )


def _cell(rows: list[Head], lost: Mapping[str, str]) -> Cell:
    done = sum(row.finished for row in rows)
    moods = [_mood(row, lost) for row in rows]
    mood = max(moods, default=Mood.WAITING)
    if done < len(PAGE_STEPS) and mood in {Mood.DONE, Mood.RECOVERED}:
        mood = Mood.RUNNING if Mood.RUNNING in moods else Mood.WAITING
    return Cell(done, mood)


def _mood(row: Head, lost: Mapping[str, str]) -> Mood:
    if row.finished:
        if row.phase is not Phase.COMPLETED:
            return Mood.TROUBLE
        return Mood.RECOVERED if row.id in lost else Mood.DONE
    if row.owner is None:
        return Mood.WAITING
    return Mood.CUT_OFF if row.owner == lost.get(row.id) else Mood.RUNNING
