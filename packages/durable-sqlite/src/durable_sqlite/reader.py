"""A thread that reads: it sees every commit, and stands in no writer's way."""

import sqlite3
import time
from functools import partial
from typing import Final

from .errors import translate
from .jobs import AnyJob, JobThread, hand_back
from .leases import open_leases
from .session import Session, Tally, open_reader
from .settings import Settings

_LONGEST_SILENCE: Final = 0.002
"""Seconds for which an answer may wait for the next one, to share the wake-up of its loop."""


class Reader(JobThread):
    """Carries out reads, and heartbeats: those write, but not to the database.

    Args:
        settings: How to open the database.
        place: The database, for messages.
        name: The thread's.
    """

    def __init__(self, settings: Settings, place: str, name: str) -> None:
        self.tally = Tally()
        self._settings = settings
        self._place = place
        self._session: Session | None = None
        super().__init__(name, f"the SQLiteStorage on {place} is closed")

    def _open(self) -> Session:
        if self._session is None:
            self._session = Session(
                open_reader(self._settings),
                self._settings.prefix,
                self.tally,
                partial(open_leases, self._settings, self.tally),
            )
        return self._session

    def serve(self) -> None:
        """Carry out what waits."""
        job = self.next(None)
        started = time.monotonic()
        answered: list[AnyJob] = []
        while job is not None:
            self._carry_out(job)
            answered.append(job)
            if time.monotonic() - started > _LONGEST_SILENCE:
                break
            job = self.next(0)
        hand_back(answered)

    def _carry_out(self, job: AnyJob) -> None:
        if job.abandoned:
            return
        try:
            job.answer = job.work(self._open())
        except Exception as error:  # noqa: BLE001 - handed to the caller
            told = translate(error, self._place)
            if told is not error:
                told.__cause__ = error
            job.error = told
            if isinstance(error, sqlite3.DatabaseError):
                self.release()

    def release(self) -> None:
        """Close the connections."""
        if self._session is not None:
            self._session.close()
            self._session = None
