"""What every activation uses of its executor."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..storage import NewExecution
from ..tasks.signal import Signal
from .calls import NewRows
from .clock import Clock, StorageTime
from .holding import Holding
from .hooks import HookRelay
from .waiters import Waiter
from .workers import Workers
from .writer import Writer


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What every activation uses of its executor.

    Attributes:
        max_output: Bytes that an output may have.
        lease_valid: Whether the lease has not run out (ENGINE-8).
        ready: Called when something became claimable at once.
        watch: Asks to be told when an execution ends.
        unwatch: Takes that back.
    """

    writer: Writer
    clock: Clock
    time: StorageTime
    workers: Workers
    hooks: HookRelay
    rows: NewRows
    holding: Holding
    shutdown: Signal
    random: Callable[[], float]
    max_output: int
    lease_valid: Callable[[], bool]
    ready: Callable[[], None]
    watch: Callable[[str, Waiter], None]
    unwatch: Callable[[str, Waiter], None]

    def tell_enqueued(self, children: Sequence[NewExecution]) -> None:
        """Tell the hooks of children that were stored."""
        if self.hooks:
            for child in children:
                self.hooks.enqueued(child)
