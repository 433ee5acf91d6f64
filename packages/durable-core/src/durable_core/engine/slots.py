"""How much may run at once."""

from collections.abc import Callable


class Slots:
    """A bounded number of places to run in.

    Args:
        capacity: How many.

    Attributes:
        freed: Called whenever a place becomes free.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.freed: Callable[[], None] = _nothing
        self._used = 0

    @property
    def free(self) -> int:
        """How many places are free; never negative."""
        return max(0, self.capacity - self._used)

    @property
    def used(self) -> int:
        """How many are taken; adopted executions may take more than there are."""
        return self._used

    def take(self) -> None:
        """Take one place."""
        self._used += 1

    def give_back(self) -> None:
        """Free one place."""
        self._used -= 1
        self.freed()


def _nothing() -> None:
    """Nobody waits for a place."""
