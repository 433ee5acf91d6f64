"""Executors of several processes on one storage and one clock, and ways to harm them."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

from durable_core import DurableExecutor, ErrorInfo, Hooks
from durable_core.engine.clock import sleep
from durable_core.storage import Head, MemoryStorage, NewExecution, Phase, Query, Record
from durable_core.storage.adapters import MethodName
from durable_core.testing import FakeClock, run_until_idle, settle
from durable_core.testing.faults import Fault, FaultyStorage, LoggedCall, On, Plan

PROMISE = 20.0
"""The option `lease`, in seconds: after it, at the latest, the work of the dead is taken over."""

LEASE = PROMISE * 3 / 4
"""Seconds without a heartbeat after which an executor is dead; it beats three times as often."""


class World:
    """One namespace, one clock, and any number of executors.

    Attributes:
        clock: The clock of all executors and of the storage.
        space: A handle on the storage that no executor uses.
    """

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.space = MemoryStorage(clock=self.clock.time_us)
        self._storages: dict[int, FaultyStorage] = {}
        self._made: list[DurableExecutor] = []

    def executor(
        self,
        *plans: Plan,
        wrap: Callable[[MemoryStorage], Any] | None = None,
        **options: Any,
    ) -> DurableExecutor:
        """Return a new executor with a handle of its own, whose calls the plans may spoil."""
        handle = MemoryStorage(sharing=self.space)
        storage = FaultyStorage(
            handle if wrap is None else wrap(handle), *plans, sleep=partial(sleep, self.clock)
        )
        defaults: dict[str, Any] = {
            "clock": self.clock,
            "random": lambda: 0.5,
            "lease": PROMISE,
            "shutdown_timeout": 0,
            "name": f"executor-{len(self._made)}",
        }
        executor = DurableExecutor(storage, **{**defaults, **options})
        self._storages[id(executor)] = storage
        self._made.append(executor)
        return executor

    async def start(self, *plans: Plan, **options: Any) -> DurableExecutor:
        """Return a new executor that runs."""
        executor = self.executor(*plans, **options)
        await executor.start()
        return executor

    def faults(self, executor: DurableExecutor) -> FaultyStorage:
        """Return the executor's own way to the storage."""
        return self._storages[id(executor)]

    def calls(self, executor: DurableExecutor, *methods: MethodName) -> list[LoggedCall]:
        """Return the executor's calls of these methods so far."""
        return self.faults(executor).calls(*methods)

    async def kill(self, executor: DurableExecutor) -> None:
        """End an executor as `kill -9` does: nothing of it reaches the storage any more."""
        self.faults(executor).inject(On(None, Fault.stop()))
        engine = executor.engine
        tasks = [held.task for held in engine.runner.held.values()]
        tasks += [engine.claimer._task, engine.heart._task, engine.waiters._task, engine._rebirth]
        writer = engine.writer
        tasks += [channel._task for channel in (writer._inserts, writer._applies, writer._wakes)]
        tasks += engine._background
        dying = [task for task in tasks if task is not None]
        for task in dying:
            task.cancel()
        # What swallows its cancellation lives on in a process that cannot reach anybody.
        if dying:
            await asyncio.wait(dying, timeout=1)
        engine._workers.close()
        executor._engine = None
        executor._stopped = True

    async def close(self) -> None:
        """End what still runs."""
        for executor in self._made:
            if executor._engine is not None:
                await self.kill(executor)

    async def idle(self, *executors: DurableExecutor, horizon: float | None = None) -> None:
        """Let these executors work until there is nothing left to do."""
        await run_until_idle(*executors, horizon=horizon)

    async def advance(self, seconds: float) -> None:
        """Let time go by."""
        await self.clock.advance(seconds)
        await settle()

    async def row(self, execution_id: str) -> Record:
        """Return an execution as it is stored."""
        (row,) = await self.space.get(ids=[execution_id])
        assert isinstance(row, Record)
        return row

    async def rows(self, **query: Any) -> list[Record]:
        """Return all executions of a query as they are stored."""
        found: list[Record] = []
        cursor: str | None = None
        while True:
            page = await self.space.find(
                query=Query(**query), limit=1000, cursor=cursor, payload=True
            )
            found += [row for row in page.items if isinstance(row, Record)]
            cursor = page.cursor
            if cursor is None:
                return found

    async def count(self) -> int:
        """Return how many executions are stored."""
        return (await self.space.count(query=Query()))["*"]


def items_of(call: LoggedCall) -> list[Any]:
    """Return what an insert, apply or wake was asked to write."""
    return list(cast("list[Any]", call.arguments["items"]))


class Recorder(Hooks):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    def of(self, *names: str) -> list[tuple[str, Any]]:
        """Return what was told by these hooks."""
        return [(name, what) for name, what in self.told if name in names]

    def names(self) -> Sequence[str]:
        """Return which hooks were called."""
        return [name for name, _ in self.told]

    def enqueued(self, execution: NewExecution) -> None:
        self.told.append(("enqueued", execution.id))

    def started(self, execution: Head) -> None:
        self.told.append(("started", execution.id))

    def retried(self, execution: Head, error: ErrorInfo, due: int) -> None:
        self.told.append(("retried", (execution.id, error.message, due)))

    def finished(self, execution: Head, phase: Phase, error: ErrorInfo | None) -> None:
        self.told.append(("finished", (execution.id, phase)))

    def handed_back(self, execution: Head, reason: str) -> None:
        self.told.append(("handed_back", (execution.id, reason)))

    def lost(self, execution: Head) -> None:
        self.told.append(("lost", execution.id))

    def lease_lost(self, executor: str) -> None:
        self.told.append(("lease_lost", executor))

    def reaped(self, leases: int, rows: int) -> None:
        self.told.append(("reaped", (leases, rows)))
