"""Times at which something of a durable function goes on, while it is held."""

from collections.abc import Callable

from ..clock import Timer, short_wait_us
from ..services import Services
from .operations import StepOperation, TimerOperation

Timed = TimerOperation | StepOperation


class Alarms:
    """The timers of one activation, one per operation.

    Args:
        services: What the executor offers.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._timers: dict[Timed, Timer] = {}

    def set(self, operation: Timed, due: int, callback: Callable[[], None]) -> None:
        """Call back at a time, µs."""

        def fire() -> None:
            self._timers.pop(operation, None)
            callback()

        when = self._services.time.monotonic_at(due)
        self._timers[operation] = self._services.clock.call_at(when, fire)

    def cancel(self, operation: Timed) -> None:
        """Do not call back."""
        if (timer := self._timers.pop(operation, None)) is not None:
            timer.cancel()

    def clear(self) -> None:
        """Call nobody back."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    @property
    def soon(self) -> bool:
        """Whether one of them comes so soon that it is waited for in memory."""
        until = self._services.time.now() + short_wait_us(self._services.clock)
        return any(one.due is not None and one.due <= until for one in self._timers)
