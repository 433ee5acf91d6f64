"""A process that runs the engine: `python -m durable_bench.engine_run <order>`."""

import asyncio
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from durable_core import DurableExecutor
from durable_core.storage import MemoryStorage, Storage

from .cases import Case, Kind
from .engine import TASKS, Engine, fill, handles, idle
from .orders import Act, Order, answer, serve, worker
from .run import timed
from .sample import Counts, Sample
from .sqlite_tally import SqliteTally
from .storages import STORAGES
from .workloads import warm_up


class _Statistics(Protocol):
    """What a storage has done so far."""

    @property
    def statements(self) -> int: ...
    @property
    def table_statements(self) -> int: ...
    @property
    def commits(self) -> int: ...


@runtime_checkable
class _Counting(Protocol):
    """A storage that counts what reaches its database."""

    def statistics(self) -> _Statistics: ...


def _memory(_folder: Path) -> Storage:
    return MemoryStorage()


def _sqlite(folder: Path) -> Storage:
    # A run loads the storage that it measures, and no other.
    from durable_sqlite import SQLiteStorage  # noqa: PLC0415

    return SQLiteStorage(folder / "work.db")


_OPEN: Final[Mapping[str, Callable[[Path], Storage]]] = {"memory": _memory, "sqlite": _sqlite}


def _executor(storage: Storage, case: Case, *, client_only: bool = False) -> DurableExecutor:
    return DurableExecutor(
        storage, tasks=TASKS, concurrency=case.concurrency, client_only=client_only
    )


async def _fill(order: Order, storage: Storage) -> None:
    case = order.look_up()
    await storage.setup()
    await fill(storage, finished=case.finished, scheduled=case.scheduled)


async def _run(order: Order) -> Sample:
    case = order.look_up()
    if case.kind is Kind.IDLE:
        return await _run_idle(order, case)
    storage = _OPEN[order.storage](order.folder)
    if case.filled and not STORAGES[order.storage].shared:
        await _fill(order, storage)
    executor = _executor(storage, case, client_only=case.apart)

    def counts() -> Counts | None:
        return _counts(storage)

    def calls() -> int:
        return _calls(executor)

    async with executor:
        if case.kind is Kind.HANDLES:
            sample = await handles(executor, storage, case.count)
        elif case.apart:
            async with worker(order):
                sample = await timed(Engine(executor), case, counts=counts, calls=calls)
        else:
            sample = await timed(Engine(executor), case, counts=counts, calls=calls)
    return replace(sample, durability=storage.capabilities.durability)


async def _run_idle(order: Order, case: Case) -> Sample:
    # Idle connections can be listened to at no cost, the heartbeat's own included.
    tally = SqliteTally()
    tally.install()
    storage = _OPEN[order.storage](order.folder)
    executor = _executor(storage, case)
    counts = tally.read if isinstance(storage, _Counting) else _nothing
    async with executor:
        await warm_up(Engine(executor), case)
        sample = await idle(case.seconds, counts, lambda: _calls(executor))
    return replace(sample, durability=storage.capabilities.durability)


def _nothing() -> None:
    """Nobody counts."""


def _calls(executor: DurableExecutor) -> int:
    return sum(method.count for method in executor.storage_metrics().values())


async def _work(order: Order) -> None:
    storage = _OPEN[order.storage](order.folder)
    async with _executor(storage, order.look_up()):
        await serve()


def _counts(storage: Storage) -> Counts | None:
    """Return what the storage says of itself, if it counts."""
    if isinstance(storage, _Counting):
        said = storage.statistics()
        return Counts(
            statements=said.statements,
            table_statements=said.table_statements,
            commits=said.commits,
        )
    return None


async def main(order: Order) -> None:
    """Carry out one order."""
    match order.act:
        case Act.RUN:
            answer(await _run(order))
        case Act.WORK:
            await _work(order)
        case Act.FILL:
            storage = _OPEN[order.storage](order.folder)
            await _fill(order, storage)
            await storage.close()


if __name__ == "__main__":
    asyncio.run(main(Order.parse(sys.argv[1])))
