"""A process that runs the engine: `python -m durable_bench.engine_run <order>`."""

import asyncio
import sys
from dataclasses import replace

from durable_core import DurableExecutor
from durable_core.storage import Storage

from .cases import Case, Kind
from .engine import TASKS, Engine, backlog, fill, handles, idle
from .orders import Act, Order, answer, serve, worker
from .rooms import Room, room_of
from .run import timed
from .sample import Counts, Sample
from .workloads import warm_up


def _executor(storage: Storage, case: Case, *, client_only: bool = False) -> DurableExecutor:
    return DurableExecutor(
        storage, tasks=TASKS, concurrency=case.concurrency, client_only=client_only
    )


async def _fill(order: Order, room: Room, storage: Storage) -> None:
    case = order.look_up()
    await storage.setup()
    await room.fill(order.where, storage, case.finished, case.scheduled)


async def _run(order: Order) -> Sample:
    case, room = order.look_up(), room_of(order.storage)
    if case.kind is Kind.IDLE:
        return await _run_idle(order, room, case)
    if case.kind is Kind.BACKLOG:
        return await _run_backlog(order, room, case)
    storage = room.storage(order.where)
    if case.filled and (order.unfilled or not room.shared):
        await _fill(order, room, storage)
        await room.settle(order.where)
    executor = _executor(storage, case, client_only=case.apart)

    async def counts() -> Counts | None:
        return await room.counts(order.where) or room.said(storage)

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


async def _run_idle(order: Order, room: Room, case: Case) -> Sample:
    counts = await room.watch(order.where)
    storage = room.storage(order.where)
    executor = _executor(storage, case)
    async with executor:
        await warm_up(Engine(executor), case)
        if case.count > 1:
            await Engine(executor).sleep(case.count)
        sample = await idle(case.seconds, counts, lambda: _calls(executor))
    return replace(sample, durability=storage.capabilities.durability)


async def _run_backlog(order: Order, room: Room, case: Case) -> Sample:
    storage = room.storage(order.where)
    await storage.setup()
    await fill(storage, ready=case.count)
    await room.settle(order.where)

    async def counts() -> Counts | None:
        return await room.counts(order.where) or room.said(storage)

    sample = await backlog(_executor(storage, case), case.count, counts, room.times)
    return replace(sample, durability=storage.capabilities.durability)


def _calls(executor: DurableExecutor) -> int:
    return sum(method.count for method in executor.storage_metrics().values())


async def _work(order: Order) -> None:
    storage = room_of(order.storage).storage(order.where)
    async with _executor(storage, order.look_up()):
        await serve()


async def main(order: Order) -> None:
    """Carry out one order."""
    match order.act:
        case Act.RUN:
            answer(await _run(order))
        case Act.WORK:
            await _work(order)
        case Act.FILL:
            room = room_of(order.storage)
            storage = room.storage(order.where)
            await _fill(order, room, storage)
            await storage.close()
            await room.settle(order.where)


if __name__ == "__main__":
    asyncio.run(main(Order.parse(sys.argv[1])))
