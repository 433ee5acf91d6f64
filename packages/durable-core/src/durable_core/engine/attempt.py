"""One attempt: user code called, timed, interrupted, and its outcome told apart."""

import asyncio
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from ..errors import NonRetryableError
from ..failure import ErrorInfo
from ..options import RetryPolicy
from ..storage import Phase
from ..tasks.context import CURRENT, Context
from ..tasks.task import FunctionTask, RunIn
from .clock import Clock
from .held import Held, Reason
from .workers import Workers


@dataclass(frozen=True, slots=True)
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
        timeout: Seconds; None for none.
        context: Makes the context, if it is asked for.
        clock: For the timeout.
        workers: For functions that are not async.
    """
    if held.reason is not None:
        return Interrupted(held.reason)
    reset = CURRENT.set(context)
    timer = None
    if timeout is not None:
        timer = clock.call_at(clock.monotonic() + timeout, lambda: held.interrupt(Reason.TIMEOUT))
    held.enter_user_code()
    try:
        if task.wants_context:
            args = (context(), *args)
        if task.run_in is RunIn.LOOP:
            value = await task.function(*args, **kwargs)
        else:
            value = await _elsewhere(held, task, args, kwargs, workers)
    except asyncio.CancelledError as error:
        held.leave_user_code()
        if held.reason is None and _cancelled_from_outside():
            raise
        return _stopped(held, task, timeout, error)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's error becomes a value
        held.leave_user_code()
        if held.reason in (None, Reason.TIMEOUT):
            if isinstance(error, BrokenProcessPool):
                workers.broken()
            return _failed(error, task.options.retries)
        return _stopped(held, task, timeout, error)
    else:
        held.leave_user_code()
        if held.reason is Reason.LEASE_LOST:
            return Interrupted(Reason.LEASE_LOST)
        return Succeeded(value)
    finally:
        if timer is not None:
            timer.cancel()
        CURRENT.reset(reset)


async def _elsewhere(
    held: Held,
    task: FunctionTask[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    workers: Workers,
) -> object:
    if task.run_in is RunIn.PROCESS:
        work = workers.in_process(task, args, kwargs)
    else:
        work = workers.in_thread(lambda: task.function(*args, **kwargs))
    try:
        return await asyncio.wrap_future(work)
    except asyncio.CancelledError:
        if not work.cancelled() and not work.done():
            held.leftover = work
        raise


def _cancelled_from_outside() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _stopped(
    held: Held, task: FunctionTask[..., Any], timeout: float | None, error: BaseException
) -> Result:
    reason = held.reason
    if reason is None:
        return _failed(error, task.options.retries)
    if reason is Reason.TIMEOUT:
        message = f"attempt of task {task.name!r} took longer than {timeout:g} s"
        info = ErrorInfo.from_exception(TimeoutError(message), retryable=True)
        return Failed(info, Phase.TIMED_OUT)
    return Interrupted(reason)


def _failed(error: BaseException, retries: RetryPolicy) -> Failed:
    retryable = not isinstance(error, NonRetryableError) and (
        isinstance(error, asyncio.CancelledError) or retries.wants(error)
    )
    return Failed(ErrorInfo.from_exception(error, retryable=retryable))
