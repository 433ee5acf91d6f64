"""What the engine tells to those who log, measure and trace."""

import logging
from collections.abc import Callable, Sequence

from ..failure import ErrorInfo
from ..storage import Head, NewExecution, Phase

_LOG = logging.getLogger("durable.hooks")


class Hooks:
    """Override what you want to hear of; calls come from the event loop and must not block.

    Times are the storage's, in microseconds. An exception raised by a hook is logged and has no
    other effect.
    """

    def enqueued(self, execution: NewExecution) -> None:
        """A new execution was stored, children included (not: an existing one was found)."""

    def started(self, execution: Head) -> None:
        """An attempt begins, or a parent's next part."""

    def retried(self, execution: Head, error: ErrorInfo, due: int) -> None:
        """An attempt failed and was stored to run again at `due`."""

    def finished(self, execution: Head, phase: Phase, error: ErrorInfo | None) -> None:
        """An execution was ended by this executor, cancelled ones included, and that is stored."""

    def handed_back(self, execution: Head, reason: str) -> None:
        """An execution was let go unfinished: shutdown, unknown task, or not fitting code."""

    def lost(self, execution: Head) -> None:
        """An execution belongs to somebody else now; its result, if any, was dropped."""

    def lease_lost(self, executor: str) -> None:
        """This executor was declared dead; it goes on under a new identity."""

    def reaped(self, leases: int, rows: int) -> None:
        """This executor freed what dead executors had held."""


class HookRelay(Hooks):
    """Passes every call on to several hooks, each protected from the others' exceptions."""

    def __init__(self, hooks: Sequence[Hooks]) -> None:
        self._hooks = tuple(hooks)

    def __bool__(self) -> bool:
        """Whether anybody listens."""
        return bool(self._hooks)

    def enqueued(self, execution: NewExecution) -> None:
        """See `Hooks`."""
        self._each(lambda hooks: hooks.enqueued(execution))

    def started(self, execution: Head) -> None:
        """See `Hooks`."""
        self._each(lambda hooks: hooks.started(execution))

    def retried(self, execution: Head, error: ErrorInfo, due: int) -> None:
        """See `Hooks`."""
        self._each(lambda hooks: hooks.retried(execution, error, due))

    def finished(self, execution: Head, phase: Phase, error: ErrorInfo | None) -> None:
        """See `Hooks`."""
        self._each(lambda hooks: hooks.finished(execution, phase, error))

    def handed_back(self, execution: Head, reason: str) -> None:
        """See `Hooks`."""
        self._each(lambda hooks: hooks.handed_back(execution, reason))

    def lost(self, execution: Head) -> None:
        """See `Hooks`."""
        self._each(lambda hooks: hooks.lost(execution))

    def lease_lost(self, executor: str) -> None:
        """See `Hooks`."""
        self._each(lambda hooks: hooks.lease_lost(executor))

    def reaped(self, leases: int, rows: int) -> None:
        """See `Hooks`."""
        self._each(lambda hooks: hooks.reaped(leases, rows))

    def _each(self, call: Callable[[Hooks], None]) -> None:
        for hooks in self._hooks:
            try:
                call(hooks)
            except Exception:  # noqa: BLE001 - a hook must not disturb the engine
                _LOG.exception("a hook of %s failed", type(hooks).__name__)
