"""What happens, as structured log records."""

import logging
from typing import Any

from ..failure import ErrorInfo
from ..storage import Head, NewExecution, Phase
from .hooks import Hooks


class LoggingHooks(Hooks):
    """Logs every event once, with the ids as attributes of the record.

    A record carries ``event``, ``execution_id``, ``task``, ``attempt``, ``root_id``, ``parent_id``
    and ``executor`` where they apply, so that any formatter can show them.

    Args:
        logger: Where to; ``durable.events`` by default.
        level: Of what goes well; retries and losses are warnings, failures errors.
    """

    def __init__(self, logger: logging.Logger | None = None, *, level: int = logging.INFO) -> None:
        self._logger = logger or logging.getLogger("durable.events")
        self._level = level

    def enqueued(self, execution: NewExecution) -> None:
        """See `Hooks`."""
        extra = {"event": "enqueued", "execution_id": execution.id, "task": execution.task}
        self._logger.log(self._level, "%s %s enqueued", execution.task, execution.id, extra=extra)

    def started(self, execution: Head) -> None:
        """See `Hooks`."""
        self._log(self._level, "started", execution, "")

    def retried(self, execution: Head, error: ErrorInfo, due: int) -> None:
        """See `Hooks`."""
        self._log(logging.WARNING, "retried", execution, f": {error}", due=due)

    def finished(self, execution: Head, phase: Phase, error: ErrorInfo | None) -> None:
        """See `Hooks`."""
        well = phase in (Phase.COMPLETED, Phase.CANCELLED)
        why = "" if error is None else f": {error}"
        self._log(self._level if well else logging.ERROR, phase.value, execution, why)

    def handed_back(self, execution: Head, reason: str) -> None:
        """See `Hooks`."""
        self._log(self._level, "handed back", execution, f": {reason}")

    def lost(self, execution: Head) -> None:
        """See `Hooks`."""
        self._log(logging.WARNING, "lost", execution, ": it belongs to another executor")

    def lease_lost(self, executor: str) -> None:
        """See `Hooks`."""
        extra = {"event": "lease lost", "executor": executor}
        self._logger.error("%s was declared dead", executor, extra=extra)

    def reaped(self, leases: int, rows: int) -> None:
        """See `Hooks`."""
        extra = {"event": "reaped", "leases": leases, "rows": rows}
        self._logger.warning(
            "freed %d executions, %d leases had run out", rows, leases, extra=extra
        )

    def _log(self, level: int, event: str, execution: Head, why: str, **more: Any) -> None:
        if not self._logger.isEnabledFor(level):
            return
        extra = {
            "event": event,
            "execution_id": execution.id,
            "task": execution.task,
            "attempt": execution.attempt + execution.crashes + 1,
            "root_id": execution.root_id,
            "parent_id": execution.parent_id,
            "executor": execution.owner,
            **more,
        }
        message = "%s %s %s%s"
        self._logger.log(level, message, execution.task, execution.id, event, why, extra=extra)
