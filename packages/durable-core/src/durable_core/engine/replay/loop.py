"""The event loop of one durable function: nothing happens in it but by the function and its record.

Whatever asyncio offers for waiting (tasks, gather, groups, queues, locks, time-outs) works, and
runs in the same order every time: callbacks are taken from one queue until it is empty, and only
then does the next recorded result come in. Sockets, threads and subprocesses do not exist here.
"""

import asyncio
import sys
from asyncio import events
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, NoReturn, cast
from weakref import WeakSet

from ...errors import WorkflowError

_CLOSE_TRIES = 100


class WorkflowLoop:
    """What asyncio needs of an event loop, and no more.

    Args:
        timer: Makes a future that is resolved at a time, µs; cancelled when nobody needs it.
        complain: Told of errors that nobody has looked at.
    """

    def __init__(
        self,
        timer: "Callable[[int], asyncio.Future[None]]",
        complain: Callable[[dict[str, Any]], None],
    ) -> None:
        self._timer = timer
        self._complain = complain
        self._ready: deque[asyncio.Handle] = deque()
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._generators: WeakSet[AsyncGenerator[Any, Any]] = WeakSet()
        self._timers: dict[asyncio.TimerHandle, asyncio.Future[None]] = {}
        self._running = False
        self._closed = False
        self.now_us = 0

    def pump(self, halted: Callable[[], bool]) -> None:
        """Run until nothing in it can go on by itself; called outside of any asyncio task.

        Args:
            halted: Asked between two callbacks: true stops at once.
        """
        outer = events._get_running_loop()  # noqa: SLF001 - how event loops are made
        hooks = sys.get_asyncgen_hooks()
        events._set_running_loop(cast("asyncio.AbstractEventLoop", self))  # noqa: SLF001
        sys.set_asyncgen_hooks(firstiter=self._generators.add, finalizer=self._finalize)
        self._running = True
        try:
            while self._ready and not halted():
                handle = self._ready.popleft()
                if not handle.cancelled():
                    handle._run()  # noqa: SLF001 - what an event loop does with it
        finally:
            self._running = False
            sys.set_asyncgen_hooks(*hooks)
            events._set_running_loop(outer)  # noqa: SLF001

    def close(self) -> None:
        """Drop everything that is under way.

        Python cannot forget a suspended coroutine without closing it: `finally` blocks run, and
        what they await comes to nothing. The latest tasks go first, so that groups find theirs
        gone.
        """
        self._closed = True
        outer = events._get_running_loop()  # noqa: SLF001
        events._set_running_loop(cast("asyncio.AbstractEventLoop", self))  # noqa: SLF001
        try:
            for task in reversed(tuple(self._tasks)):
                if task.done():
                    continue
                task._log_destroy_pending = False  # noqa: SLF001 # pyright: ignore[reportAttributeAccessIssue]
                _close(cast("Coroutine[Any, Any, Any]", task.get_coro()))
        finally:
            self._ready.clear()
            self._tasks.clear()
            self._timers.clear()
            events._set_running_loop(outer)  # noqa: SLF001

    # What asyncio calls

    def call_soon(
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Queue a callback."""
        handle = asyncio.Handle(callback, args, cast("asyncio.AbstractEventLoop", self), context)
        if self._closed:
            handle.cancel()
        elif not self._running:
            msg = (
                "something outside of a durable function wants to resume it: what it awaits must "
                "be its own operations, such as ctx.step(...)"
            )
            raise WorkflowError(msg)
        else:
            self._ready.append(handle)
        return handle

    def let_in(self, change: Callable[[], object]) -> None:
        """Make a change from outside, such as a result, whose callbacks are run by `pump`."""
        self._running = True
        try:
            change()
        finally:
            self._running = False

    def call_later(
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call back after a time that is recorded."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call back at a time; that it came is recorded."""
        loop = cast("asyncio.AbstractEventLoop", self)
        handle = asyncio.TimerHandle(when, callback, args, loop, context)
        due = self._timer(round(when * 1e6))
        self._timers[handle] = due

        def fire(due: "asyncio.Future[None]") -> None:
            self._timers.pop(handle, None)
            if not due.cancelled() and not handle.cancelled():
                handle._run()  # noqa: SLF001 - what an event loop does with it

        due.add_done_callback(fire)
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Called by asyncio when a timer is cancelled."""
        due = self._timers.pop(handle, None)
        if due is not None:
            due.cancel()

    def time(self) -> float:
        """Return the time of the last result, in seconds."""
        return self.now_us / 1e6

    def create_future(self) -> "asyncio.Future[Any]":
        """Return a future of this loop."""
        return asyncio.Future(loop=cast("asyncio.AbstractEventLoop", self))

    def create_task(
        self,
        coro: "Coroutine[Any, Any, Any] | Generator[Any, None, Any]",
        *,
        name: object = None,
        context: Context | None = None,
        **_: Any,
    ) -> "asyncio.Task[Any]":
        """Return a task of this loop.

        Raises:
            WorkflowError: It belongs to the executor, which only steps may use.
        """
        if self._closed:
            coro.close()
            msg = "the function is being put to sleep"
            raise GeneratorExit(msg)
        task: asyncio.Task[Any] = asyncio.Task(
            cast("Coroutine[Any, Any, Any]", coro),
            loop=cast("asyncio.AbstractEventLoop", self),
            name=None if name is None else str(name),
            context=context,
        )
        self._tasks[task] = None
        task.add_done_callback(self._forget)
        return task

    def get_debug(self) -> bool:
        """Return false."""
        return False

    def is_running(self) -> bool:
        """Whether something in it is being run."""
        return self._running

    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    def get_task_factory(self) -> None:
        """There is none."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Pass an error on that nobody has looked at."""
        if not self._closed:
            self._complain(context)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """See `call_exception_handler`."""
        self.call_exception_handler(context)

    def __getattr__(self, name: str) -> NoReturn:
        """Refuse what an event loop has and a durable function must not use."""
        if name.startswith("__"):
            raise AttributeError(name)
        msg = (
            f"a durable function has no {name}: input and output, threads and processes belong in "
            "its steps, ctx.step(function, ...)"
        )
        raise WorkflowError(msg)

    def _forget(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.pop(task, None)

    def _finalize(self, generator: AsyncGenerator[Any, Any]) -> None:
        if not self._closed:
            _ = self.create_task(cast("Coroutine[Any, Any, Any]", generator.aclose()))


def _close(coroutine: "Coroutine[Any, Any, Any]") -> None:
    """Close a coroutine, however often it awaits something in its `finally` blocks."""
    for _ in range(_CLOSE_TRIES):
        try:
            coroutine.close()
        except RuntimeError:
            # It awaits something: it is closed there again.
            continue
        except BaseException:  # noqa: BLE001 - the function's own clean-up; nothing can follow
            return
        return


def running_loop() -> object:
    """Return the event loop in which the calling code runs, or None."""
    return events._get_running_loop()  # noqa: SLF001


def refuse_in_workflow(what: str) -> None:
    """Refuse to be used in a durable function, outside of its steps.

    Args:
        what: Who refuses.

    Raises:
        WorkflowError: The calling code runs there.
    """
    if isinstance(events._get_running_loop(), WorkflowLoop):  # noqa: SLF001
        msg = (
            f"{what} cannot be used in a durable function, only in its steps: "
            "ctx.step(function, ...); child executions are ctx.call(task, ...)"
        )
        raise WorkflowError(msg)


async def outside(call: Callable[[], None]) -> None:
    """Make a call outside of any asyncio task, as tasks of another loop need it to run."""
    loop = asyncio.get_running_loop()
    made: asyncio.Future[None] = loop.create_future()

    def make() -> None:
        if made.done():
            return
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - handed to the caller
            made.set_exception(error)
        else:
            made.set_result(None)

    loop.call_soon(make)
    await made
