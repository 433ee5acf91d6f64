"""Rows that ask to be held as they are inserted, so that nobody has to claim them."""

from collections.abc import Callable, Collection, Sequence

from ..storage import Applied, ApplyOutcome, Keep, NewExecution, Phase, Record, Release
from ..storage.kit import born, changed
from .claimer import Claimer
from .slots import Slots


class Holding:
    """Decides which new rows this executor may hold at once, and starts those that it does.

    Only as many as there are free places, and none while others have waited longer.

    Args:
        claimer: Knows whether work waits already; told when rows may be held of which nobody here
            knows (ENGINE-4).
        slots: How much may run.
        tasks: Names of the known tasks.
        queues: Queues that are served.
        owner: The incarnation that may hold new rows, or None while none may.
        start: Called with every row that is held.
    """

    def __init__(
        self,
        *,
        claimer: Claimer,
        slots: Slots,
        tasks: Callable[[], Collection[str]],
        queues: Collection[str],
        owner: Callable[[], str | None],
        start: Callable[[Record], None],
    ) -> None:
        self._claimer = claimer
        self._slots = slots
        self._tasks = tasks
        self._queues = queues
        self._owner = owner
        self._start = start
        self.on_the_way: set[str] = set()
        """Ids of rows that were sent and ask to be held."""

    def owner_for(self, task: str, queue: str) -> str | None:
        """Return who may hold a new row of this task; None if it must wait for its turn."""
        if not self._places or queue not in self._queues or task not in self._tasks():
            return None
        return self._owner()

    @property
    def _places(self) -> int:
        """How many new rows may be held; none while others have waited longer."""
        return max(0, self._slots.free - len(self.on_the_way)) if self._claimer.caught_up else 0

    def sent(self, item: NewExecution) -> None:
        """Take note of a row that is being inserted."""
        if item.owner is not None:
            self.on_the_way.add(item.id)

    def asking(self, items: Sequence[NewExecution], now: int) -> Sequence[NewExecution]:
        """Return rows that ask to be held, as many of them as may be; take note of those.

        Args:
            items: Rows that name no owner.
            now: The storage's time, µs.
        """
        places = self._places
        owner = self._owner() if places else None
        if owner is None:
            return items
        known = self._tasks()
        asking: list[NewExecution] = []
        for item in items:
            if (
                places
                and item.due is not None
                and item.due <= now
                and item.phase is Phase.READY
                and item.queue in self._queues
                and item.task in known
            ):
                places -= 1
                self.on_the_way.add(item.id)
                asking.append(changed(item, owner=owner))
            else:
                asking.append(item)
        return asking

    def children_asking(self, item: Keep | Release, now: int) -> Keep | Release:
        """Return a transition whose children ask to be held, as many as may be."""
        return changed(item, children=self.asking(item.children, now))

    def children_sent(
        self, item: Keep | Release, answer: Applied | Exception, *, born_at: Callable[[], int]
    ) -> None:
        """Start the children that are held, when it is known what became of their transition.

        Args:
            item: As it was sent.
            answer: What the storage said.
            born_at: Returns the time with which the answered call was made.
        """
        asking = {child.id: child for child in item.children if child.owner is not None}
        if not asking:
            return
        self.on_the_way.difference_update(asking)
        held: Sequence[str] = ()
        if isinstance(answer, Applied):
            if answer.outcome not in (ApplyOutcome.APPLIED, ApplyOutcome.ALREADY):
                return
            held = answer.held
        for id_ in held:
            self._start(born(asking[id_], born_at()))
        if len(held) < len(asking):
            # The others may be held since a delivery whose answer was lost.
            self._claimer.unsure()
