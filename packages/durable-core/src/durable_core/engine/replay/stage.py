"""The function's side: operations made and matched with the record, results delivered in order."""

import asyncio
import logging
import random as random_module
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import copy_context
from datetime import timedelta
from typing import Any, NoReturn, cast

from ...errors import OptionError, RecordMismatchError, RecordTooLargeError, WorkflowError
from ...tasks.context import CURRENT, Context
from ...tasks.events import Event
from ...tasks.step import StepOptions
from ...tasks.task import Call, Task
from ...tasks.workflow import WorkflowContext
from ...tasks.workflow_task import WorkflowTask
from ..run import Run, UnfitError
from .loop import WorkflowLoop, running_loop
from .matching import Matcher
from .operations import (
    ChildOperation,
    Operation,
    Pending,
    StepOperation,
    TimerOperation,
)
from .record import MAX_OPEN, Entry, History, How, Kind, Open, State

_LOG = logging.getLogger("durable.run")


class HaltError(BaseException):
    """Raised in the function when it must not go on; what follows is decided elsewhere."""


class ContinueAsNewError(BaseException):
    """Raised in the function by `continue_as_new`.

    Attributes:
        input: The new arguments, encoded.
    """

    def __init__(self, input_: bytes) -> None:
        super().__init__()
        self.input = input_


class Stage:
    """One run of a durable function, seen from inside; see `tasks.stage.Stage`.

    Args:
        run: The activation.
        task: The function.
        history: What it has done.
        state: What is open.

    Attributes:
        open: Operations that have not ended, by position.
        fresh: Those that have not been begun in this run, in order.
        dropped: Those that the function has given up since this was looked at.
        unwritten: What has happened and is delivered, and not recorded yet.
        large: Results of children that are too large for the record, by position.
        fatal: Why the function cannot go on.
        must_record: Whether `unwritten` has to be recorded before anything else begins.
    """

    def __init__(
        self, run: Run, task: WorkflowTask[..., Any], history: History, state: State
    ) -> None:
        self._run = run
        self._task = task
        self._history = history
        self._matcher = Matcher(run, history, state)
        self._asked = 0
        self._delivered = 0
        self._results = 0
        self._closed = False
        self.loop = WorkflowLoop(self._timer, self._complain)
        self.main: asyncio.Task[Any] | None = None
        self.open: dict[int, Operation] = {}
        self.fresh: list[Operation] = []
        self.dropped: list[Operation] = []
        self.unwritten: list[Entry] = []
        self.large: dict[int, bytes] = {}
        self.fatal: Exception | None = None
        self.must_record = False
        self.told_of_cancel = any(entry.kind is Kind.CANCEL for entry in history.entries)
        record = run.record
        seed = f"{record.id}\0{record.created_at}\0{state.run}"
        self.random = random_module.Random(seed)  # noqa: S311 - the same in every run

    # What the driver calls

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Start the function, as far as it comes by itself."""
        if not self._history.entries:
            began = Entry(kind=Kind.BEGAN, at=self._run.services.time.now())
            self.unwritten.append(began)
            self.loop.now_us = began.at
        elif self._history.entries[0].kind is Kind.BEGAN:
            self.loop.now_us = self._history.entries[0].at
        context = copy_context()
        context.run(CURRENT.set, self._run.context)
        function = self._task.function(WorkflowContext(self), *args, **kwargs)
        self.loop.let_in(lambda: self._start(function, context))
        self._pump()

    def _start(self, function: Any, context: Any) -> None:
        self.main = self.loop.create_task(function, name=self._run.record.id, context=context)

    def deliver(self, entry: Entry) -> None:
        """Let something that happened come in, and the function go on as far as it does."""
        self._delivered += 1
        self.loop.now_us = max(self.loop.now_us, entry.at)
        if entry.kind is Kind.CANCEL:
            self.told_of_cancel = True
            if self.main is not None:
                self.loop.let_in(self.main.cancel)
        elif entry.kind is Kind.VERSION:
            if entry.name not in self._matcher.chosen:
                self.fatal = self._matcher.behind(entry.name)
        elif entry.position >= 0:
            operation = self.open.pop(entry.position, None)
            if operation is not None:
                self._results += 1
                self.loop.let_in(lambda: self._resolve(operation, entry))
            elif entry.position >= self._asked:
                self.fatal = self._matcher.mismatch(entry, "asks for nothing more")
        if self.fatal is None:
            self._pump()

    @property
    def finished(self) -> bool:
        """Whether the function has ended, or cannot go on."""
        return self.fatal is not None or (self.main is not None and self.main.done())

    def check_end(self) -> None:
        """Refuse a function that ended although its record goes on."""
        if self.fatal is None and self.finished:
            self.fatal = self._matcher.left(self._asked)

    @property
    def asked(self) -> int:
        """How many operations the function has asked for."""
        return self._asked

    def close(self) -> None:
        """Forget the function."""
        self._closed = True
        self.loop.close()
        for operation in (*self.open.values(), *self.dropped):
            operation.future.remove_done_callback(self._on_done)

    def _pump(self) -> None:
        self.loop.pump(lambda: self.fatal is not None)

    def _resolve(self, operation: Operation, entry: Entry) -> None:
        future = operation.future
        if future.done():
            return
        try:
            how, payload = entry.how, entry.payload
            if how is How.STORED:
                how, payload = self._stored(operation, entry)
            value = operation.value(how, payload)
        except Exception as error:  # noqa: BLE001 - it is the function's
            future.set_exception(error)
        else:
            future.set_result(value)

    def _stored(self, operation: Operation, entry: Entry) -> tuple[How, bytes]:
        payload = self.large.get(operation.position)
        if payload is None:
            msg = f"child {operation.position} of {self._run.record.id} is gone"
            raise WorkflowError(msg)
        return How(entry.payload.decode()), payload

    # What the function calls, through its context

    @property
    def context(self) -> Context:
        """See `tasks.stage.Stage`."""
        return self._run.context()

    @property
    def replaying(self) -> bool:
        """See `tasks.stage.Stage`."""
        return self._matcher.replaying(self._delivered, self._asked)

    @property
    def recorded(self) -> int:
        """See `tasks.stage.Stage`."""
        return self._results

    def now(self) -> int:
        """See `tasks.stage.Stage`."""
        if self.unwritten:
            self.must_record = True
        return self.loop.now_us

    def step(
        self,
        function: Callable[..., Any] | Task[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: StepOptions,
    ) -> "asyncio.Future[Any]":
        """See `tasks.stage.Stage`."""
        self._enter()
        return self._step(Kind.STEP, None, function, args, kwargs, options)

    def transaction(
        self,
        begin: Callable[[], AbstractAsyncContextManager[Any]],
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: StepOptions,
    ) -> "asyncio.Future[Any]":
        """See `tasks.stage.Stage`."""
        self._enter()
        if not self._run.services.writer.storage.capabilities.bind_checkpoint:
            msg = (
                "this storage cannot record a step in a caller's transaction (its capability "
                "'bind_checkpoint' is off): use ctx.step, and make the step idempotent"
            )
            raise OptionError(msg)
        return self._step(Kind.TRANSACTION, begin, function, args, kwargs, options)

    def call(self, call: Call[Any]) -> "asyncio.Future[Any]":
        """See `tasks.stage.Stage`."""
        return self._child(Kind.CALL, call.task.name, call)

    def wait_for(
        self, event: Event[Any], key: str, timeout_us: int | None
    ) -> "asyncio.Future[Any]":
        """See `tasks.stage.Stage`."""
        sleeper = event.sleeper(self._task.serializer)
        if timeout_us is not None:
            sleeper = sleeper.with_options(timeout=timedelta(microseconds=max(1, timeout_us)))
        return self._child(Kind.EVENT, event.name, sleeper.call(key))

    def sleep(self, *, us: int | None, until: int | None) -> "asyncio.Future[None]":
        """See `tasks.stage.Stage`."""
        self._enter()
        return self._ask(
            TimerOperation(
                position=self._asked,
                kind=Kind.SLEEP,
                name="",
                future=self._pending(),
                due=self.loop.now_us + (us or 0) if until is None else until,
            )
        )

    def need_all(self, pending: Sequence["asyncio.Future[Any]"]) -> None:
        """See `tasks.stage.Stage`."""
        wanted = {id(future) for future in pending}
        members = [
            operation
            for operation in self.open.values()
            if isinstance(operation, ChildOperation) and id(operation.future) in wanted
        ]
        together = frozenset(operation.position for operation in members)
        for operation in members:
            operation.together = together

    def version(self, change: str) -> bool:
        """See `tasks.stage.Stage`."""
        self._enter()
        new, to_record = self._matcher.choose(change, replaying=self.replaying)
        if to_record:
            self.unwritten.append(Entry(kind=Kind.VERSION, name=change, at=self.loop.now_us))
        return new

    def continue_as_new(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> NoReturn:
        """See `tasks.stage.Stage`."""
        self._enter()
        if self._run.record.parent_id is not None:
            msg = (
                f"execution {self._run.record.id} is a child, and its parent waits for it only: "
                "continue_as_new is for executions without parent"
            )
            raise WorkflowError(msg)
        raise ContinueAsNewError(self._task.input_codec.encode(args, kwargs))

    # Making operations

    def _enter(self) -> None:
        """Refuse calls from elsewhere than the function."""
        if self._closed:
            msg = "the function is being put to sleep"
            raise GeneratorExit(msg)
        if running_loop() is not self.loop:
            msg = (
                "operations of a WorkflowContext can be begun in its durable function only, not "
                "in a step, a thread or a callback"
            )
            raise WorkflowError(msg)
        if self.fatal is not None:
            raise HaltError
        if len(self.open) >= MAX_OPEN:
            msg = (
                f"{MAX_OPEN} operations of execution {self._run.record.id} are pending, no more "
                "are allowed: await some of them first"
            )
            raise RecordTooLargeError(msg)

    def _step(  # noqa: PLR0917 - as its callers have them
        self,
        kind: Kind,
        begin: Callable[[], AbstractAsyncContextManager[Any]] | None,
        function: Callable[..., Any] | Task[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: StepOptions,
    ) -> "asyncio.Future[Any]":
        task = self._task.steps.of(function, options)
        return self._ask(
            StepOperation(
                position=self._asked,
                kind=kind,
                name=task.name,
                future=self._pending(),
                task=task,
                args=args,
                kwargs=kwargs,
                context=copy_context(),
                begin=begin,
                in_plan=options.in_plan,
            )
        )

    def _child(self, kind: Kind, name: str, call: Call[Any]) -> "asyncio.Future[Any]":
        self._enter()
        return self._ask(
            ChildOperation(
                position=self._asked,
                kind=kind,
                name=name,
                future=self._pending(),
                row=self._run.child(call, self._asked),
                codec=call.task.output_codec,
            )
        )

    def _timer(self, due: int) -> "asyncio.Future[None]":
        self._enter()
        return self._ask(
            TimerOperation(
                position=self._asked,
                kind=Kind.TIMER,
                name="",
                future=self._pending(),
                due=due,
            )
        )

    def _ask(self, operation: Operation) -> "asyncio.Future[Any]":
        try:
            known = self._matcher.known(operation)
        except (RecordMismatchError, UnfitError) as error:
            self.fatal = error
            raise HaltError from None
        self._asked += 1
        self.open[operation.position] = operation
        if isinstance(known, Open):
            operation.resume(known)
        if not isinstance(known, Entry):
            self.fresh.append(operation)
        future = operation.future
        future.operation = operation
        future.add_done_callback(self._on_done)
        return future

    def _pending(self) -> Pending:
        return Pending(loop=cast("asyncio.AbstractEventLoop", self.loop))

    def _on_done(self, future: "asyncio.Future[Any]") -> None:
        """Take note of an operation that the function has given up."""
        if not future.cancelled() or not isinstance(future, Pending):
            return
        operation = future.operation
        if self.open.pop(operation.position, None) is not None:
            if operation in self.fresh:
                self.fresh.remove(operation)
            if not self._matcher.ended(operation.position):
                self.dropped.append(operation)

    def _complain(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        _LOG.warning(
            "in durable function %s (%s): %s",
            self._run.record.task,
            self._run.record.id,
            context.get("message", "an error was not looked at"),
            exc_info=error if isinstance(error, BaseException) else None,
        )
