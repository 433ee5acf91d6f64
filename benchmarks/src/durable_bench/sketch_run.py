"""A process that runs the sketch: `python -m durable_bench.sketch_run <order>`."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import cast

from .orders import Act, Order, RunFailedError, answer, serve, worker
from .rooms import Room, room_of
from .run import timed
from .sample import Counts, Sample
from .sketch import Enqueuer, SharedStore, Sketch, Store, Worker


@asynccontextmanager
async def _open(order: Order, room: Room) -> AsyncGenerator[Store]:
    store = room.store(order.where)
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
    case, room = order.look_up(), room_of(order.storage)
    async with _open(order, room) as store:

        async def counts() -> Counts | None:
            return await room.counts(order.where) or store.counts()

        if not store.durable or (case.filled and order.unfilled):
            await _fill(order, store)
        if not case.apart:
            return await timed(Sketch(store), case, counts=counts)
        enqueuer = Enqueuer(_shared(room, store))
        async with worker(order):
            try:
                return await timed(enqueuer, case, counts=counts)
            finally:
                await enqueuer.close()


async def _work(order: Order) -> None:
    room = room_of(order.storage)
    async with _open(order, room) as store:
        works = Worker(_shared(room, store), order.look_up().concurrency).work()
        async with asyncio.TaskGroup() as group:
            working = group.create_task(works)
            await serve()
            working.cancel()


def _shared(room: Room, store: Store) -> SharedStore:
    if not room.shared:
        raise RunFailedError(f"two processes cannot share {room.target}: it lives in one")
    # The stores of all rooms that two processes can share are for two.
    return cast("SharedStore", store)


async def main(order: Order) -> None:
    """Carry out one order."""
    match order.act:
        case Act.RUN:
            answer(await _run(order))
        case Act.WORK:
            await _work(order)
        case Act.FILL:
            room = room_of(order.storage)
            async with _open(order, room) as store:
                await _fill(order, store)
            await room.settle(order.where)


if __name__ == "__main__":
    asyncio.run(main(Order.parse(sys.argv[1])))
