"""Tasks that are cut off end, whatever their library does with a cancellation."""

import asyncio

from durable_core.storage.kit import cut_off


async def test_a_cancellation_that_is_lost_is_told_again() -> None:
    lost = 0

    async def loses() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if lost == 2:
                    raise
                lost += 1

    task = asyncio.create_task(loses())
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await cut_off(task)
    assert task.cancelled()
    assert lost == 2


async def test_how_it_ends_is_nobodys_business() -> None:
    async def fails() -> None:
        msg = "on its own"
        raise ValueError(msg)

    task = asyncio.create_task(fails())
    await asyncio.wait([task])
    await cut_off(task)
    # Nothing is logged when it is collected: its error was looked at.
    assert not getattr(task, "_log_traceback")  # noqa: B009 - private to the standard library
