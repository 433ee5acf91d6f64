"""The executor's side of a durable function: begins what it asks for, records, puts it to sleep."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ...failure import ErrorInfo
from ...storage import Applied, ApplyOutcome, Keep, NewExecution, Phase, Release, Transition
from ...tasks.workflow_task import WorkflowTask
from ..clock import Timer
from ..held import Reason, WrittenError
from ..run import LetGoError, Run
from .alarms import Alarms
from .children import Children
from .ending import end_of, nothing_to_wait_for
from .journal import Journal
from .loop import outside
from .operations import (
    ChildOperation,
    Operation,
    StepOperation,
    TimerOperation,
    entry_of,
    remembered,
)
from .record import Entry, History, How, Kind, State
from .stage import Stage
from .steps import StepRunner

_LOG = logging.getLogger("durable.run")
_AT_ONCE = 50


class Driver:
    """One activation of a durable function.

    Args:
        run: The activation.
        task: The function.
        history: What it has done.
        state: What is open.
    """

    def __init__(
        self, run: Run, task: WorkflowTask[..., Any], history: History, state: State
    ) -> None:
        self._run = run
        self._task = task
        self._history = history
        self._state = state
        self._stage = Stage(run, task, history, state)
        self._news = asyncio.Event()
        self._arrived: list[Entry] = []
        self._alarms = Alarms(run.services)
        self._dirty = False
        self._lease_doubt = False
        self._journal = Journal(run, history)
        self._steps = StepRunner(
            run,
            ended=self._step_ended,
            later=self._step_later,
            stopped=self._news.set,
            lost=self._step_lost,
        )
        self._children = Children(run, self._happened)

    async def carry(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Transition | None:
        """Run the function until it ends, or has to wait for long."""
        held = self._run.held
        held.listener = self._interrupted
        deadline = self._deadline_timer()
        try:
            self._stage.large = self._children.large
            await self._children.read_stored(self._history.entries)
            await outside(partial(self._stage.begin, args, kwargs))
            await self._deliver(self._history.entries)
            self._stage.check_end()
            return await self._live()
        finally:
            held.listener = None
            if deadline is not None:
                deadline.cancel()
            self._children.close()
            self._alarms.clear()
            await self._stop_steps(Reason.CANCEL)
            held.leftover = self._steps.leftover
            self._stage.close()

    # The main loop

    async def _live(self) -> Transition | None:
        record = self._run.record
        if record.cancel_requested and not self._stage.told_of_cancel:
            self._tell_of_cancel()
        look = record.gen > 1
        while True:
            if (end := await self._end()) is not None:
                return end
            if self._stage.must_record:
                await self._write()
                continue
            await self._begin_fresh(look=look)
            look = False
            if self._arrived:
                await self._take_in()
            elif self._busy:
                if self._dirty or self._children.new:
                    await self._write()
                else:
                    self._children.watch(self._stage.open.values())
                    await self._news.wait()
                    self._news.clear()
            else:
                await self._rest()

    async def _end(self) -> Transition | None:
        """Return what ends this activation, if something does."""
        run, reason = self._run, self._run.held.reason
        if reason is Reason.LEASE_LOST:
            raise LetGoError(None)
        if self._stage.finished:
            return await end_of(run, self._task, self._stage, self._state)
        if reason is Reason.TIMEOUT:
            error = TimeoutError(f"execution {run.record.id} timed out: its deadline has passed")
            return run.failed(Phase.TIMED_OUT, ErrorInfo.from_exception(error, retryable=False))
        if reason is Reason.CANCEL:
            # From now on a shutdown is heard again: the function may clean up for long.
            run.held.reason = None
            if not self._stage.told_of_cancel:
                self._tell_of_cancel()
        idle = run.services.shutdown.is_set() and not len(self._steps)
        if reason is Reason.SHUTDOWN or self._lease_doubt or idle:
            await self._stop_steps(Reason.SHUTDOWN)
            if run.held.reason is Reason.LEASE_LOST:
                raise LetGoError(None)
            arrived = self._journal.portion(self._arrived)
            return run.hand_back(
                "shutdown",
                checkpoints=self._journal.checkpoints((*self._stage.unwritten, *arrived)),
                state=self._encoded_state(all_=True),
                cancel_seen=self._stage.told_of_cancel,
            )
        return None

    # Beginning what the function has asked for

    async def _begin_fresh(self, *, look: bool) -> None:
        stage, services = self._stage, self._run.services
        for operation in _taken(stage.dropped):
            self._drop(operation, perhaps_inserted=look)
        fresh = _taken(stage.fresh)
        if look:
            await self._children.look([one for one in fresh if isinstance(one, ChildOperation)])
        for operation in fresh:
            if isinstance(operation, TimerOperation):
                self._begin_timer(operation)
            elif isinstance(operation, ChildOperation):
                self._children.add(operation)
            elif isinstance(operation, StepOperation) and not services.shutdown.is_set():
                self._begin_step(operation)
        for entry in await self._children.cancel_strays():
            stage.unwritten.append(replace(entry, at=stage.loop.now_us))

    def _begin_step(self, operation: StepOperation) -> None:
        recorded = self._history.transactions.get(operation.position)
        if operation.begin is not None and recorded is not None:
            self._happened(entry_of(operation, How.OK, self._now(), recorded))
        elif operation.due is not None and operation.due > self._now():
            self._alarms.set(operation, operation.due, partial(self._step_again, operation))
        else:
            operation.due = None
            self._steps.start(operation)

    def _begin_timer(self, operation: TimerOperation) -> None:
        self._alarms.set(operation, operation.due, partial(self._timer_fired, operation))

    def _drop(self, operation: Operation, *, perhaps_inserted: bool) -> None:
        if isinstance(operation, TimerOperation | StepOperation):
            self._alarms.cancel(operation)
        if isinstance(operation, StepOperation):
            self._steps.stop(operation, Reason.CANCEL)
        elif isinstance(operation, ChildOperation):
            self._children.drop(operation, perhaps_inserted=perhaps_inserted)
        self._arrived = [one for one in self._arrived if one.position != operation.position]

    # What happens outside

    def _happened(self, entry: Entry) -> None:
        self._arrived.append(entry)
        self._news.set()

    def _timer_fired(self, operation: TimerOperation) -> None:
        if operation.position in self._stage.open:
            self._happened(entry_of(operation, How.OK, max(self._now(), operation.due)))

    def _step_ended(self, operation: StepOperation, entry: Entry) -> None:
        if operation.position in self._stage.open:
            self._happened(entry)

    def _step_later(self, operation: StepOperation) -> None:
        self._dirty = True
        if operation.due is not None:
            self._alarms.set(operation, operation.due, partial(self._step_again, operation))
        self._news.set()

    def _step_again(self, operation: StepOperation) -> None:
        if operation.position in self._stage.open:
            operation.due = None
            self._steps.start(operation)

    def _step_lost(self) -> None:
        self._lease_doubt = True
        self._news.set()

    def _interrupted(self) -> None:
        self._news.set()

    def _tell_of_cancel(self) -> None:
        self._stage.told_of_cancel = True
        self._happened(Entry(kind=Kind.CANCEL, at=self._now()))

    # Recording and delivering

    async def _take_in(self) -> None:
        """Record what has happened, and let the function go on with it."""
        stage = self._stage
        if len(self._arrived) == 1 and len(stage.open) == 1:
            (entry,) = self._arrived
            if entry.kind is not Kind.STEP and entry.position in stage.open:
                # There is no other order in which things could have happened: it is recorded
                # with what follows.
                self._arrived = []
                stage.unwritten.append(entry)
                await self._deliver([entry])
                return
        await self._write()

    async def _write(self) -> None:
        """Record what has happened, insert children, and deliver."""
        run, stage = self._run, self._stage
        arrived = self._journal.portion(self._arrived)
        checkpoints = self._journal.checkpoints((*stage.unwritten, *arrived))
        children = self._children.page()
        values: dict[str, Any] = {}
        if self._dirty or children:
            values["state"] = self._encoded_state(all_=False, new=children)
        keep = run.progress(
            checkpoints=checkpoints,
            children=[child.row for child in children],
            reset_crashes=bool(checkpoints or children),
            cancel_seen=stage.told_of_cancel,
            **values,
        )
        if not self._accepted(keep.children, await self._send(keep)):
            return
        self._recorded(checkpoints, arrived, keep, children)
        self._dirty = self._dirty and "state" not in values
        await self._deliver(arrived)

    def _recorded(
        self,
        checkpoints: dict[str, bytes],
        arrived: Sequence[Entry],
        keep: Keep,
        children: Sequence[ChildOperation],
    ) -> None:
        """Take note of what was written."""
        self._journal.written(len(self._stage.unwritten) + len(arrived), checkpoints)
        self._stage.unwritten.clear()
        self._stage.must_record = False
        del self._arrived[: len(arrived)]
        if children:
            self._children.inserted(children)
            self._run.services.ready()
            self._run.services.tell_enqueued(keep.children)

    async def _send(self, item: Keep | Release) -> Applied:
        """Write; children are held here at once as far as there are places."""
        if not item.children:
            return await self._run.apply(item)
        services = self._run.services
        item = services.holding.children_asking(item, services.time.now())
        born_at = services.writer.applied_at
        return await self._run.apply(
            item, partial(services.holding.children_sent, item, born_at=born_at)
        )

    def _accepted(self, children: Sequence[NewExecution], answer: Applied) -> bool:
        """Whether a write was accepted; what stands against it is told to the function."""
        if answer.outcome in (ApplyOutcome.APPLIED, ApplyOutcome.ALREADY):
            return True
        if answer.outcome is ApplyOutcome.CANCEL_REQUESTED:
            self._tell_of_cancel()
            return False
        if answer.outcome is ApplyOutcome.CHILD_CONFLICT:
            row = children[answer.conflict or 0]
            self._happened(self._children.conflict(row, self._now()))
            return False
        raise LetGoError(None)

    async def _rest(self) -> None:
        """Put the function to sleep: somebody will wake it by time, or by its children."""
        run, stage = self._run, self._stage
        if not stage.open:
            stage.fatal = nothing_to_wait_for(run.record)
            return
        children = self._children.page()
        if len(children) < len(self._children.new):
            await self._write()
            return
        checkpoints = self._journal.checkpoints(stage.unwritten)
        release = self._release(children, checkpoints)
        # While this is on its way nothing may begin any more: it may belong to somebody else.
        self._alarms.clear()
        answer = await self._send(release)
        if self._accepted(release.children, answer):
            raise WrittenError(release, answer)
        stage.fresh[:0] = [
            one for one in stage.open.values() if not isinstance(one, ChildOperation)
        ]

    def _release(
        self, children: Sequence[ChildOperation], checkpoints: dict[str, bytes]
    ) -> Release:
        run, stage = self._run, self._stage
        # A step that was not begun, because of a shutdown, is begun at once by the next owner.
        dues = [
            operation.due or 0
            for operation in stage.open.values()
            if isinstance(operation, TimerOperation | StepOperation)
        ]
        if run.deadline is not None:
            dues.append(run.deadline)
        join_at = self._children.join_at(stage.open.values())
        return run.release(
            Phase.SLEEPING if join_at is None else Phase.WAITING_FOR_CHILDREN,
            min(dues, default=None),
            children=[child.row for child in children],
            checkpoints=checkpoints,
            state=self._encoded_state(all_=True, new=children),
            attempt=0,
            error=None,
            join_at=-1 if join_at is None else join_at,
            reset_crashes=True,
            cancel_seen=stage.told_of_cancel,
        )

    async def _deliver(self, entries: Sequence[Entry]) -> None:
        """Let the function take in what has happened, in this order."""

        def some(piece: Sequence[Entry]) -> None:
            for entry in piece:
                if self._stage.finished:
                    break
                self._stage.deliver(entry)

        for start in range(0, len(entries), _AT_ONCE):
            await outside(partial(some, entries[start : start + _AT_ONCE]))

    # Small things

    @property
    def _busy(self) -> bool:
        """Whether something goes on in this process that is worth waiting for."""
        return bool(len(self._steps)) or self._alarms.soon

    def _now(self) -> int:
        return self._run.services.time.now()

    def _encoded_state(self, *, all_: bool, new: Sequence[ChildOperation] = ()) -> bytes:
        stage = self._stage
        left = remembered(stage.open.values(), new, all_=all_)
        return replace(self._state, asked=stage.asked, open=left).encode()

    def _deadline_timer(self) -> Timer | None:
        run = self._run
        if (deadline := run.deadline) is None:
            return None
        when = run.services.time.monotonic_at(deadline)
        return run.services.clock.call_at(when, partial(run.held.interrupt, Reason.TIMEOUT))

    async def _stop_steps(self, reason: Reason) -> None:
        """Interrupt what runs, and wait until it has stopped."""
        if not len(self._steps):
            return
        held = self._run.held
        held.in_user_code = True
        try:
            await self._steps.stop_all(reason)
        finally:
            held.leave_user_code()


def _taken(items: list[Any]) -> list[Any]:
    taken = list(items)
    items.clear()
    return taken
