"""A process that runs the sketch: `python -m durable_bench.sketch_run <order>`."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from .orders import Act, Order, RunFailedError, answer, serve, worker
from .run import timed
from .sample import Sample
from .sketch import Enqueuer, MemoryStore, Sketch, SqliteStore, Store, Worker

_FILE = "sketch.db"


def _sqlite(folder: Path) -> Store:
    return SqliteStore(folder / _FILE)


def _memory(_folder: Path) -> Store:
    return MemoryStore()


STORES: dict[str, Callable[[Path], Store]] = {"memory": _memory, "sqlite": _sqlite}
"""Storage → how its sketch is opened in a folder."""


@asynccontextmanager
async def _open(order: Order) -> AsyncGenerator[Store]:
    store = STORES[order.storage](order.folder)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def _fill(order: Order, store: Store) -> None:
    case = order.look_up()
    if case.filled:
        await store.fill(case.finished, case.scheduled)


async def _run(order: Order) -> Sample:
    case = order.look_up()
    async with _open(order) as store:
        if not store.durable:
            await _fill(order, store)
        if not case.apart:
            return await timed(Sketch(store), case, counts=store.counts)
        enqueuer = Enqueuer(_shared(store), order.folder / _FILE)
        async with worker(order):
            return await timed(enqueuer, case, counts=store.counts)


async def _work(order: Order) -> None:
    async with _open(order) as store:
        concurrency = order.look_up().concurrency
        works = Worker(_shared(store), order.folder / _FILE, concurrency).work()
        async with asyncio.TaskGroup() as group:
            working = group.create_task(works)
            await serve()
            working.cancel()


def _shared(store: Store) -> SqliteStore:
    if isinstance(store, SqliteStore):
        return store
    raise RunFailedError("two processes can share a file only: run this on sqlite")


async def main(order: Order) -> None:
    """Carry out one order."""
    match order.act:
        case Act.RUN:
            answer(await _run(order))
        case Act.WORK:
            await _work(order)
        case Act.FILL:
            async with _open(order) as store:
                await _fill(order, store)


if __name__ == "__main__":
    asyncio.run(main(Order.parse(sys.argv[1])))
