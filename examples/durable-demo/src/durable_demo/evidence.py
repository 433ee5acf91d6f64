"""What happened to the workers and the steps, gathered for the report."""

from collections.abc import Mapping
from dataclasses import dataclass

from .diary import Run


@dataclass(frozen=True, kw_only=True)
class Check:
    """One promise and whether this run kept it.

    Attributes:
        claim: What is promised.
        kept: Whether it held.
        seen: What was counted.
    """

    claim: str
    kept: bool
    seen: str


@dataclass(frozen=True, kw_only=True)
class Taken:
    """An execution that the killed worker held, and that another one finished.

    Attributes:
        task: Name of its task.
        subject: The file, empty for the folder's own executions.
        was: What the kill found it doing, in words.
        status: How it ended.
    """

    task: str
    subject: str
    was: str
    status: str


@dataclass(frozen=True, kw_only=True)
class Again:
    """A step that was cut off and ran again.

    Attributes:
        cut: The run that the kill ended.
        again: The runs after it, all by the second worker.
        status: How the execution ended.
    """

    cut: Run
    again: tuple[Run, ...]
    status: str


@dataclass(frozen=True, kw_only=True)
class Kill:
    """When the first worker died.

    Attributes:
        pid: Its process.
        at: Monotonic nanoseconds.
        recorded: How many results it had left in the storage.
        lease: Seconds after which a silent worker counts as dead.
    """

    pid: int
    at: int
    recorded: int
    lease: float


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the storage, the steps' diary and the operating system say about one run.

    Attributes:
        checks: The promises, one by one.
        statuses: Status -> number of executions, counted by the storage.
        runs: Every run of every step, in order of starting.
        kill: None if nothing was killed.
        taken: What the killed worker held.
        again: Steps that were cut off and ran again.
        began: Monotonic nanoseconds.
        ended: Monotonic nanoseconds.
        storage: Where everything is kept.
        seed: What the trouble was drawn from.
        command: How to run it again.
    """

    checks: tuple[Check, ...]
    statuses: Mapping[str, int]
    runs: tuple[Run, ...]
    kill: Kill | None
    taken: tuple[Taken, ...]
    again: tuple[Again, ...]
    began: int
    ended: int
    storage: str
    seed: int
    command: str

    @property
    def kept(self) -> bool:
        """Whether every promise was kept."""
        return all(check.kept for check in self.checks)

    @property
    def executions(self) -> int:
        """How many executions there were."""
        return sum(self.statuses.values())
