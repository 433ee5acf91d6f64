"""Calls on their way to a thread, and their answers on the way back."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Final, Generic, TypeAlias, TypeVar, cast

from durable_core.storage import ClosedError

T = TypeVar("T")
S_contra = TypeVar("S_contra", contravariant=True)


class Job(Generic[S_contra, T]):
    """A call that waits for its thread, or is carried out by it.

    Args:
        work: What to do with the thread's connection; repeatable as long as it was not answered.
        weight: About how many rows it touches.
        alone: Carry it out outside of any transaction and batch.
    """

    __slots__ = ("_done", "_loop", "alone", "answer", "error", "future", "weight", "work")

    def __init__(
        self, work: Callable[[S_contra], T], *, weight: int = 1, alone: bool = False
    ) -> None:
        self.work = work
        self.weight = weight
        self.alone = alone
        self.answer: T | None = None
        self.error: Exception | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.future: asyncio.Future[T] | None = None
        self._done: threading.Event | None = None

    def for_loop(self) -> "asyncio.Future[T]":
        """Let the running event loop wait for the answer."""
        self._loop = asyncio.get_running_loop()
        self.future = future = self._loop.create_future()
        return future

    def for_thread(self) -> threading.Event:
        """Let the calling thread wait for the answer."""
        self._done = done = threading.Event()
        return done

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """Which event loop waits; None if a thread does."""
        return self._loop

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits any more."""
        return self.future is not None and self.future.cancelled()

    def tell(self) -> None:
        """Hand over the answer; called in the event loop, or for a thread that waits."""
        if self._done is not None:
            self._done.set()
        if self.future is None or self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(cast(T, self.answer))


AnyJob: TypeAlias = Job[Any, Any]


def hand_back(jobs: list[AnyJob]) -> None:
    """Hand over answers: one wake-up per event loop, however many they are."""
    by_loop: dict[asyncio.AbstractEventLoop | None, list[AnyJob]] = {}
    for job in jobs:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, told in by_loop.items():
        if loop is None:
            _tell(told)
        else:
            # A loop that was closed has nobody left who waits.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_tell, told)


def _tell(jobs: list[AnyJob]) -> None:
    for job in jobs:
        job.tell()


_STOP: Final = None


class JobThread:
    """A thread that owns one connection and carries out jobs in order of arrival.

    Args:
        name: The thread's.
        gone: The message of the `ClosedError` for calls that come too late.
    """

    def __init__(self, name: str, gone: str) -> None:
        self._gone = gone
        self._queue: SimpleQueue[AnyJob | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._closing = False
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._thread.start()

    async def ask(self, job: Job[Any, T]) -> T:
        """Queue a job and wait for its answer.

        Raises:
            ClosedError: The thread was told to stop before.
        """
        future = job.for_loop()
        self.put(job)
        return await future

    def put(self, job: AnyJob) -> None:
        """Queue a job.

        Raises:
            ClosedError: The thread was told to stop before.
        """
        with self._lock:
            if self._closing:
                raise ClosedError(self._gone)
            self._queue.put(job)

    async def stop(self) -> None:
        """Carry out what is queued, close the connection and end the thread. Idempotent."""
        with self._lock:
            if not self._closing:
                self._closing = True
                self._queue.put(_STOP)
        await asyncio.to_thread(self._thread.join)

    def next(self, timeout: float | None) -> AnyJob | None:
        """Return the next job, None when there is none in time or the thread is to stop."""
        try:
            job = self._queue.get(timeout=timeout)
        except Empty:
            return None
        if job is _STOP:
            self.stopping = True
        return job

    stopping: bool = False

    def _main(self) -> None:
        try:
            while not self.stopping:
                self.serve()
        finally:
            self.release()

    def serve(self) -> None:
        """Wait for jobs and carry them out."""
        raise NotImplementedError

    def release(self) -> None:
        """Close what the thread has opened."""
        raise NotImplementedError
