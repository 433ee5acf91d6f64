"""Threads and processes for functions that are not async."""

import asyncio
import importlib
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from contextvars import copy_context
from typing import Any

from ..tasks.task import FunctionTask, RunIn
from .threads import DaemonThreads


class Workers:
    """The worker threads and processes of one executor, made when they are first needed.

    Args:
        threads: At most so many threads.
        processes: At most so many processes.
    """

    def __init__(self, *, threads: int, processes: int) -> None:
        self._max_processes = processes
        self._threads = DaemonThreads(threads, "durable")
        self._processes: ProcessPoolExecutor | None = None
        self._places = {
            RunIn.THREAD: asyncio.Semaphore(threads),
            RunIn.PROCESS: asyncio.Semaphore(processes),
        }

    async def place(self, kind: RunIn) -> None:
        """Wait until a thread or process is free; what is started next gives the place back.

        So time-outs begin when a function begins, not while it waits for a worker.
        """
        await self._places[kind].acquire()

    def in_thread(self, call: Callable[[], object]) -> "Future[object]":
        """Run a call in a thread, with a copy of the caller's context variables."""
        context = copy_context()
        work = self._threads.submit(lambda: context.run(_fit_for_futures, call))
        return self._placed(RunIn.THREAD, work)

    def in_process(
        self, task: FunctionTask[..., Any], args: Sequence[object], kwargs: Mapping[str, object]
    ) -> "Future[object]":
        """Run a task's function in a process that imports it by name."""
        if self._processes is None:
            self._processes = _pool(self._max_processes)
        pool = self._processes
        try:
            work = pool.submit(_run_by_name, *_name_of(task), args, kwargs)
        except BrokenProcessPool:
            self._broken(pool)
            return self.in_process(task, args, kwargs)
        work.add_done_callback(lambda _: self._broken(pool) if _is_broken(work) else None)
        return self._placed(RunIn.PROCESS, work)

    def in_own_process(
        self, task: FunctionTask[..., Any], args: Sequence[object], kwargs: Mapping[str, object]
    ) -> "Future[object]":
        """Run a task's function in a process that is made for it alone and ends with it."""
        pool = _pool(1)
        work = pool.submit(_run_by_name, *_name_of(task), args, kwargs)
        work.add_done_callback(lambda _: pool.shutdown(wait=False))
        return work

    def close(self) -> None:
        """Take no more work; threads that still run are not waited for."""
        self._threads.close()
        if self._processes is not None:
            self._broken(self._processes)

    def _placed(self, kind: RunIn, work: "Future[object]") -> "Future[object]":
        """Let the work give its place back when it ends, in the event loop."""
        loop = asyncio.get_running_loop()

        def ended(_: "Future[object]") -> None:
            # A loop that was closed has nobody left who waits for a place.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._places[kind].release)

        work.add_done_callback(ended)
        return work

    def _broken(self, pool: ProcessPoolExecutor) -> None:
        """Make new processes next time, if this is not done yet."""
        if self._processes is pool:
            self._processes = None
        pool.shutdown(wait=False, cancel_futures=True)


def _pool(processes: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"))


def _name_of(task: FunctionTask[..., Any]) -> tuple[str, str]:
    return task.function.__module__, task.function.__qualname__


def _is_broken(work: "Future[object]") -> bool:
    return not work.cancelled() and isinstance(work.exception(), BrokenProcessPool)


def _run_by_name(
    module: str, qualname: str, args: Sequence[object], kwargs: Mapping[str, object]
) -> object:
    found: Any = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    function = found.function if isinstance(found, FunctionTask) else found
    result: object = _fit_for_futures(lambda: function(*args, **kwargs))
    return result


def _fit_for_futures(call: Callable[[], object]) -> object:
    """Make the call; a StopIteration, which no future can carry, is raised as coroutines do."""
    try:
        return call()
    except StopIteration as error:
        msg = f"the function raised StopIteration({error.value!r})"
        raise RuntimeError(msg) from error
