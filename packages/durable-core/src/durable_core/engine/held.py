"""An execution that this executor holds, and how it is interrupted."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from enum import IntEnum
from typing import Protocol

from ..storage import Applied, Record, Token, Transition
from ..tasks.signal import Signal


class Reason(IntEnum):
    """Why running code is interrupted; a larger one overrides a smaller one."""

    TIMEOUT = 1
    SHUTDOWN = 2
    CANCEL = 3
    LEASE_LOST = 4


class LostError(Exception):
    """The row belongs to somebody else: the write was given up."""


class WrittenError(Exception):
    """The activation is over, and what ends it is written already."""

    def __init__(self, transition: Transition, answer: Applied) -> None:
        super().__init__()
        self.transition = transition
        self.answer = answer


class Carrier(Protocol):
    """What has sent the transition that lets a row go."""

    def sent(self, held: "Held", transition: Transition, answer: Applied | Exception, /) -> None:
        """Go on with what was answered."""
        ...


class Held:
    """One row under one token, from its claim to the answer that lets it go.

    Attributes:
        record: The row as it was claimed; kept up to date by the engine's own writes.
        token: The fencing token of every write.
        reason: Why it is interrupted, if it is.
        leftover: A thread's or process's work that could not be interrupted.
        once_let_go: Called when the row is let go unfinished, and that is stored.
        listener: Called when it is interrupted, instead of cancelling the task that carries it.
        task: What carries it; None once its last transition is on its way.
        carrier: Told of what became of the transition that lets the row go.
        in_user_code: Whether the user's code runs now: an interruption cancels the task then.
    """

    __slots__ = (
        "_cancelled",
        "carrier",
        "in_user_code",
        "leftover",
        "listener",
        "once_let_go",
        "reason",
        "record",
        "task",
        "token",
    )

    def __init__(self, record: Record) -> None:
        self.record = record
        self.token: Token = record.token
        self.reason: Reason | None = None
        self.leftover: Future[object] | None = None
        self.once_let_go: Callable[[], None] | None = None
        self.listener: Callable[[], None] | None = None
        self.task: asyncio.Task[None] | None = None
        self.carrier: Carrier | None = None
        self.in_user_code = False
        self._cancelled: Signal | None = None

    @property
    def cancelled(self) -> Signal:
        """Tells running code to stop; made when it is first asked for."""
        if self._cancelled is None:
            self._cancelled = Signal()
            if self.reason is not None:
                self._cancelled.set()
        return self._cancelled

    def leave_user_code(self) -> None:
        """From now on an interruption is only noted: the engine's own writes go on.

        Cancellations that the user's code swallowed are taken back.
        """
        self.in_user_code = False
        task = self.task
        if self.reason is not None and task is not None:
            while task.cancelling():
                task.uncancel()

    def timeout_over(self) -> None:
        """The attempt that took too long has ended: what follows is not interrupted by it."""
        if self.reason is Reason.TIMEOUT:
            self.reason = None
            self._cancelled = None

    def interrupt(self, reason: Reason) -> None:
        """Stop the running code: a coroutine is cancelled, a thread is told.

        Once per reason, so that a repeated order does not disturb code that is cleaning up.
        """
        if self.reason is not None and reason <= self.reason:
            return
        self.reason = reason
        if self._cancelled is not None:
            self._cancelled.set()
        if self.listener is not None:
            self.listener()
        elif self.in_user_code and self.task is not None:
            self.task.cancel()

    def answered(self, item: Transition, outcome: Applied | Exception) -> None:
        """Hand what became of the last transition to whoever has sent it."""
        if self.carrier is not None:
            self.carrier.sent(self, item, outcome)

    def abandoned(self, error: Exception) -> Exception | None:
        """Tell the writer to give a write up once the lease is lost."""
        return LostError() if self.reason is Reason.LEASE_LOST else None
