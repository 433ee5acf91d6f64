"""Ending tasks that use a driver."""

import asyncio
from typing import Any, Final

_AGAIN: Final = 0.5


async def cut_off(task: "asyncio.Task[Any]") -> None:
    """Cancel a task and wait until it has ended, however it ends.

    Cancels again and again: drivers connect and send inside of `asyncio.wait_for`, which before
    Python 3.12 loses a cancellation that comes in the moment in which it is done.

    Args:
        task: What it returns or raises is dropped.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_AGAIN)
    if not task.cancelled():
        task.exception()  # looked at, so that nobody complains of it
