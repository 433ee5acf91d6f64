"""Heartbeats of a thread, with connections of their own."""

import sqlite3
import threading
from collections.abc import Callable
from functools import partial

from durable_core.storage import Beat, ClosedError, Lease, TemporaryError
from durable_core.storage.kit import check_executor

from .errors import translate
from .jobs import Job
from .leases import beat, open_leases
from .session import Session, Tally, open_reader
from .settings import Settings
from .writer import Writer


class FilePulse:
    """See `PulseConnection`: writes to the file of the leases, which no transaction locks for long.

    Args:
        settings: How to open the database.
        place: The database, for messages.
    """

    def __init__(self, settings: Settings, place: str) -> None:
        self._settings = settings
        self._place = place
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._closed = False

    def beat(self, *, executor: str, ttl: int, now: int) -> Beat:
        """See `PulseConnection.beat`."""
        check_executor(executor)
        if self._closed:
            msg = f"this heartbeat's connection to {self._place} is closed"
            raise ClosedError(msg)
        lease = Lease(executor=executor, started_at=now, expires_at=now + ttl, info=b"")
        with self._lock:
            return self._beat(lease, ttl)

    def _beat(self, lease: Lease, ttl: int) -> Beat:
        try:
            session = self._open(ttl)
            return beat(
                session, lease, register=False, signs_off=ttl <= 0, clock=self._settings.clock()
            )
        except Exception as error:
            if isinstance(error, sqlite3.DatabaseError):
                self._drop()
            raise translate(error, self._place, write=True) from error

    def _open(self, ttl: int) -> Session:
        if self._session is None:
            tally = Tally()
            self._session = Session(
                open_reader(self._settings),
                self._settings.prefix,
                tally,
                partial(open_leases, self._settings, tally),
            )
        # A third of the time to live, in milliseconds, shared by the two connections.
        patience = max(ttl // 6_000, 1)
        self._session.control(f"PRAGMA busy_timeout = {patience}")
        self._session.leases.control(f"PRAGMA busy_timeout = {patience}")
        return self._session

    def _drop(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def close(self) -> None:
        """Release the connections. Idempotent."""
        with self._lock:
            self._closed = True
            self._drop()


class MemoryPulse:
    """See `PulseConnection`: asks the thread that owns the data.

    Args:
        writer: That thread.
        beat: Makes what it carries out.
    """

    def __init__(self, writer: Writer, beat: Callable[[str, int, int], Job[Session, Beat]]) -> None:
        self._writer = writer
        self._beat = beat

    def beat(self, *, executor: str, ttl: int, now: int) -> Beat:
        """See `PulseConnection.beat`."""
        job = self._beat(executor, ttl, now)
        done = job.for_thread()
        self._writer.put(job)
        if not done.wait(max(ttl, 0) / 3_000_000 or None):
            msg = "the heartbeat was not carried out within a third of its time to live"
            raise TemporaryError(msg)
        if job.error is not None:
            raise job.error
        assert job.answer is not None  # noqa: S101 - told without an error
        return job.answer

    def close(self) -> None:
        """Nothing to release."""
