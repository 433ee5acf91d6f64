"""The folder that a run writes to: one run at a time, the last run's files removed."""

import fcntl
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import report
from .errors import DemoError

_LOCK = "run.lock"
_DIARY = "steps.jsonl"
_DATABASE = "durable-demo.db"


@dataclass(frozen=True)
class OutDir:
    """Where a run leaves what it writes."""

    folder: Path

    @property
    def diary(self) -> Path:
        """What the steps write."""
        return self.folder / _DIARY

    @property
    def database(self) -> Path:
        """The storage, unless the user names another one."""
        return self.folder / _DATABASE

    @property
    def own_log(self) -> Path:
        """What the demo's own process logs."""
        return self.folder / "demo.log"

    def log(self, worker: int) -> Path:
        """What a worker logs."""
        return self.folder / f"worker-{worker}.log"

    def leftovers(self) -> Iterator[Path]:
        """Yield every file that a run may leave, by name: nothing else is ever removed."""
        for name in (report.MARKDOWN, report.HTML, report.TIMELINE, report.WORDS, _DIARY):
            yield self.folder / name
        yield from self.folder.glob(f"{_DATABASE}*")  # and what SQLite keeps beside it
        yield from (self.own_log, self.log(1), self.log(2))


@contextmanager
def prepare(folder: Path) -> Generator[OutDir, None, None]:
    """Make the folder, keep other runs out of it, and remove what the last run left.

    Raises:
        DemoError: The folder cannot be made or written, or another run uses it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / _LOCK).open("w", encoding="utf-8")
    except OSError as error:
        raise DemoError(
            f"cannot write to {folder}: {error.strerror}", "name another folder: --out DIR"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DemoError(
                f"another run of the demo writes to {folder}",
                "wait until it has ended, or name another folder: --out DIR",
            ) from error
        out = OutDir(folder)
        for path in out.leftovers():
            path.unlink(missing_ok=True)
        yield out
