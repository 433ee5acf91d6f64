"""Carrying held rows: one asyncio task each, from the claim to the answer that lets it go."""

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Sequence
from concurrent.futures import Future
from typing import Any, cast

from ..errors import DurableError, OptionError
from ..failure import ErrorInfo
from ..storage import (
    Finish,
    Head,
    Keep,
    Phase,
    Record,
    Release,
    Settle,
    StorageError,
    Transition,
)
from ..tasks.kinds import LoopTask, ParentTask, SequenceTask
from ..tasks.registry import Tasks
from ..tasks.task import FunctionTask
from ..tasks.workflow_task import WorkflowTask
from .clock import sleep
from .decide import Decision, Limits, decide, is_suspect, poison_phase
from .duty import tell_descendants
from .held import Held, LostError, Reason, WrittenError
from .isolation import Isolation
from .kinds.builtin import NAMES, run_builtin
from .kinds.loop import run_loop
from .kinds.parent import run_parent
from .kinds.plain import run_plain
from .kinds.sequence import run_sequence
from .kinds.workflow import run_workflow
from .letting_go import Callbacks, LettingGo, instead
from .run import (
    ABOUT_THE_ITEM,
    LetGoError,
    Run,
    UnfitError,
    deadline_of,
)
from .services import Services
from .slots import Slots

_LOG = logging.getLogger("durable.run")
_UNFIT_DELAY_US = 5_000_000
_LONGEST_UNFIT_DELAY_US = 600_000_000
_LEFTOVER_DELAY_US = 1_000_000
_DRAIN_LOOK = 0.2


class Runner:
    """Everything that this executor holds.

    Args:
        services: What activations use.
        tasks: The known tasks.
        slots: How much may run.
        isolation: Keeps suspects apart.
        limits: Policy about crashes.
        callbacks: Who is told.
    """

    def __init__(
        self,
        services: Services,
        *,
        tasks: Tasks,
        slots: Slots,
        isolation: Isolation,
        limits: Limits,
        callbacks: Callbacks,
    ) -> None:
        self._services = services
        self._tasks = tasks
        self._slots = slots
        self._isolation = isolation
        self._limits = limits
        self._callbacks = callbacks
        self._letting_go = LettingGo(
            services, callbacks=callbacks, forget=self._forget, over=self._over
        )
        self.held: dict[str, Held] = {}
        self._leftovers: dict[str, Held] = {}
        self._again: dict[str, Record] = {}
        self._ending: Reason | None = None

    def start(self, record: Record) -> None:
        """Carry a row that this incarnation holds; others and known ones are passed over.

        A row may be claimed again before the answer that let it go has been taken note of: then
        it is carried next.
        """
        if record.owner != self._callbacks.owner():
            return
        before = self.held.get(record.id)
        if before is not None:
            if record.gen > before.token.gen:
                self._again[record.id] = record
            return
        held = Held(record)
        self.held[record.id] = held
        self._slots.take()
        if self._ending is not None:
            held.interrupt(self._ending)
        loop = asyncio.get_running_loop()
        held.task = loop.create_task(self._carry(held), name=record.id)

    def interrupt(self, heads: Iterable[Head], reason: Reason = Reason.CANCEL) -> None:
        """Interrupt those of these rows that run here under the same token."""
        for head in heads:
            held = self.held.get(head.id)
            if held is not None and head.owner == held.token.owner and head.gen == held.token.gen:
                held.interrupt(reason)

    def interrupt_all(self, reason: Reason) -> None:
        """Interrupt everything that runs here, and what is still to come."""
        self._ending = reason
        for held in tuple(self.held.values()):
            held.interrupt(reason)

    def disown(self) -> None:
        """The lease is lost: stop everything, and let nothing of it be written."""
        self._again.clear()
        for held in tuple(self.held.values()):
            held.interrupt(Reason.LEASE_LOST)
            self._services.hooks.lost(held.record)
            self._leftovers.setdefault(held.record.id, held)
            self._forget(held)

    async def stop_after(self, seconds: float, lease: float) -> None:
        """Interrupt what still runs after so long; give up what cannot be written any more.

        A result waits for a storage that is away until the lease has run out: from then on others
        may have taken over, and the process need not live on for it. Code that will not be
        cancelled is given one more lease, and left to itself then.
        """
        clock = self._services.clock
        await sleep(clock, seconds)
        self.interrupt_all(Reason.SHUTDOWN)
        while True:
            await sleep(clock, lease)
            if not self._services.lease_valid():
                self.interrupt_all(Reason.LEASE_LOST)
            for held in tuple(self.held.values()):
                if held.in_user_code:
                    _LOG.error("%s does not let itself be cancelled: left behind", held.record.id)
                    held.interrupt(Reason.LEASE_LOST)
                    self._forget(held)

    async def drained(self) -> None:
        """Wait until nothing runs: what is still held is on its way to the storage."""
        while tasks := [held.task for held in self.held.values() if held.task is not None]:
            await asyncio.wait(tasks, timeout=_DRAIN_LOOK, return_when=asyncio.FIRST_COMPLETED)

    async def _carry(self, held: Held) -> None:
        """Carry a row until it is known what lets it go, and send that.

        What is stored is told to a callback: while it is on its way, no asyncio task and no frame
        is kept for it.
        """
        transition: Transition | None = None
        written: WrittenError | None = None
        try:
            transition = await self._activate(held)
        except LostError:
            pass
        except WrittenError as error:
            written = error
        except Exception:  # noqa: BLE001 - nobody above could do more than log it
            _LOG.exception("execution %s could not be let go", held.record.id)
        finally:
            held.task = None
            if written is not None:
                self._letting_go.written(held, written.transition, written.answer)
            elif transition is None:
                self._over(held)
            else:
                self._letting_go.send(held, transition)

    def _over(self, held: Held) -> None:
        """Nothing more is done here about this holding of the row."""
        self._forget(held)
        self._free_place(held)
        if self._again and (again := self._again.pop(held.record.id, None)) is not None:
            self.start(again)

    def _forget(self, held: Held) -> None:
        if self.held.get(held.record.id) is held:
            del self.held[held.record.id]
            self._callbacks.let_go(held.record.id)

    def _free_place(self, held: Held) -> None:
        """Free the place, or let a thread that could not be stopped keep it until it ends."""
        leftover = held.leftover
        if leftover is None and not self._leftovers:
            self._slots.give_back()
            return
        if leftover is None or leftover.done():
            self._leftover_ended(held)
            return
        id_ = held.record.id
        self._leftovers.setdefault(id_, held)
        loop = asyncio.get_running_loop()

        def ended(_: "Future[object]") -> None:
            try:
                loop.call_soon_threadsafe(self._leftover_ended, held)
            except RuntimeError:
                _LOG.debug("work of %s ended after its event loop", id_)

        leftover.add_done_callback(ended)
        _LOG.warning("%s was interrupted, but its thread goes on and keeps its place", id_)

    def _leftover_ended(self, held: Held) -> None:
        """Free the place, and let the next attempt run if this was the one it waits for."""
        if self._leftovers.get(held.record.id) is held:
            del self._leftovers[held.record.id]
        self._slots.give_back()

    async def _activate(self, held: Held) -> Transition | None:
        run = Run(self._services, held)
        try:
            if is_suspect(held.record, self._limits):
                return await self._decide_apart(run)
            if self._isolation.open:
                self._isolation.join()
            else:
                await self._isolation.enter()
            try:
                step = self._decide(run)
                return step if isinstance(step, Keep | Release | Finish | Settle) else await step
            finally:
                self._isolation.leave()
        except LetGoError as end:
            return end.transition
        except (LostError, WrittenError):
            raise
        except UnfitError as error:
            return self._not_here(run, str(error))
        except StorageError as error:
            if not isinstance(error, ABOUT_THE_ITEM):
                raise
            return instead(self._services, held, error)
        except Exception as error:  # noqa: BLE001 - the execution must end, whatever it is
            _LOG.exception("running %s failed inside the engine", held.record.id)
            return run.failed(
                poison_phase(held.record), ErrorInfo.from_exception(error, retryable=False)
            )

    async def _decide_apart(self, run: Run) -> Transition | None:
        """Carry a suspect when its turn has come; it takes no place while it waits."""
        self._slots.give_back()
        try:
            turn = await self._isolation.turn(run.held.cancelled)
        finally:
            self._slots.take()
        if turn is None:
            reason = run.held.reason
            return None if reason is None else run.interrupted(reason)
        async with turn:
            step = self._decide(run)
            return step if isinstance(step, Keep | Release | Finish | Settle) else await step

    def _decide(self, run: Run) -> "Transition | Coroutine[Any, Any, Transition | None]":
        """Return what lets the row go, or what is to be awaited for it."""
        record = run.record
        services = self._services
        deadline = unreadable = None
        try:
            deadline = deadline_of(record, run.policy)
        except OptionError as error:
            unreadable = str(error)
        now = 0 if deadline is None else services.time.now()
        decision = decide(record, now, deadline, self._limits)
        if unreadable is not None and decision in (Decision.RUN, Decision.WAIT):
            return self._not_here(run, unreadable)
        if decision is Decision.RUN:
            if record.id in self._leftovers:
                return run.hand_back("its last attempt has not ended here", _LEFTOVER_DELAY_US)
            if services.hooks:
                services.hooks.started(record)
            return self._run(run)
        if decision is Decision.DUTY:
            return tell_descendants(run, self.interrupt)
        if decision is Decision.CANCEL:
            return run.finish(Phase.CANCELLED)
        if decision is Decision.WAIT:
            return run.release(record.phase, deadline, join_at=0)
        if decision is Decision.TIME_OUT:
            return run.failed(Phase.TIMED_OUT, _timed_out(record))
        return run.failed(poison_phase(record), _poison(record))

    def _run(self, run: Run) -> "Transition | Coroutine[Any, Any, Transition | None]":
        name = run.record.task
        task = self._tasks.find(name)
        if isinstance(task, FunctionTask):
            return run_plain(run, task, self._tasks)
        if isinstance(task, ParentTask):
            return run_parent(run, task, self._tasks)
        if isinstance(task, SequenceTask):
            return run_sequence(run, task)
        if isinstance(task, LoopTask):
            return run_loop(run, cast("LoopTask[..., Any]", task))
        if isinstance(task, WorkflowTask):
            return run_workflow(run, task)
        if name in NAMES:
            return run_builtin(run)
        return self._not_here(run, "its task is not known here")

    def _not_here(self, run: Run, reason: str) -> Transition:
        """Hand back what other code has to run, with a pause that grows with its age."""
        age = self._services.time.now() - run.record.created_at
        delay = min(_LONGEST_UNFIT_DELAY_US, max(_UNFIT_DELAY_US, age // 10))
        return run.hand_back(reason, delay)

    @property
    def owned(self) -> Sequence[str]:
        """Ids of everything held here."""
        return tuple(self.held)


def _timed_out(record: Record) -> ErrorInfo:
    what = "nobody woke it" if record.wake_key is not None else "its deadline has passed"
    error = TimeoutError(f"execution {record.id} ({record.task}) timed out: {what}")
    return ErrorInfo.from_exception(error, retryable=False)


def _poison(record: Record) -> ErrorInfo:
    error = DurableError(
        f"execution {record.id} ({record.task}) was being run by {record.crashes} executors when "
        "they died, so it is not run again"
    )
    return ErrorInfo.from_exception(error, retryable=False)
