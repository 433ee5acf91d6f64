"""A worker process that lives until it is killed."""

import asyncio
import logging
import multiprocessing
import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

from durable_core import DurableExecutor

from ..rooms import Place, room_of
from .plan import Plan
from .work import tasks

_START = 60.0
_NEVER_POISON = 10_000


def executor_on(
    plan: Plan, place: Place, *, name: str = "storm", client_only: bool = False
) -> DurableExecutor:
    """Return an executor that counts every kill as bad luck.

    Args:
        plan: The kill run.
        place: Where its rows are.
        name: Of the executor.
        client_only: Enqueues and wakes, but runs nothing.
    """
    return DurableExecutor(
        room_of(plan.target).storage(place),
        tasks=tasks,
        name=name,
        concurrency=plan.concurrency,
        lease=plan.lease,
        poll_interval=0.2,
        crash_limit=_NEVER_POISON,
        client_only=client_only,
        patience=plan.patience,
    )


def _work(plan: Plan, folder: Path, name: str, ready: Connection, servers: dict[str, str]) -> None:
    # What forks the workers may be older than the server of this run.
    os.environ.update(servers)
    # Warnings of what is repeated and taken over are what a kill run is made of.
    logging.basicConfig(level=logging.ERROR)
    asyncio.run(_work_for_ever(plan, Place(folder), name, ready))


async def _work_for_ever(plan: Plan, place: Place, name: str, ready: Connection) -> None:
    # Whoever started this worker may be killed, too: then nobody would end it.
    asyncio.get_running_loop().add_reader(ready.fileno(), os._exit, 1)
    async with executor_on(plan, place, name=name):
        ready.send("at work")
        await asyncio.Event().wait()


class Crew:
    """The workers of a kill run.

    Args:
        plan: The kill run.
        place: Where its rows are.
    """

    def __init__(self, plan: Plan, place: Place) -> None:
        self._plan = plan
        self._place = place
        self._started = 0
        self._context: ForkServerContext = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([__name__])
        self._running: list[tuple[str, BaseProcess, Connection]] = []

    @classmethod
    @contextmanager
    def at_work(cls, plan: Plan, place: Place) -> "Generator[Crew]":
        """Start so many workers as the plan says; those that are left at the end are killed."""
        crew = cls(plan, place)
        try:
            for _ in range(plan.workers):
                crew.start()
            crew.wait()
            yield crew
        finally:
            for _, process, ready in crew._running:
                _kill(process)
                ready.close()

    def start(self) -> None:
        """Start one more, and do not wait until it is at work."""
        name = f"storm-{self._started}"
        self._started += 1
        here, there = self._context.Pipe()
        servers = {key: value for key, value in os.environ.items() if key.startswith("DURABLE_")}
        process = self._context.Process(
            target=_work, args=(self._plan, self._place.folder, name, there, servers), daemon=True
        )
        process.start()
        there.close()
        self._running.append((name, process, here))

    def wait(self) -> None:
        """Wait until all are at work.

        Raises:
            RuntimeError: One ended instead.
        """
        for name, _, ready in self._running:
            try:
                if not ready.poll(_START):
                    raise RuntimeError(f"worker {name} did not start within {_START:.0f} s")
                ready.recv()
            except EOFError:
                raise RuntimeError(f"worker {name} ended before it was at work") from None

    def kill(self, place: int) -> str:
        """Kill one with SIGKILL, start another one in its place, and return the dead one's name."""
        name, process, ready = self._running.pop(place)
        _kill(process)
        ready.close()
        self.start()
        return name

    @property
    def pids(self) -> list[int]:
        """The processes."""
        return [process.pid for _, process, _ in self._running if process.pid is not None]

    def dead(self) -> list[str]:
        """Return the names of those that ended by themselves."""
        return [name for name, process, _ in self._running if not process.is_alive()]


def _kill(process: BaseProcess) -> None:
    if process.pid is not None and process.is_alive():
        os.kill(process.pid, signal.SIGKILL)
    process.join()
