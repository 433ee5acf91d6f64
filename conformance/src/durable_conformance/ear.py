"""Listening in the background, so that a hint is acted on the moment it arrives."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from durable_core.storage import Finished, Hint, Listen, Ready, Reconnected, Storage

PATIENCE = 10.0
"""Seconds to wait for a hint that should come; it may be lost, but not every one."""


class Ear:
    """What a listener heard.

    Attributes:
        heard: All hints, in order.
    """

    def __init__(self) -> None:
        self.heard: list[Hint] = []
        self._more = asyncio.Event()

    def add(self, hint: Hint) -> None:
        """Take note of a hint."""
        # Whose call it is about makes no difference to what was promised.
        self.heard.append(hint if isinstance(hint, Reconnected) else replace(hint, own=False))
        self._more.set()

    async def hears(self, *wanted: Hint, since: int = 0) -> bool:
        """Wait until one of these was heard, or patience has ended.

        Args:
            wanted: Any of these.
            since: Only what was heard after so many hints counts.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                while not any(hint in wanted for hint in self.heard[since:]):
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            return False
        return True


@asynccontextmanager
async def listening(
    storage: Storage,
    *queues: str,
    then: Callable[[Hint], Awaitable[None]] | None = None,
) -> AsyncGenerator[Ear]:
    """Listen until the end of the context; the first hint was heard when it begins.

    Args:
        storage: A storage that declares ``push``.
        queues: Report `Ready` for these.
        then: Called with each hint, at once.
    """
    assert isinstance(storage, Listen), "`push` is declared, but there is no method of it"
    hints = storage.listen(queues=queues)
    ear = Ear()

    async def hear() -> None:
        async for hint in hints:
            assert isinstance(hint, Ready | Finished | Reconnected), f"{hint!r} is no hint"
            if then is not None:
                await then(hint)
            ear.add(hint)

    task = asyncio.create_task(hear())
    try:
        assert await ear.hears(Reconnected()), "a listener begins with `Reconnected`"
        yield ear
        if task.done():
            # Whatever ended it, an assertion above all, is the check's own.
            task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        close = getattr(hints, "aclose", None)
        if close is not None:
            await close()
