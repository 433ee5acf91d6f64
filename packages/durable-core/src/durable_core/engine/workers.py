"""Threads and processes for functions that are not async."""

import importlib
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextvars import copy_context
from typing import Any

from ..tasks.task import FunctionTask


class Workers:
    """The worker threads and processes of one executor, made when they are first needed.

    Args:
        threads: At most so many threads.
        processes: At most so many processes.
    """

    def __init__(self, *, threads: int, processes: int) -> None:
        self._max_threads = threads
        self._max_processes = processes
        self._threads: ThreadPoolExecutor | None = None
        self._processes: ProcessPoolExecutor | None = None

    def in_thread(self, call: Callable[[], object]) -> "Future[object]":
        """Run a call in a thread, with a copy of the caller's context variables."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._max_threads, thread_name_prefix="durable")
        return self._threads.submit(copy_context().run, _fit_for_futures, call)

    def in_process(
        self, task: FunctionTask[..., Any], args: Sequence[object], kwargs: Mapping[str, object]
    ) -> "Future[object]":
        """Run a task's function in a process that imports it by name."""
        if self._processes is None:
            self._processes = ProcessPoolExecutor(
                self._max_processes, mp_context=multiprocessing.get_context("spawn")
            )
        try:
            return self._processes.submit(
                _run_by_name, task.function.__module__, task.function.__qualname__, args, kwargs
            )
        except BrokenProcessPool:
            self.broken()
            return self.in_process(task, args, kwargs)

    def broken(self) -> None:
        """Make new processes next time: one of them died."""
        pool, self._processes = self._processes, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """Take no more work; threads that still run are not waited for."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None
        self.broken()


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
