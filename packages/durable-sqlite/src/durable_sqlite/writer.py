"""The thread that writes: what waits when it becomes free goes into one transaction."""

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from .errors import translate
from .jobs import AnyJob, JobThread, hand_back
from .leases import open_leases
from .session import Tally, begin, open_writer
from .settings import Settings
from .statements import HINT
from .writing import Writing

_MOST_ROWS: Final = 1_000
_LONGEST_BATCH: Final = 0.05
"""Seconds after which a batch takes no further call."""

_IDLE: Final = 0.2
"""Seconds without a call after which the write-ahead log is copied into the database."""

_LOG_WORTH: Final = 2_000
"""Changed rows that make it worth while."""

_LOG_TOO_LONG: Final = 64 * 1024 * 1024
"""Bytes of log above which its file is cut to nothing."""

FINISHED: Final = ""
"""The name of the hint that something finished; no queue has an empty name."""


class Committed(NamedTuple):
    """What a commit may have changed for others.

    Attributes:
        queues: Queues in which something may have become claimable.
        finished: Whether something finished.
        counters: The counters of the hints after it.
    """

    queues: Sequence[str]
    finished: bool
    counters: Mapping[str, int]


class Writer(JobThread):
    """Carries out all writes of one storage.

    Args:
        settings: How to open the database.
        place: The database, for messages.
        tell: Called after a commit that may concern listeners.
    """

    def __init__(self, settings: Settings, place: str, tell: Callable[[Committed], None]) -> None:
        self.tally = Tally()
        self._settings = settings
        self._place = place
        self._tell = tell
        self._writing: Writing | None = None
        self._since_checkpoint = 0
        super().__init__("durable-sqlite-writer", f"the SQLiteStorage on {place} is closed")

    def session(self, *, create: bool = False) -> Writing:
        """Return the connection, opened on first use; for the thread itself."""
        if self._writing is None:
            settings = self._settings
            self._writing = Writing(
                open_writer(settings, create=create),
                settings.prefix,
                self.tally,
                None if settings.path is None else partial(open_leases, settings, self.tally),
            )
        return self._writing

    def serve(self) -> None:
        """Take all that waits, within bounds, and carry it out."""
        idle = self._since_checkpoint >= _LOG_WORTH
        job = self.next(_IDLE if idle else None)
        if job is None:
            if idle and not self.stopping:
                self._checkpoint()
            return
        batch: list[AnyJob] = []
        weight = 0
        while job is not None and not job.alone:
            batch.append(job)
            weight += job.weight
            job = self.next(0) if weight < _MOST_ROWS else None
        while batch:
            batch = self._carry_out(batch)
        if job is not None:
            self._carry_out_alone(job)

    def _carry_out_alone(self, job: AnyJob) -> None:
        try:
            job.answer = job.work(self)
        except Exception as error:  # noqa: BLE001 - handed to the caller
            self._fail([job], error)
        hand_back([job])

    def _carry_out(self, batch: list[AnyJob]) -> list[AnyJob]:
        """Carry out calls in one transaction; return those that found no time."""
        batch = [job for job in batch if not job.abandoned]
        if not batch:
            return []
        done = 0
        committed: Committed | None = None
        try:
            writing = self._begin()
            done = self._work(writing, batch)
            committed = self._commit(writing)
        except _CommitError as error:
            self._fail(batch, error)
        except Exception as error:  # noqa: BLE001 - handed to the callers
            if len(batch) > 1 and self._in_transaction:
                self._roll_back()
                return self._carry_out_apart(batch)
            self._fail(batch, error)
        if committed is None:
            self._roll_back()
            hand_back(batch)
            return []
        hand_back(batch[:done])
        self._tell(committed)
        return batch[done:]

    def _begin(self) -> Writing:
        writing = self.session()
        begin(writing, self._settings.busy_timeout)
        writing.changes = writing.connection.total_changes
        return writing

    def _work(self, writing: Writing, batch: list[AnyJob]) -> int:
        """Carry out calls, in turn, while there is time; return how many."""
        stop = time.monotonic() + _LONGEST_BATCH
        for number, job in enumerate(batch, 1):
            job.answer = job.work(writing)
            if time.monotonic() > stop:
                return number
        return len(batch)

    def _carry_out_apart(self, batch: list[AnyJob]) -> list[AnyJob]:
        """One call of a batch failed: carry out each so that it can be undone alone."""
        try:
            writing = self._begin()
            for job in batch:
                self._work_apart(writing, job)
            committed = self._commit(writing)
        except Exception as error:  # noqa: BLE001 - handed to the callers
            self._fail([job for job in batch if job.error is None], error)
            self._roll_back()
            hand_back(batch)
            return []
        hand_back(batch)
        self._tell(committed)
        return []

    def _work_apart(self, writing: Writing, job: AnyJob) -> None:
        writing.control("SAVEPOINT apart")
        try:
            job.answer = job.work(writing)
        except Exception as error:
            if not writing.connection.in_transaction:
                # SQLite has undone the neighbours too.
                raise
            writing.control("ROLLBACK TO apart")
            writing.distrust()
            self._fail([job], error)
        writing.control("RELEASE apart")

    def _commit(self, writing: Writing) -> Committed:
        names = sorted(writing.ready)
        if writing.finished:
            names.append(FINISHED)
        counters: dict[str, int] = {}
        if self._settings.path is not None:
            for name in names:
                row = writing.row(HINT, (name,))
                counters[name] = 0 if row is None else row[0]
        committed = Committed(sorted(writing.ready), writing.finished, counters)
        changes = writing.connection.total_changes
        try:
            writing.control("COMMIT")
        except sqlite3.Error as error:
            raise _CommitError from error
        writing.forget()
        if changes != writing.changes:
            self.tally.commits += 1
            self._since_checkpoint += changes - writing.changes
        return committed

    def _fail(self, jobs: list[AnyJob], error: Exception) -> None:
        cause = error
        sent = False
        if isinstance(error, _CommitError) and isinstance(error.__cause__, Exception):
            cause, sent = error.__cause__, True
        for job in jobs:
            told = translate(cause, self._place, write=True, sent=sent)
            if told is not cause:
                told.__cause__ = cause
            job.error = told

    @property
    def _in_transaction(self) -> bool:
        return self._writing is not None and self._writing.connection.in_transaction

    def _roll_back(self) -> None:
        writing = self._writing
        if writing is None:
            return
        writing.forget()
        writing.distrust()
        try:
            if writing.connection.in_transaction:
                writing.control("ROLLBACK")
        except sqlite3.Error:
            # A connection that cannot roll back is of no use; the next call opens another.
            self.release()

    def _checkpoint(self) -> None:
        self._since_checkpoint = 0
        log = Path(f"{self._settings.path}-wal")
        # It is housekeeping: the next write meets the same trouble, and has a caller to tell.
        with suppress(sqlite3.Error, OSError):
            self.session().control("PRAGMA wal_checkpoint(PASSIVE)")
            if log.stat().st_size > _LOG_TOO_LONG:
                self.session().control("PRAGMA wal_checkpoint(TRUNCATE)")

    def release(self) -> None:
        """Close the connections."""
        if self._writing is not None:
            self._writing.close()
            self._writing = None


class _CommitError(Exception):
    """The commit itself failed; the driver's error is the cause."""
