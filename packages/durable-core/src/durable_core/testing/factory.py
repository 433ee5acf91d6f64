"""Executors for tests: made with a fake clock, on a storage that everybody shares."""

from typing import Any

from ..executor import DurableExecutor
from ..storage import MemoryStorage, Storage
from .clock import FakeClock

_LONG = 86_400
"""Seconds between two signs of life: on a fake clock days must not cost a million heartbeats."""


class ExecutorFactory:
    """Makes executors that share one fake clock and one storage.

    What differs from a `DurableExecutor` of one's own, unless it is said at the call: the clock is
    fake; shutting down interrupts running work at once; heartbeats and polls are rare; chance
    (the jitter of retries) is always in the middle, so that a delay is exactly what its policy
    says.

    Args:
        storage: Where all of them keep executions.
        clock: The clock of all of them.

    Attributes:
        made: All executors so far.
    """

    def __init__(self, storage: Storage, clock: FakeClock) -> None:
        self._storage = storage
        self._clock = clock
        self.made: list[DurableExecutor] = []

    def __call__(self, storage: Storage | None = None, **options: Any) -> DurableExecutor:
        """Return a new executor, to be entered with ``async with``.

        Args:
            storage: Instead of the shared one.
            **options: Those of `DurableExecutor`.

        Raises:
            OptionError: An option is out of range.
        """
        defaults: dict[str, Any] = {
            "clock": self._clock,
            "random": _middle,
            "lease": _LONG,
            "poll_interval": _LONG,
            "shutdown_timeout": 0,
        }
        executor = DurableExecutor(storage or self._handle(), **{**defaults, **options})
        self.made.append(executor)
        return executor

    def _handle(self) -> Storage:
        """Return a handle for one executor, which closes it: the data stay for the test to see."""
        shared = self._storage
        return MemoryStorage(sharing=shared) if isinstance(shared, MemoryStorage) else shared


def _middle() -> float:
    return 0.5
