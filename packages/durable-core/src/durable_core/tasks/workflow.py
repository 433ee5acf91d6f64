"""What a durable function is given: operations whose results are recorded."""

import asyncio
import logging
import random as random_module
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import (
    Any,
    Concatenate,
    Literal,
    NoReturn,
    ParamSpec,
    TypeVar,
    overload,
)
from uuid import UUID

from ..durations import Duration, to_us
from ..options import RetryPolicy, TaskOptions
from ..options.checks import check_aware
from .context import Context
from .events import Event, check_event_key, event_of
from .stage import Stage
from .step import StepOptions, check_step_name
from .task import Task

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
TxT = TypeVar("TxT")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOGGER = logging.getLogger("durable.task")


class Operations:
    """Runs functions as steps, with options; made by `WorkflowContext.with_options`."""

    __slots__ = ("_options", "_stage")

    def __init__(self, stage: Stage, options: StepOptions) -> None:
        self._stage = stage
        self._options = options

    @overload
    def step(
        self, function: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> "asyncio.Future[R]": ...
    @overload
    def step(
        self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> "asyncio.Future[R]": ...
    def step(
        self, function: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> "asyncio.Future[Any]":
        """Run a function, and record its result once.

        It begins at once, beside what else runs. Async functions run in the executor's event
        loop, others in a thread. Each attempt, retried as the task's policy or `with_options`
        says, may run again if its process dies before the result is recorded. What is awaited is
        the result as it was recorded: of the type that the annotation says.

        Args:
            function: A function, or a task that is one function. Its name is what the record is
                matched by.
            *args: Its arguments; they are not stored.
            **kwargs: Its arguments.

        Raises:
            StepFailedError: Where the result is awaited: it failed for good.
            InputError: It is no function; of other tasks, use `WorkflowContext.call`.
            RecordMismatchError: The record has another operation at this place; the execution
                ends with it.
        """
        return self._stage.step(function, args, kwargs, self._options)

    def transaction(
        self,
        begin: Callable[[], AbstractAsyncContextManager[TxT]],
        function: Callable[Concatenate[TxT, P], Awaitable[R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> "asyncio.Future[R]":
        """Run a function in a transaction that also records its result: exactly once.

        What the function writes through the connection, and that it has run, are committed
        together or not at all. The connection must lead to the database that the storage is in.

        Args:
            begin: Opens the transaction and gives the connection or session, committing when left
                without an error: such as ``engine.begin`` of SQLAlchemy's `AsyncEngine`.
            function: An async function whose first argument is that connection.
            *args: Its further arguments; they are not stored.
            **kwargs: Its further arguments.

        Raises:
            OptionError: The storage cannot join transactions.
            StepFailedError: Where the result is awaited: it failed for good, rolled back.
            RecordMismatchError: See `step`.
        """
        return self._stage.transaction(begin, function, args, kwargs, self._options)


class WorkflowContext(Operations):
    """One run of a durable function: everything that it does to the world goes through this.

    Operations begin when they are called, and are awaited like futures: one by one, or several
    with `gather`, `asyncio.gather`, a `TaskGroup`, `asyncio.timeout`. When the function has to
    wait for long it is put to sleep; later it is run again from its beginning, and every operation
    that is recorded gives its recorded result at once. So between operations it must do the same
    each time: no input or output, no clock, no chance but those offered here.
    """

    __slots__ = ()

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage, StepOptions())

    @property
    def execution(self) -> Context:
        """The execution: its id, tags, meta, parent."""
        return self._stage.context

    @property
    def execution_id(self) -> str:
        """Its id."""
        return self._stage.context.execution_id

    @property
    def replaying(self) -> bool:
        """Whether the function is still being led through its record."""
        return self._stage.replaying

    @property
    def recorded(self) -> int:
        """How many results are recorded so far; see `continue_as_new`."""
        return self._stage.recorded

    @property
    def logger(self) -> "logging.LoggerAdapter[logging.Logger]":
        """A logger that is silent while the record is replayed, so that each line comes once."""
        context = self._stage.context
        extra: dict[str, object] = {"execution_id": context.execution_id, "task": context.task}
        return _Quiet(_LOGGER, extra, self._stage)

    def now(self) -> datetime:
        """Return the time, in UTC: that of the last result, the same in every run."""
        return _EPOCH + timedelta(microseconds=self._stage.now())

    @property
    def random(self) -> random_module.Random:
        """Random numbers, the same in every run of this execution; not for secrets."""
        return self._stage.random

    def uuid(self) -> UUID:
        """Return a new UUID, the same in every run of this execution; not for secrets."""
        return UUID(int=self._stage.random.getrandbits(128), version=4)

    def with_options(
        self,
        *,
        name: str | None = None,
        retries: RetryPolicy | int | None = None,
        timeout: Duration | None = None,
    ) -> Operations:
        """Return `step` and `transaction` with other options than the function's own.

        Args:
            name: The step's name, instead of the function's.
            retries: How many, or a `RetryPolicy`.
            timeout: For each attempt: seconds or a timedelta.

        Raises:
            OptionError: A value is out of range.
            TaskDefinitionError: The name cannot be stored.
        """
        checked = TaskOptions.build(retries=retries, timeout=timeout)
        options = StepOptions(
            name=None if name is None else check_step_name(name),
            retries=None if retries is None else checked.retries,
            timeout_us=checked.timeout_us,
        )
        return Operations(self._stage, options)

    def call(self, task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> "asyncio.Future[R]":
        """Run a task as a child: an execution of its own, anywhere, with its own retries.

        Cancelling the future cancels the child.

        Args:
            task: Any kind of task, also another durable function.
            *args: Its arguments.
            **kwargs: Its arguments.

        Raises:
            ExecutionError: Where the result is awaited: the subclass that says how it ended.
            InputError: The arguments do not fit.
            RecordMismatchError: See `step`.
        """
        return self._stage.call(task.call(*args, **kwargs))

    def sleep(self, duration: Duration) -> "asyncio.Future[None]":
        """Wait; a long wait holds no place and survives restarts.

        Args:
            duration: Seconds or a timedelta.

        Raises:
            OptionError: It is negative, or no duration.
        """
        return self._stage.sleep(us=to_us(duration, "the duration of a sleep"), until=None)

    def sleep_until(self, when: datetime) -> "asyncio.Future[None]":
        """Wait until a time; at once if it is past.

        Args:
            when: With a time zone.

        Raises:
            OptionError: It has no time zone, or is no datetime.
        """
        check_aware("when", when)
        return self._stage.sleep(us=None, until=(when - _EPOCH) // timedelta(microseconds=1))

    @overload
    def wait_for(
        self, event: Event[T], /, *, key: str, timeout: Duration | None = None
    ) -> "asyncio.Future[T]": ...
    @overload
    def wait_for(
        self, event: str, /, *, key: str, timeout: Duration | None = None
    ) -> "asyncio.Future[Any]": ...
    def wait_for(
        self, event: Event[Any] | str, /, *, key: str, timeout: Duration | None = None
    ) -> "asyncio.Future[Any]":
        """Wait for an event from outside, sent by `DurableExecutor.send_event`.

        One that was sent before is taken at once, if it is still kept.

        Args:
            event: An event, or its name: then the payload is what JSON carries.
            key: Which one: 1 to 191 characters; at most one execution waits for each.
            timeout: How long: seconds or a timedelta; None for ever.

        Raises:
            EventTimeoutError: Where it is awaited: nobody sent it in time.
            EventConflictError: Where it is awaited: another execution waits for it.
            InputError: The key cannot be stored.
            RecordMismatchError: See `step`.
        """
        check_event_key(key)
        timeout_us = None if timeout is None else to_us(timeout, "timeout")
        return self._stage.wait_for(event_of(event), key, timeout_us)

    @overload
    async def gather(
        self, *pending: Awaitable[R], return_exceptions: Literal[False] = False
    ) -> list[R]: ...
    @overload
    async def gather(
        self, *pending: Awaitable[R], return_exceptions: Literal[True]
    ) -> list[R | Exception]: ...
    @overload
    async def gather(
        self, *pending: Awaitable[Any], return_exceptions: bool = False
    ) -> list[Any]: ...
    async def gather(self, *pending: Awaitable[Any], return_exceptions: bool = False) -> list[Any]:
        """Wait for several operations.

        Args:
            *pending: What `step`, `call`, `wait_for`, `sleep` and `transaction` have returned, or
                coroutines that do more.
            return_exceptions: True waits for all, however they end, and puts errors in the place
                of results. False raises the first error and cancels the others.

        Returns:
            The results, in the order of the arguments.
        """
        futures = [asyncio.ensure_future(one) for one in pending]
        if return_exceptions:
            self._stage.need_all(futures)
        try:
            return await asyncio.gather(*futures, return_exceptions=return_exceptions)
        finally:
            for one in futures:
                one.cancel()

    def version(self, change: str) -> bool:
        """Whether this execution goes the new way at a place where the code was changed.

        True for executions that come here first now, false for those that were past this place
        before the change; either answer stays for the execution's life.

        Args:
            change: A name for the change; keep the call as long as such executions live.
        """
        return self._stage.version(change)

    def continue_as_new(self, *args: Any, **kwargs: Any) -> NoReturn:
        """End this run and begin the function again, with other arguments and an empty record.

        The new run is an execution of its own; handles on the old one follow to it. What is
        still pending is cancelled.

        Args:
            *args: The function's arguments, without context.
            **kwargs: The function's arguments.

        Raises:
            InputError: They do not fit.
            WorkflowError: This execution is a child: its parent waits for this one only.
        """
        self._stage.continue_as_new(args, kwargs)


class _Quiet(logging.LoggerAdapter[logging.Logger]):
    """Logs only what is new."""

    def __init__(self, logger: logging.Logger, extra: dict[str, object], stage: Stage) -> None:
        super().__init__(logger, extra)
        self._stage = stage

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the base class's name
        """Return false while the record is replayed."""
        return not self._stage.replaying and super().isEnabledFor(level)
