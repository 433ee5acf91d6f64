"""The steps' own diary: an append-only file that outlives every process that writes to it.

The storage knows what was *recorded*. What was *begun* is known to the steps alone: each writes a
line when it starts and another one when it ends. Comparing the two shows what delivery at least
once means: a step that was cut off is begun again, yet its result is recorded once.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any


class Ending(StrEnum):
    """How one run of a step ended, as the step itself saw it."""

    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    """Cancelled from outside, by its time-out."""
    CUT_OFF = "cut off"
    """There is no second line: the process died first."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a step: an execution has several if it was retried or cut off.

    Attributes:
        number: Unique in the diary.
        execution: Id of the execution.
        step: Name of the task.
        subject: The file that it works on.
        attempt: As the engine counts.
        worker: Which worker ran it: 1 for the first.
        started: Monotonic nanoseconds: the machine's clock, the same for all its processes.
        takes: Seconds that the step means to take.
        ended: Monotonic nanoseconds; None if it was cut off.
        ending: How it ended.
        error: What it raised.
    """

    number: str
    execution: str
    step: str
    subject: str
    attempt: int
    worker: int
    started: int
    takes: float = 0.0
    ended: int | None = None
    ending: Ending = Ending.CUT_OFF
    error: str = ""

    def left(self, now: int) -> float:
        """Return how many seconds it still means to take, at a monotonic nanosecond."""
        return self.takes - (now - self.started) / 1e9


def append(path: Path, **line: object) -> None:
    """Append one line in one write, so that lines of several threads and processes never mix.

    The line break comes first: a line torn by a kill spoils nothing but itself.
    """
    data = b"\n" + json.dumps(line, separators=(",", ":")).encode()
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, data)
    finally:
        os.close(file)


def note_start(path: Path, run: Run) -> None:
    """Write that a step starts."""
    line = asdict(run)
    for late in ("ended", "ending", "error"):
        del line[late]
    append(path, **line)


def note_end(path: Path, *, number: str, at: int, ending: Ending, error: str = "") -> None:
    """Write that a step ended.

    Args:
        path: The diary.
        number: The run's number.
        at: Monotonic nanoseconds.
        ending: How.
        error: What it raised.
    """
    append(path, number=number, ended=at, ending=ending.value, error=error)


def read(path: Path) -> list[Run]:
    """Read the diary: one run per start, in order of starting."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    return parse(data.split(b"\n"))


def parse(lines: Iterable[bytes]) -> list[Run]:
    """Put the two lines of every run together.

    A torn line, the last words of a killed process, is left out.
    """
    runs: dict[str, Run] = {}
    for line in lines:
        try:
            note: dict[str, Any] = json.loads(line)
        except ValueError:
            continue
        number: str = note.pop("number")
        if "ended" in note:
            note["ending"] = Ending(note["ending"])
            runs[number] = replace(runs[number], **note)
        else:
            runs[number] = Run(number=number, **note)
    return list(runs.values())
