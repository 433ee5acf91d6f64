"""The executor's parts, put together: started, stopped, and given a new life when declared dead."""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Sequence
from functools import partial

from ..storage import (
    STATUS_OF,
    Cancelled,
    Finish,
    Inserted,
    InsertOutcome,
    NewExecution,
    PulseConnection,
    Reaped,
    Record,
    SchemaMissingError,
    Storage,
    StorageError,
    Wake,
    Woken,
    check_protocol,
)
from ..storage.adapters import listener_of, pulse_of
from ..tasks.registry import Tasks
from ..tasks.signal import Signal
from .calls import NewRows
from .claimer import Claimer
from .clock import Clock, StorageTime, SystemClock, sleep
from .decide import Limits
from .heart import Heart
from .holding import Holding
from .hooks import HookRelay, Hooks
from .ids import new_owner
from .isolation import Isolation
from .letting_go import Callbacks
from .listening import Hints
from .outside import Outside
from .retention import Retention
from .runner import Runner
from .services import Services
from .settings import Settings
from .slots import Slots
from .waiters import Ended, Waiters
from .workers import Workers
from .writer import Writer

_LOG = logging.getLogger("durable")


_LEASE_SHARE = 0.75
"""Part of the promised time for which a lease is taken; the rest is until somebody looks again.

Leases are renewed, and the dead looked for, three times per lease: so what a dead executor held is
free after 3/4 + 1/4 of the promised time at the latest.
"""


class Engine:
    """One executor at work on one storage.

    Args:
        storage: Where executions are kept.
        settings: See `Settings`.
        tasks: The known tasks.
        hooks: Who wants to hear.
        clock: Monotonic time.
        random: Returns numbers in [0, 1).
    """

    def __init__(
        self,
        storage: Storage,
        settings: Settings,
        *,
        tasks: Tasks,
        hooks: Sequence[Hooks],
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        self.storage = storage
        self.settings = settings
        self.tasks = tasks
        self.clock = clock
        self.time = StorageTime(clock)
        self.hooks = HookRelay(hooks)
        self.writer = Writer(
            storage, clock=clock, time=self.time, jitter=random, patience=settings.patience
        )
        self.rows = NewRows(max_input=settings.max_input)
        self.shutdown_signal = Signal()
        self._workers = Workers(threads=settings.threads, processes=settings.processes)
        self.waiters = Waiters(
            self.writer, clock=clock, runs_here=lambda id_: id_ in self.runner.held
        )
        self.slots = Slots(settings.concurrency)
        self.claimer = Claimer(
            self.writer,
            clock=clock,
            time=self.time,
            slots=self.slots,
            tasks=tasks.names,
            queues=settings.queues,
            owner=self._claiming_owner,
            start=self._start,
            held=self._known,
            poll=self._poll,
        )
        self._holding = Holding(
            claimer=self.claimer,
            slots=self.slots,
            tasks=tasks.names,
            queues=settings.queues,
            owner=self._accepting_owner,
            start=self._start,
        )
        isolation = Isolation(clock, probation=settings.lease, patience=settings.lease)
        self._isolation = isolation
        self.runner = Runner(
            Services(
                writer=self.writer,
                clock=clock,
                time=self.time,
                workers=self._workers,
                hooks=self.hooks,
                rows=self.rows,
                holding=self._holding,
                shutdown=self.shutdown_signal,
                random=random,
                max_output=settings.max_output,
                lease_valid=lambda: self.heart.valid,
                ready=self.claimer.wake,
                watch=self.waiters.add,
                unwatch=self.waiters.remove,
            ),
            tasks=tasks,
            slots=self.slots,
            isolation=isolation,
            limits=Limits(crashes=settings.crash_limit),
            callbacks=Callbacks(
                ended=self._ended,
                ready=self.claimer.wake,
                due=self.claimer.expect,
                let_go=self.claimer.let_go,
                owner=self._holder,
            ),
        )
        self.heart = Heart(
            storage,
            clock=clock,
            time=self.time,
            ttl=settings.lease * _LEASE_SHARE,
            on_orders=self.runner.interrupt,
            on_lost=self._lease_lost,
            on_reaped=self._reaped,
            pulse=self._pulse,
        )
        self._outside = Outside(
            self.writer,
            hooks=self.hooks,
            runner=self.runner,
            claimer=self.claimer,
            waiters=self.waiters,
        )
        self.retention = Retention(self.writer, clock=clock, time=self.time)
        self.hints = Hints(self.claimer, self.waiters)
        self._accepting = False
        self._rebirth: asyncio.Task[None] | None = None
        self._background: list[asyncio.Task[None]] = []

    # Starting and stopping

    async def start(self) -> None:
        """Set the storage up, register, and begin to work.

        Raises:
            StorageError: The storage cannot be used; nothing was started.
        """
        check_protocol(self.storage.capabilities, type(self.storage).__name__)
        set_up = partial(self.storage.setup, migrate=self.settings.migrate)
        report = await self.writer.patiently(set_up)
        if report.missing:
            msg = f"the schema is incomplete: {'; '.join(report.missing)}: allow it to migrate"
            raise SchemaMissingError(msg)
        await self.writer.patiently(partial(self.time.ask, self.storage.clock))
        if not self.settings.client_only:
            await self.writer.patiently(self._register)
            self.claimer.start()
            if self.settings.retention is not None:
                self._spawn(self.retention.keep(self.settings.retention), "durable purge")
        self._accepting = True
        if (listener := listener_of(self.storage)) is not None:
            self._spawn(self.hints.listen(listener, self.settings.queues), "durable hints")

    async def stop(self, timeout: float) -> None:
        """Shut down: claim nothing more, let running work end, hand back what does not.

        Args:
            timeout: Seconds that running work is given before it is interrupted.
        """
        self._accepting = False
        self.shutdown_signal.set()
        if self._rebirth is not None:
            self._rebirth.cancel()
            await asyncio.wait((self._rebirth,))
        try:
            await self.claimer.stop()
            lease = self.settings.lease
            self._spawn(self.runner.stop_after(timeout, lease), "durable shutdown")
            await self._drained()
        finally:
            self.runner.disown()
            await self._close()

    async def _drained(self) -> None:
        """Wait until nothing is held, and nothing is on its way to be."""
        while True:
            await self.runner.drained()
            await self.writer.flushed()
            if not self.runner.held and not self._holding.on_the_way:
                return

    async def _close(self) -> None:
        await self.waiters.close()
        for task in self._background:
            task.cancel()
        if self._background:
            await asyncio.wait(self._background)
        self._background.clear()
        await self.heart.stop(sign_off=not self.settings.client_only)
        self._workers.close()

    @property
    def time_is_old(self) -> bool:
        """Whether no heartbeat has told the storage's time lately."""
        return self.time.age > self.settings.lease

    async def fresh_time(self) -> None:
        """Ask for the storage's time before it is written, if it is old."""
        if self.time_is_old:
            await self.writer.patiently(partial(self.time.ask, self.storage.clock))

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        self._background.append(asyncio.create_task(work, name=name))

    async def _register(self) -> None:
        about = self.settings.about(self.tasks.names())
        await self.heart.start(new_owner(self.settings.name), about)

    # Writing

    def insert(self, item: NewExecution) -> "asyncio.Future[Inserted]":
        """Insert a root; if it asks to be held and is, it is started."""
        self._holding.sent(item)
        return self.writer.insert(item, self)

    def insert_many(self, items: Sequence[NewExecution]) -> "list[asyncio.Future[Inserted]]":
        """Insert roots; those for which there is a place are held at once."""
        return [self.insert(item) for item in self._holding.asking(items, self.time.now())]

    def may_hold(self, task: str, queue: str) -> str | None:
        """Return who may hold a new row at once: only if it would overtake nobody."""
        return self._holding.owner_for(task, queue)

    def abandoned(self, _error: Exception) -> None:
        """See `Sender`: an insert is repeated for as long as the caller's patience lasts."""
        return

    def answered(self, item: NewExecution, answer: Inserted | Exception) -> None:
        """See `Sender`: take over a row that was inserted, whether the caller waits or not."""
        if item.owner is not None:
            self._holding.on_the_way.discard(item.id)
        if isinstance(answer, Exception):
            if item.owner is not None:
                self.claimer.unsure()
            return
        record = answer.record
        if answer.outcome is not InsertOutcome.CREATED:
            if record.owner is not None and record.owner == self._holder():
                # Perhaps an earlier delivery of this very insert, whose answer was lost.
                self.claimer.unsure()
            return
        if record.owner is not None:
            self.runner.start(record)
        elif record.due is not None:
            self.claimer.expect(record.due)
        if self.hooks:
            self.hooks.enqueued(item)

    async def cancel(self, ids: Sequence[str], request: str) -> Sequence[Cancelled]:
        """Cancel executions; what is held here is interrupted at once."""
        return await self._outside.cancel(ids, request)

    async def wake(self, item: Wake) -> Woken:
        """Wake a sleeper; those who wait for it here are told at once."""
        return await self._outside.wake(item)

    def _known(self) -> Collection[str]:
        return self._holding.on_the_way | self.runner.held.keys()

    # What happens

    def _pulse(self) -> Callable[[], PulseConnection] | None:
        """Return what opens a connection for a thread's heartbeats: only real time allows one."""
        pulse = pulse_of(self.storage) if isinstance(self.clock, SystemClock) else None
        return None if pulse is None else pulse.pulse

    def _holder(self) -> str | None:
        return self.heart.owner or None

    def _claiming_owner(self) -> str | None:
        """Return the incarnation to claim for, or None while it must not (ENGINE-8)."""
        if not self.claimer.running or not self.heart.valid or not self._isolation.open:
            return None
        return self.heart.owner

    def _accepting_owner(self) -> str | None:
        """Return the incarnation to insert for, or None while it must not, or shuts down."""
        return self._claiming_owner() if self._accepting else None

    def _start(self, record: Record) -> None:
        self.runner.start(record)

    def _poll(self) -> float:
        if self.settings.poll_interval is not None:
            return self.settings.poll_interval
        return 10.0 if self.hints.heard else 2.0

    def _ended(self, execution_id: str, transition: Finish) -> None:
        output, error = transition.output, transition.error
        self.waiters.resolve(
            execution_id,
            Ended(
                STATUS_OF[transition.phase],
                output if isinstance(output, bytes) else None,
                error if isinstance(error, bytes) else None,
            ),
        )

    def _reaped(self, reaped: Reaped) -> None:
        if reaped.rows:
            _LOG.warning("freed %d executions of executors that died", reaped.rows)
            self.claimer.wake()
        self.hooks.reaped(reaped.leases, reaped.rows)

    def _lease_lost(self) -> None:
        """Somebody declared this executor dead: stop its work, come back as another (F14)."""
        owner = self.heart.owner
        _LOG.error("%s was declared dead: its work is stopped and belongs to others now", owner)
        self.runner.disown()
        self.hooks.lease_lost(owner)
        if self._rebirth is None and self._accepting:
            self._rebirth = asyncio.create_task(self._live_again(), name="durable rebirth")

    async def _live_again(self) -> None:
        await self.heart.stop(sign_off=False)
        while True:
            try:
                await self._register()
            except StorageError as error:
                _LOG.warning("could not register again: %s; tried again", error)
                await sleep(self.clock, min(1.0, self.settings.lease / 3))
            else:
                break
        self._rebirth = None
        self.claimer.wake()

    @property
    def idle(self) -> bool:
        """Whether nothing is running, being written or about to be claimed."""
        return (
            not self.runner.held
            and not self.slots.used
            and not self._holding.on_the_way
            and self.writer.idle
            and self.claimer.idle
            and self._rebirth is None
        )
