"""One attempt: user code called, timed, interrupted, and its outcome told apart."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..errors import NonRetryableError
from ..failure import ErrorInfo
from ..storage import Phase
from ..tasks.context import CURRENT, Context
from ..tasks.task import FunctionTask, RunIn
from .clock import Clock, Timer
from .held import Held, Reason
from .workers import Workers


@dataclass(slots=True)
class Succeeded:
    """The function returned."""

    value: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """The function raised, or took too long.

    Attributes:
        error: What happened.
        phase: The final phase if it is not retried.
    """

    error: ErrorInfo
    phase: Phase = Phase.FAILED


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The function was stopped from outside."""

    reason: Reason


Result = Succeeded | Failed | Interrupted


async def attempt(
    held: Held,
    task: FunctionTask[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    lease_valid: Callable[[], bool],
    timeout: float | None,
    context: Callable[[], Context],
    clock: Clock,
    workers: Workers,
) -> Result:
    """Call a task's function once.

    Args:
        held: The execution; its interruptions reach the function.
        task: Whose function.
        args: Positional arguments.
        kwargs: Keyword arguments.
        lease_valid: Whether the lease has not run out (ENGINE-8).
        timeout: Seconds; None for none.
        context: Makes the context, if it is asked for.
        clock: For the timeout.
        workers: For functions that are not async.
    """
    if held.reason is not None or not lease_valid():
        return Interrupted(held.reason or Reason.SHUTDOWN)
    reset = CURRENT.set(context)
    timer: Timer | None = None
    held.in_user_code = True
    try:
        if task.wants_context:
            args = (context(), *args)
        if task.run_in is not RunIn.LOOP:
            await workers.place(task.run_in)
        if timeout is not None:
            ends = clock.monotonic() + timeout
            timer = clock.call_at(ends, partial(held.interrupt, Reason.TIMEOUT))
        if task.run_in is RunIn.LOOP:
            value = await task.function(*args, **kwargs)
        else:
            value = await _elsewhere(held, task, args, kwargs, workers)
    except BaseException as error:
        if not _by_user_code(error, held):
            raise
        held.leave_user_code()
        return _ended_by(held, task, timeout, error)
    else:
        held.leave_user_code()
        return Succeeded(value)
    finally:
        if timer is not None:
            timer.cancel()
        held.timeout_over()
        CURRENT.reset(reset)


async def _elsewhere(
    held: Held,
    task: FunctionTask[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    workers: Workers,
) -> object:
    if task.run_in is RunIn.THREAD:
        return await _result_of(held, workers.in_thread(lambda: task.function(*args, **kwargs)))
    try:
        return await _result_of(held, workers.in_process(task, args, kwargs))
    except BrokenProcessPool:
        # Some job has killed its process, and with it the jobs of its neighbours: each is run
        # again in a process of its own, where only the guilty one can fail again.
        return await _result_of(held, workers.in_own_process(task, args, kwargs))


async def _result_of(held: Held, work: "Future[object]") -> object:
    try:
        return await asyncio.wrap_future(work)
    except asyncio.CancelledError:
        if not work.cancelled() and not work.done():
            held.leftover = work
        raise


def _by_user_code(error: BaseException, held: Held) -> bool:
    """Whether an error ends the execution: not so if the event loop or the program is ending."""
    if isinstance(error, KeyboardInterrupt | GeneratorExit):
        return False
    task = held.task
    from_outside = held.reason is None and task is not None and task.cancelling() > 0
    return not (isinstance(error, asyncio.CancelledError) and from_outside)


def _ended_by(
    held: Held, task: FunctionTask[..., Any], timeout: float | None, error: BaseException
) -> Result:
    """Tell an interruption from a failure: an error raised while stopping counts as stopped."""
    reason = held.reason
    if reason is Reason.TIMEOUT:
        late = TimeoutError(f"attempt of task {task.name!r} took longer than {timeout or 0:g} s")
        info = ErrorInfo.from_exception(late, retryable=task.options.retries.wants(late))
        return Failed(info, Phase.TIMED_OUT)
    if reason is not None:
        return Interrupted(reason)
    retryable = not isinstance(error, NonRetryableError) and (
        isinstance(error, asyncio.CancelledError) or task.options.retries.wants(error)
    )
    return Failed(ErrorInfo.from_exception(error, retryable=retryable))
