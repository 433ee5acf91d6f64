"""Staying alive, being told what to cancel, and freeing what the dead have held."""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence

from ..storage import (
    Beat,
    ClosedError,
    Head,
    PulseConnection,
    Reaped,
    Storage,
    StorageError,
)
from .clock import Clock, StorageTime, sleep, wait_until

_LOG = logging.getLogger("durable.lease")
_REAP_LIMIT = 500
STALL_LIMIT = 4.0
"""Leases for which a thread goes on beating for a loop that does not move (finding F20)."""


class Heart:
    """Renews one incarnation's lease three times per its length, and reaps after each beat.

    With a pulse the beats come from a thread, so that a blocked event loop does not cost the
    lease. The thread falls silent when the loop has not moved for `STALL_LIMIT` leases: then
    others take over, and fencing keeps the stuck owner from writing.

    Args:
        storage: Where the lease is.
        clock: The monotonic clock.
        time: Refreshed by every beat.
        ttl: Seconds of a lease.
        on_orders: Called with own executions to cancel.
        on_lost: Called once when the lease turns out to be gone.
        on_reaped: Called when something was freed.
        pulse: Returns what opens a thread's connection, or None: beats come from the loop.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        clock: Clock,
        time: StorageTime,
        ttl: float,
        on_orders: Callable[[Sequence[Head]], None],
        on_lost: Callable[[], None],
        on_reaped: Callable[[Reaped], None],
        pulse: Callable[[], Callable[[], PulseConnection] | None],
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._time = time
        self._ttl = ttl
        self._beat_every = ttl / 3
        self._on_orders = on_orders
        self._on_lost = on_lost
        self._on_reaped = on_reaped
        self._open_pulse = pulse
        self._owner = ""
        self._valid_until = float("-inf")
        self._task: asyncio.Task[None] | None = None
        self._thread: _PulseThread | None = None
        self._beaten = asyncio.Event()
        self._lost = False

    @property
    def owner(self) -> str:
        """The incarnation that is kept alive."""
        return self._owner

    @property
    def valid(self) -> bool:
        """Whether the lease has certainly not run out, by the local monotonic clock."""
        return self._clock.monotonic() < self._valid_until

    async def start(self, owner: str, info: bytes) -> None:
        """Register an incarnation and begin to beat for it.

        Raises:
            StorageError: The first heartbeat failed for good.
        """
        self._owner = owner
        self._lost = False
        sent = self._clock.monotonic()
        beat = await self._storage.heartbeat(
            executor=owner,
            ttl=self._ttl_us,
            now=self._time.now(),
            register=True,
            info=info,
        )
        self._took(beat, sent, self._clock.monotonic())
        loop = asyncio.get_running_loop()
        if (open_pulse := self._open_pulse()) is not None:
            self._thread = _PulseThread(self, open_pulse, loop)
            self._thread.start()
        self._task = asyncio.create_task(self._live(), name="durable heartbeat")

    async def stop(self, *, sign_off: bool) -> None:
        """Stop beating.

        Args:
            sign_off: Give the lease up, so that what is still held can be taken over at once.
        """
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
            self._task = None
        if self._thread is not None:
            thread, self._thread = self._thread, None
            await asyncio.get_running_loop().run_in_executor(None, thread.stop)
        if sign_off and self._owner:
            try:
                await self._storage.heartbeat(executor=self._owner, ttl=0, now=self._time.now())
            except StorageError as error:
                _LOG.warning(
                    "could not sign off %s: %s; its lease will run out", self._owner, error
                )
        self._valid_until = float("-inf")

    @property
    def _ttl_us(self) -> int:
        return int(self._ttl * 1e6)

    async def _live(self) -> None:
        while True:
            if self._thread is None:
                await sleep(self._clock, self._beat_every)
                await self._beat_here()
            else:
                self._thread.loop_moved()
                until = self._clock.monotonic() + self._beat_every / 2
                if not await wait_until(self._clock, self._beaten, until):
                    continue
                self._beaten.clear()
            await self._reap()

    async def _beat_here(self) -> None:
        sent = self._clock.monotonic()
        try:
            beat = await self._storage.heartbeat(
                executor=self._owner, ttl=self._ttl_us, now=self._time.now()
            )
        except Exception as error:  # noqa: BLE001 - the next beat may succeed
            _LOG.warning("heartbeat of %s failed: %s", self._owner, error)
        else:
            self._took(beat, sent, self._clock.monotonic())

    def _took(self, beat: Beat, sent: float, received: float) -> None:
        self._time.sampled(beat.clock, sent, received)
        if not beat.alive:
            self._valid_until = float("-inf")
            if not self._lost:
                self._lost = True
                self._on_lost()
            return
        self._valid_until = sent + self._ttl
        self._beaten.set()
        if beat.orders:
            self._on_orders(beat.orders)

    async def _reap(self) -> None:
        if not self.valid or not self._time.trustworthy(beat=self._beat_every, ttl=self._ttl):
            return
        try:
            while True:
                reaped = await self._storage.reap(now=self._time.now(), limit=_REAP_LIMIT)
                if reaped.leases or reaped.rows:
                    self._on_reaped(reaped)
                if not reaped.more:
                    return
        except Exception as error:  # noqa: BLE001 - nobody else would reap
            _LOG.warning("reaping failed: %s; tried again after the next heartbeat", error)

    def beat_in_thread(self, connection: PulseConnection) -> tuple[Beat, float, float] | None:
        """Beat from the pulse's thread; None if the storage did not answer."""
        sent = self._clock.monotonic()
        try:
            beat = connection.beat(executor=self._owner, ttl=self._ttl_us, now=self._time.now())
        except ClosedError:
            return None
        except Exception as error:  # noqa: BLE001 - the next beat may succeed
            _LOG.warning("heartbeat of %s failed: %s", self._owner, error)
            return None
        return beat, sent, self._clock.monotonic()

    def thread_beat(self, beat: Beat, sent: float, received: float, owner: str) -> None:
        """Take over what the thread was told; runs in the event loop."""
        if owner == self._owner and self._thread is not None:
            self._took(beat, sent, received)

    @property
    def beat_every(self) -> float:
        """Seconds between two beats."""
        return self._beat_every

    @property
    def stalled_after(self) -> float:
        """Seconds without a sign of the loop after which the thread falls silent."""
        return self._ttl * STALL_LIMIT

    @property
    def clock(self) -> Clock:
        """The monotonic clock."""
        return self._clock


class _PulseThread:
    """Beats from a thread for as long as the event loop gives signs of life."""

    def __init__(
        self,
        heart: Heart,
        open_pulse: Callable[[], PulseConnection],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._heart = heart
        self._open = open_pulse
        self._loop = loop
        self._stopped = threading.Event()
        self._loop_seen = heart.clock.monotonic()
        self._thread = threading.Thread(target=self._run, name="durable heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it; blocks for one beat at most."""
        self._stopped.set()
        self._thread.join()

    def loop_moved(self) -> None:
        """Note a sign of life of the event loop."""
        self._loop_seen = self._heart.clock.monotonic()

    def _run(self) -> None:
        connection: PulseConnection | None = None
        every = self._heart.beat_every
        pause = every
        while not self._stopped.wait(pause):
            if self._silent():
                pause = every
                continue
            owner = self._heart.owner
            connection = connection or self._opened()
            told = None if connection is None else self._heart.beat_in_thread(connection)
            pause = every if told is not None else every / 4
            if told is not None:
                self._tell(*told, owner)
            elif connection is not None:
                self._closed(connection)
                connection = None
        if connection is not None:
            self._closed(connection)

    def _opened(self) -> PulseConnection | None:
        try:
            return self._open()
        except Exception as error:  # noqa: BLE001 - tried again at the next beat
            _LOG.warning("a connection for heartbeats could not be opened: %s", error)
            return None

    def _closed(self, connection: PulseConnection) -> None:
        try:
            connection.close()
        except Exception as error:  # noqa: BLE001 - there is nothing left to do with it
            _LOG.warning("a connection for heartbeats could not be closed: %s", error)

    def _silent(self) -> bool:
        stuck_for = self._heart.clock.monotonic() - self._loop_seen
        if stuck_for <= self._heart.stalled_after:
            return False
        _LOG.error(
            "the event loop has not moved for %.0f s: no more heartbeats until it does", stuck_for
        )
        return True

    def _tell(self, beat: Beat, sent: float, received: float, owner: str) -> None:
        try:
            self._loop.call_soon_threadsafe(self._heart.thread_beat, beat, sent, received, owner)
        except RuntimeError:
            self._stopped.set()
