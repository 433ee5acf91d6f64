"""A worker whose transactions have effects in the storage's own database, and that kills itself."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from typing import Any

from workflow_targets import author_of

from durable_conformance import StorageConformance
from durable_core import DurableExecutor, Handle, RetryPolicy, Tasks, WorkflowContext
from durable_core.storage import NewExecution, Query, Storage
from durable_core.storage.adapters import binder_of
from durable_core.testing.faults import Fault, FaultyStorage, LoggedCall, Plan

EFFECT = "effects"

PATIENCE = 240.0
"""Seconds; MongoDB keeps the transaction of a killed process open for a minute."""

POINTS = (
    "before effect",
    "after effect",
    "before bind_checkpoint",
    "after bind_checkpoint",
    "before commit",
    "after commit",
    "before apply",
    "after apply",
)
"""Where a process may die; each comes three times in its life, the last two once at least."""


class Bank:
    """Makes effects in the caller's transaction: rows that nobody runs.

    Args:
        author: Opens transactions.
        storage: On which.
        point: Called at points at which this process may die.
    """

    def __init__(
        self, author: StorageConformance, storage: Storage, point: Callable[[str], None]
    ) -> None:
        self._author = author
        self._storage = storage
        self._point = point
        self._made = 0

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[object]:
        """Open a transaction that is committed when it is left without an error."""
        async with self._author.transaction(self._storage) as caller:
            try:
                yield caller.tx
            except BaseException:
                await caller.rollback()
                raise
            self._point("before commit")
            await caller.commit()
            self._point("after commit")

    async def effect(self, tx: object, number: int) -> int:
        """Have an effect; having it twice makes two rows."""
        self._point("before effect")
        binder = binder_of(self._storage)
        assert binder is not None
        self._made += 1
        row = NewExecution(
            id=f"effect-{os.getpid()}-{self._made}",
            task=EFFECT,
            tags=frozenset({f"effect {number}"}),
        )
        await binder.bind(tx).insert(items=[row], now=1)
        self._point("after effect")
        return number

    async def fail(self, tx: object, number: int) -> int:
        """Have an effect, and fail."""
        await self.effect(tx, number)
        msg = "after all"
        raise ValueError(msg)


async def effects_of(storage: Storage) -> dict[str, int]:
    """Return how often each effect is there."""
    page = await storage.find(query=Query(tasks=frozenset({EFFECT})), limit=100)
    return dict(Counter(tag for head in page.items for tag in head.tags))


def work_of(bank: Bank) -> tuple[Tasks, Any]:
    """Return a function of three transactions, two of them at once."""
    tasks = Tasks()

    @tasks.workflow
    async def three(ctx: WorkflowContext) -> list[int]:
        patient = ctx.with_options(retries=RetryPolicy(100, delay=0))
        first = await patient.transaction(bank.begin, bank.effect, 1)
        second = patient.transaction(bank.begin, bank.effect, 2)
        third = patient.transaction(bank.begin, bank.effect, 3)
        return [first, *await ctx.gather(second, third)]

    return tasks, three


class Death:
    """Kills this process at one point of its life.

    Args:
        name: Which.
        before: How often it comes to that point without dying.
    """

    def __init__(self, name: str, before: int) -> None:
        self._name = name
        self._left = before

    def point(self, name: str) -> None:
        """Live on, or die here."""
        if name != self._name:
            return
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1


class Deadly(Plan):
    """Makes each writing call of the storage two points: before it, and after it."""

    def __init__(self, death: Death) -> None:
        self._death = death

    def fault(self, call: LoggedCall) -> Fault | None:
        """See `Plan.fault`."""
        if call.method not in {"apply", "bind_checkpoint"}:
            return None
        self._death.point(f"before {call.method}")
        return Fault(error_after=lambda: self._after(call.method))

    def _after(self, method: str) -> BaseException:
        self._death.point(f"after {method}")
        return _Alive()


class _Alive(BaseException):
    """The process was not to die here."""


class Mortal(FaultyStorage):
    """A storage with points, which answers as if nothing had been."""

    def _raise(self, fault: Fault, error: Callable[[], BaseException] | None) -> None:
        if error is not None and not isinstance(raised := error(), _Alive):
            raise raised


def run(pipe: Connection, target: str, namespace: str, name: str, before: int) -> None:
    """Enqueue the function once and run until it has ended, or until a point of this life.

    Args:
        pipe: Told when it has ended.
        target: On which storage.
        namespace: Where there.
        name: At which point it dies.
        before: How often it comes to that point without dying.
    """
    asyncio.run(_run(Death(name, before), target, namespace))
    pipe.send("ended")


async def _run(death: Death, target: str, namespace: str) -> None:
    author = author_of(target)
    async with author.open(namespace) as inner, author.open(namespace) as own:
        await own.setup()
        tasks, three = work_of(Bank(author, own, death.point))
        await result_of(Mortal(inner, Deadly(death)), tasks, three)


async def result_of(storage: Storage, tasks: Tasks, three: Any) -> list[int]:
    """Enqueue the function, or find it, and return its result."""
    async with DurableExecutor(
        storage, tasks=tasks, lease=0.5, poll_interval=0.1, crash_limit=100
    ) as executor:
        handle: Handle[list[int]] = await executor.enqueue(three.with_options(id="three"))
        return await handle.result(timeout=PATIENCE)
