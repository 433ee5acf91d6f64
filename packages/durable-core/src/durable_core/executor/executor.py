"""The door that users come in by."""

import random as random_module
import socket
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from ..codec.serializer import JsonSerializer, Serializer
from ..durations import Duration
from ..engine.clock import Clock, SystemClock
from ..engine.engine import Engine
from ..engine.hooks import Hooks
from ..engine.ids import new_request
from ..engine.replay.loop import refuse_in_workflow
from ..engine.settings import Settings
from ..errors import (
    ExecutionNotFoundError,
    NotRunningError,
    OptionError,
    UnknownTaskError,
)
from ..options import TaskOptions
from ..storage import CancelOutcome, Storage
from ..storage.adapters import Metered, MethodMetrics, binder_of
from ..tasks.definitions import Definitions
from ..tasks.registry import Tasks
from ..tasks.task import Call, Task, must_be_call, must_be_task
from .bound import BoundExecutor, handle_of
from .checks import at_least, seconds
from .events import Events
from .handle import Handle, results_of
from .lookup import Lookup
from .plans import PlanDoor
from .sleepers import Sleepers

P = ParamSpec("P")
R = TypeVar("R")

_MEBIBYTE = 1024 * 1024


class DurableExecutor(Definitions, Events, Lookup, PlanDoor, Sleepers):
    """Runs tasks durably: at least once each, their results recorded once.

    Define tasks with its decorators, enter it with ``async with``, and enqueue. Any number of
    executors, in any number of processes, may work on one storage. Durations are seconds or
    timedeltas.

    Args:
        storage: Where executions are kept; closed when the executor shuts down.
        tasks: Registries of tasks defined elsewhere.
        name: Shown to people; the host's name by default. Each start gets an identity of its own.
        queues: Which queues to serve.
        concurrency: How many executions run at once.
        lease: A crashed executor's work is taken over after this time at the latest.
        poll_interval: How often to look for work without any sign of it; by default 2 seconds,
            or 10 if the storage sends hints.
        serializer: Makes the bytes of arguments and results; JSON by default.
        max_input: Bytes that encoded arguments may have.
        max_output: Bytes that an encoded result may have.
        hooks: Told of what happens; for logs, metrics and traces.
        retention: Finished executions are deleted after this time; None keeps them for ever.
        migrate: Create or migrate the storage's schema at start.
        client_only: Enqueue and wait, but run nothing.
        shutdown_timeout: How long running work is given to end before it is handed back.
        crash_limit: An execution that was running in so many executors when they died is not
            run again.
        thread_workers: At most so many threads; `concurrency` by default.
        process_workers: At most so many processes.
        patience: How long calls are repeated while the storage is away.
        clock: Monotonic time; injected by tests.
        random: Returns numbers in [0, 1); injected by tests.

    Raises:
        OptionError: A value is out of range.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        tasks: Tasks | Sequence[Tasks] = (),
        name: str | None = None,
        queues: Sequence[str] = ("default",),
        concurrency: int = 100,
        lease: Duration = 15,
        poll_interval: Duration | None = None,
        serializer: Serializer | None = None,
        max_input: int = _MEBIBYTE,
        max_output: int = _MEBIBYTE,
        hooks: Sequence[Hooks] = (),
        retention: Duration | None = None,
        migrate: bool = True,
        client_only: bool = False,
        shutdown_timeout: Duration = 15,
        crash_limit: int = 3,
        thread_workers: int | None = None,
        process_workers: int = 2,
        patience: Duration = 30,
        clock: Clock | None = None,
        random: Callable[[], float] | None = None,
    ) -> None:
        at_least("concurrency", concurrency, 1)
        at_least("crash_limit", crash_limit, 1)
        at_least("max_input", max_input, 1)
        at_least("max_output", max_output, 1)
        at_least("process_workers", process_workers, 1)
        at_least("thread_workers", concurrency if thread_workers is None else thread_workers, 1)
        if isinstance(queues, str) or not queues:
            msg = f"queues must be a list with at least one name, not {queues!r}"
            raise OptionError(msg)
        for queue in queues:
            TaskOptions.build(queue=queue)
        self._settings = Settings(
            name=name or socket.gethostname(),
            queues=tuple(dict.fromkeys(queues)),
            concurrency=concurrency,
            lease=seconds("lease", lease, at_least=0.1),
            poll_interval=None
            if poll_interval is None
            else seconds("poll_interval", poll_interval),
            max_input=max_input,
            max_output=max_output,
            migrate=migrate,
            client_only=client_only,
            shutdown_timeout=seconds("shutdown_timeout", shutdown_timeout, at_least=0),
            crash_limit=crash_limit,
            threads=concurrency if thread_workers is None else thread_workers,
            processes=process_workers,
            retention=None if retention is None else seconds("retention", retention, at_least=0),
            patience=seconds("patience", patience, at_least=0),
        )
        self._serializer = serializer or JsonSerializer()
        self.tasks = Tasks(serializer=self._serializer)
        for registry in (tasks,) if isinstance(tasks, Tasks) else tasks:
            self.tasks.include(registry)
        self._metered = Metered(storage)
        self._hooks = tuple(hooks)
        self._clock = clock or SystemClock()
        self._random = random or random_module.SystemRandom().random
        self._engine: Engine | None = None
        self._stopped = False

    # Definitions

    @property
    def serializer(self) -> Serializer:
        """Makes the bytes of arguments and results."""
        return self._serializer

    def register(self, task: Task[..., Any]) -> None:
        """Make a task known; an executor that runs already serves it from its next claim on.

        Raises:
            TaskDefinitionError: Another task has this name.
        """
        self.tasks.register(task)
        if self._engine is not None:
            self._engine.claimer.wake()

    # Life

    async def start(self) -> None:
        """Set up the storage and begin to work. Idempotent while it runs.

        Raises:
            StorageError: The storage cannot be used; nothing was started.
            NotRunningError: It was shut down; make a new executor.
        """
        if self._engine is not None:
            return
        if self._stopped:
            msg = "this executor was shut down: make a new one"
            raise NotRunningError(msg)
        engine = Engine(
            self._metered,
            self._settings,
            tasks=self.tasks,
            hooks=self._hooks,
            clock=self._clock,
            random=self._random,
        )
        self._engine = engine
        try:
            await engine.start()
        except BaseException:
            self._engine = None
            await self._metered.close()
            raise

    async def shutdown(self, timeout: Duration | None = None) -> None:
        """Stop claiming, let running work end, hand back what does not, and close the storage.

        What is handed back can be claimed by other executors at once. Idempotent.

        Args:
            timeout: Instead of the executor's `shutdown_timeout`.
        """
        engine = self._engine
        self._stopped = True
        if engine is None:
            return
        patience = self._settings.shutdown_timeout
        if timeout is not None:
            patience = seconds("timeout", timeout, at_least=0)
        try:
            await engine.stop(patience)
        finally:
            self._engine = None
            await self._metered.close()

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Shut down."""
        await self.shutdown()

    @property
    def running(self) -> frozenset[str]:
        """Ids of the executions that this executor holds now."""
        return frozenset() if self._engine is None else frozenset(self._engine.runner.owned)

    @property
    def id(self) -> str | None:
        """The present identity in the storage; None while it is not running."""
        return None if self._engine is None else self._engine.heart.owner or None

    @property
    def engine(self) -> Engine:
        """The engine at work, for tools and tests.

        Raises:
            NotRunningError: It was not started, or was shut down.
            WorkflowError: It is asked for in a durable function.
        """
        refuse_in_workflow("an executor")
        if self._engine is None:
            what = "was shut down" if self._stopped else "was not started"
            msg = f"this executor {what}: use 'async with executor', or await executor.start()"
            raise NotRunningError(msg)
        return self._engine

    def storage_metrics(self) -> dict[str, MethodMetrics]:
        """Return, per method of the storage, calls, errors and latencies so far."""
        return self._metered.metrics()

    # Enqueueing

    async def enqueue(self, task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Store an execution of a task; it runs as soon as an executor has a free place.

        With an id or key (`Task.with_options`) that exists for the same task and input, a handle
        on the existing execution is returned, whatever its state.

        Args:
            task: What to run.
            *args: Its arguments.
            **kwargs: Its arguments.

        Returns:
            A handle, when the execution is stored.

        Raises:
            InputError: The arguments do not fit; nothing was stored.
            PayloadTooLargeError: They are too large; nothing was stored.
            IdConflictError: The id or key exists for another task or input; nothing was stored.
            UnknownTaskError: The task was not defined for this executor.
            StorageError: The storage was away for longer than the executor's `patience`.
                Enqueueing again with the same id or key is safe.
        """
        must_be_task(task)
        call: Call[R] = task.call(*args, **kwargs)
        engine = self.engine
        self.check_known(task)
        if engine.time_is_old:
            await engine.fresh_time()
        owner = engine.may_hold(task.name, task.options.queue)
        item = engine.rows.new(call, now=engine.time.now(), owner=owner)
        since = engine.waiters.news
        return handle_of(engine, call, item, await engine.insert(item), since=since)

    async def enqueue_many(self, calls: Iterable[Call[R]]) -> list[Handle[R]]:
        """Store many executions with few commits.

        Args:
            calls: Made with `Task.call`. All are checked before the first is stored.

        Returns:
            Handles, in order.

        Raises:
            ExceptionGroup: Some were refused (see `enqueue`); the others are stored.
        """
        engine = self.engine
        calls = list(calls)
        for call in calls:
            must_be_call(call, "what enqueue_many is given")
            self.check_known(call.task)
        await engine.fresh_time()
        now = engine.time.now()
        items = [engine.rows.new(call, now=now) for call in calls]
        since = engine.waiters.news
        answers = engine.insert_many(items)
        handles: list[Handle[R]] = []
        errors: list[Exception] = []
        for call, item, answer in zip(calls, items, answers, strict=True):
            try:
                handles.append(handle_of(engine, call, item, await answer, since=since))
            except Exception as error:  # noqa: BLE001 - collected
                errors.append(error)
        if errors:
            msg = f"{len(errors)} of {len(calls)} executions were not stored"
            raise ExceptionGroup(msg, errors)
        return handles

    def bind(self, tx: object) -> BoundExecutor:
        """Return an executor that enqueues, wakes and cancels inside the caller's transaction.

        Nothing happens before the caller commits, and nothing at all after a rollback.

        Args:
            tx: The caller's connection or session; see the storage's documentation.

        Raises:
            OptionError: The storage cannot join transactions.
        """
        binder = binder_of(self._metered)
        if binder is None:
            msg = "this storage cannot join a caller's transaction (its capability 'bind' is off)"
            raise OptionError(msg)
        return BoundExecutor(self.engine, binder.bind(tx), self.check_known, self.serializer)

    def check_known(self, task: Task[..., Any]) -> None:
        """Refuse a task that was not defined for this executor.

        Raises:
            UnknownTaskError: It was not.
        """
        known = self.tasks.find(task.name)
        if known is None:
            raise UnknownTaskError(
                f"task {task.name!r} was not defined for this executor: use its decorators, or "
                "give it the registry with tasks=..."
            )

    # Results

    async def handle(self, task: Task[..., R], id: str) -> Handle[R]:  # noqa: A002
        """Return a handle on an existing execution.

        Args:
            task: Its task.
            id: Its id.

        Raises:
            ExecutionNotFoundError: There is none with this id, or it belongs to another task.
        """
        engine = self.engine
        (record,) = await engine.writer.records([id])
        if record is None or record.task != task.name:
            what = "there is none" if record is None else f"it belongs to task {record.task!r}"
            raise ExecutionNotFoundError(f"no execution {id!r} of task {task.name!r}: {what}")
        return Handle(engine, task, id, created=False)

    async def results(
        self, handles: Iterable[Handle[R]], timeout: Duration | None = None
    ) -> list[R]:
        """Wait for many executions at the cost of one: no asyncio task each.

        Args:
            handles: Any number.
            timeout: The caller's patience for all of them; None waits for ever.

        Returns:
            The results, in the order of the handles.

        Raises:
            ExecutionError: The first in order that did not complete, when all have ended.
            WaitTimeoutError: The patience ended; the executions go on.
        """
        return await results_of(self.engine, list(handles), timeout)

    async def cancel(self, id: str) -> bool:  # noqa: A002
        """Cancel an execution by id, without waiting for a running one to stop.

        Returns:
            Whether this request ended it, or has told it to end; False: it had ended before, or
            does not exist.
        """
        (answer,) = await self.engine.cancel([id], new_request())
        return answer.outcome in (CancelOutcome.ENDED, CancelOutcome.MARKED)
