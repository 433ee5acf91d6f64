"""Taking work: as much as there are free places, as soon as there is a reason to look."""

import asyncio
import logging
from collections.abc import Callable, Collection

from ..storage import (
    Claimed,
    OutcomeUnknownError,
    Query,
    Record,
    StorageError,
    TemporaryError,
)
from .clock import Clock, StorageTime, Timer, sleep, wait_until
from .slots import Slots
from .writer import Writer

_LOG = logging.getLogger("durable.claim")
_RECONCILE_EVERY = 60.0
_WHILE_BARRED = 0.25
_LATER = 0.02


class Claimer:
    """Claims for one executor, one call at a time.

    It looks when told that something became ready (`wake`), when a known due time comes, when a
    place becomes free while work is known to be left, and otherwise after `poll` seconds. So an
    idle executor asks next to nothing, and a lost hint costs one poll.

    Args:
        writer: For reading what is held.
        clock: For waiting.
        time: The storage's time.
        slots: How much may run.
        tasks: Names of the tasks to claim; asked before every claim.
        queues: Queues to serve.
        owner: The incarnation to claim for, or None while it must not claim.
        start: Called with every claimed record.
        held: Ids of everything this executor holds or is about to hold.
        poll: Seconds between two looks without any reason.
    """

    def __init__(
        self,
        writer: Writer,
        *,
        clock: Clock,
        time: StorageTime,
        slots: Slots,
        tasks: Callable[[], Collection[str]],
        queues: Collection[str],
        owner: Callable[[], str | None],
        start: Callable[[Record], None],
        held: Callable[[], Collection[str]],
        poll: Callable[[], float],
    ) -> None:
        self._writer = writer
        self._clock = clock
        self._time = time
        self._slots = slots
        slots.freed = self.freed
        self._tasks = tasks
        self._queues = queues
        self._owner = owner
        self._start = start
        self._held = held
        self._poll = poll
        self._reason = asyncio.Event()
        self._next_due: int | None = None
        self._backlog = True
        self._let_go: set[str] | None = None
        self._unsure = False
        self._claiming = False
        self._reconcile_at = clock.monotonic() + _RECONCILE_EVERY
        self._task: asyncio.Task[None] | None = None
        self._later: Timer | None = None

    def start(self) -> None:
        """Begin to claim."""
        self._task = asyncio.create_task(self._claim_for_ever(), name="durable claims")

    async def stop(self) -> None:
        """Stop claiming; a claim in flight is waited for, so that nothing is taken unseen."""
        task, self._task = self._task, None
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if task is None:
            return
        self._reason.set()
        await asyncio.wait((task,))

    def wake(self) -> None:
        """Something may be claimable now."""
        self._backlog = True
        self._reason.set()

    def wake_later(self) -> None:
        """Something may be claimable, and whoever made it so has said so, or nearly always."""
        if self._later is None and self._task is not None:
            self._later = self._clock.call_at(self._clock.monotonic() + _LATER, self._wake_now)

    def _wake_now(self) -> None:
        self._later = None
        self.wake()

    def freed(self) -> None:
        """A place became free."""
        if self._backlog:
            self._reason.set()

    def expect(self, due: int) -> None:
        """Something becomes claimable at this time, µs."""
        if due <= self._time.now():
            self.wake()
        elif self._note_due(due):
            self._reason.set()

    def _note_due(self, due: int | None) -> bool:
        """Keep the earliest due time; returns whether this one is it."""
        if due is None or (self._next_due is not None and due >= self._next_due):
            return False
        self._next_due = due
        return True

    def let_go(self, execution_id: str) -> None:
        """Take note that this executor no longer holds a row."""
        if self._let_go is not None:
            self._let_go.add(execution_id)

    def unsure(self) -> None:
        """A held insert or a claim was never answered: look at what is held (ENGINE-4)."""
        self._unsure = True
        self._reason.set()

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._task is not None

    @property
    def caught_up(self) -> bool:
        """Whether the last claim saw the end of what is ready, and nothing came since."""
        return not self._backlog

    @property
    def idle(self) -> bool:
        """Whether there is no reason to look now; one that does not run never has a reason."""
        busy = self._claiming or self._reason.is_set() or self._unsure
        return self._task is None or not busy

    async def _claim_for_ever(self) -> None:
        while self._task is not None:
            await wait_until(self._clock, self._reason, self._look_at())
            self._reason.clear()
            self._claiming = True
            try:
                await self._look()
            except (TemporaryError, OutcomeUnknownError) as error:
                _LOG.warning("claiming failed: %s; tried again", error)
                if isinstance(error, OutcomeUnknownError):
                    self._unsure = True
                self._reason.set()
                await sleep(self._clock, 0.25)
            except Exception:  # noqa: BLE001 - whatever it was, work is waiting
                _LOG.exception("claiming failed; tried again later")
                self._unsure = True
                await sleep(self._clock, 1.0)
            finally:
                self._claiming = False

    def _look_at(self) -> float:
        if self._owner() is None:
            # Whatever there was to look for is still there when it may claim again.
            return self._clock.monotonic() + _WHILE_BARRED
        poll = self._clock.monotonic() + self._poll()
        if self._next_due is None or not self._slots.free:
            return poll
        return min(poll, self._time.monotonic_at(self._next_due))

    async def _look(self) -> None:
        owner = self._owner()
        if owner is None:
            return
        if self._unsure or self._clock.monotonic() >= self._reconcile_at:
            await self._reconcile(owner)
        while (owner := self._owner()) is not None and (limit := self._limit()):
            self._backlog = False
            self._next_due = None
            try:
                claimed = await self._claim(owner, limit)
            except StorageError:
                self._backlog = True
                raise
            if not claimed.exhausted:
                self._backlog = True
            self._note_due(claimed.next_due)
            for record in claimed.records:
                self._start(record)
            if claimed.exhausted or not claimed.records:
                return

    def _limit(self) -> int:
        return min(self._slots.free, self._writer.storage.capabilities.max_batch_rows)

    async def _claim(self, owner: str, limit: int) -> Claimed:
        return await self._writer.storage.claim(
            executor=owner,
            tasks=self._tasks(),
            queues=self._queues,
            limit=limit,
            now=self._time.now(),
        )

    async def _reconcile(self, owner: str) -> None:
        """Adopt what the storage says is held here and nobody here knows of.

        Only what was unknown at every moment between asking and answer: a row that was let go
        meanwhile must not be run again (finding F1).
        """
        known = set(self._held())
        self._let_go = set()
        self._unsure = False
        try:
            records = await self._writer.found(Query(owner=owner))
            known |= self._let_go.union(self._held())
        except StorageError:
            self._unsure = True
            raise
        finally:
            self._let_go = None
        self._reconcile_at = self._clock.monotonic() + _RECONCILE_EVERY
        for record in records:
            if record.id not in known:
                _LOG.warning("adopting %s: it was held here without being known", record.id)
                self._start(record)
