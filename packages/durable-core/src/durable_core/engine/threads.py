"""Worker threads that no process waits for at its end."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue

_Job = tuple["Future[object]", Callable[[], object]]


class DaemonThreads:
    """Threads that are made when they are needed and kept for the next job.

    Unlike those of `concurrent.futures.ThreadPoolExecutor`, they do not keep the interpreter from
    exiting: a function that never returns must not make a shutdown endless.

    Args:
        most: At most so many threads.
        name: Prefix of their names.
    """

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._count = 0

    def submit(self, call: Callable[[], object]) -> "Future[object]":
        """Run a call in one of the threads."""
        future: Future[object] = Future()
        self._jobs.put((future, call))
        with self._lock:
            if self._idle > 0:
                self._idle -= 1
            elif self._count < self._most:
                self._count += 1
                name = f"{self._name}-{self._count}"
                threading.Thread(target=self._work, name=name, daemon=True).start()
        return future

    def close(self) -> None:
        """Let every thread end after the job that it has."""
        with self._lock:
            for _ in range(self._count):
                self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, call = job
            if future.set_running_or_notify_cancel():
                try:
                    result = call()
                except BaseException as error:  # noqa: BLE001 - handed to the future
                    future.set_exception(error)
                else:
                    future.set_result(result)
            del job, future, call
            with self._lock:
                self._idle += 1
