"""Work that waits to be let go."""

import asyncio

from durable_core import Tasks


class Work:
    """A task that waits to be let go, and what ran of it."""

    def __init__(self) -> None:
        self.tasks = Tasks()
        self.go = asyncio.Event()
        self.log: list[str] = []

        @self.tasks.task
        async def work(name: str) -> str:
            self.log.append(f"start {name}")
            try:
                await self.go.wait()
            except asyncio.CancelledError:
                self.log.append(f"stop {name}")
                raise
            self.log.append(f"end {name}")
            return name

        self.work = work
