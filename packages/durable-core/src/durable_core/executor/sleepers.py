"""Waking sleepers from outside."""

from abc import ABC, abstractmethod
from datetime import timedelta
from typing import Any, TypeVar

from ..durations import Duration, to_us
from ..engine.engine import Engine
from ..engine.ids import new_request
from ..errors import InputError, OutputError
from ..failure import ErrorInfo
from ..storage import Phase, Wake, WakeOutcome
from ..tasks.kinds import SleepingTask
from ..tasks.task import Task

R = TypeVar("R")

DEFAULT_KEEP = timedelta(days=1)
"""How long a wake-up that arrives before its sleeper is kept."""

_LONGEST_KEY = 191


class Sleepers(ABC):
    """Completes and fails sleeping tasks; a base of `DurableExecutor`."""

    @property
    @abstractmethod
    def engine(self) -> Engine:
        """The engine at work, for tools and tests."""

    @abstractmethod
    def check_known(self, task: Task[..., Any]) -> None:
        """Refuse a task that was not defined for this executor."""

    async def wake(
        self,
        task: SleepingTask[R],
        key: str,
        value: R,
        *,
        keep: Duration | None = DEFAULT_KEEP,
    ) -> WakeOutcome:
        """Complete the sleeper of this key; if there is none yet, keep the value for it.

        Args:
            task: Whose sleeper.
            key: Its wake key.
            value: Becomes its result.
            keep: How long to keep the value if nobody sleeps there yet; None does not keep it.

        Returns:
            WOKEN; KEPT; ALREADY_KEPT: another value waits there, this one is dropped; LATE: the
            sleeper is just timing out; NOBODY: nobody sleeps there and it was not to be kept.

        Raises:
            OutputError: The value does not fit the task's output type.
        """
        payload = wake_payload(task, value)
        return await self._wake(task, key, Phase.COMPLETED, payload, keep)

    async def wake_failed(
        self,
        task: SleepingTask[Any],
        key: str,
        error: BaseException | str,
        *,
        keep: Duration | None = DEFAULT_KEEP,
    ) -> WakeOutcome:
        """Fail the sleeper of this key; if there is none yet, keep the error for it.

        Args:
            task: Whose sleeper.
            key: Its wake key.
            error: An exception, or a message.
            keep: See `wake`.

        Returns:
            See `wake`.
        """
        raised = RuntimeError(error) if isinstance(error, str) else error
        payload = ErrorInfo.from_exception(raised, retryable=False).encode()
        return await self._wake(task, key, Phase.FAILED, payload, keep)

    async def _wake(
        self,
        task: SleepingTask[Any],
        key: str,
        phase: Phase,
        payload: bytes,
        keep: Duration | None,
    ) -> WakeOutcome:
        engine = self.engine
        self.check_known(task)
        check_wake_key(key)
        await engine.fresh_time()
        keep_until = None if keep is None else engine.time.now() + to_us(keep, "keep")
        item = Wake(
            task=task.name,
            wake_key=key,
            phase=phase,
            payload=payload,
            request=new_request(),
            keep_until=keep_until,
        )
        return (await engine.wake(item)).outcome


def wake_payload(task: SleepingTask[R], value: R) -> bytes:
    """Return a sleeper's result, encoded.

    Raises:
        OutputError: It does not fit the task's output type.
    """
    try:
        return task.output_codec.encode(value)
    except OutputError as error:
        reason = error.__cause__ or error
        msg = f"the value for a sleeper of task {task.name!r} does not fit its output: {reason}"
        raise OutputError(msg) from error


def check_wake_key(key: str) -> None:
    """Refuse a key that no sleeper can have.

    Raises:
        InputError: It is empty, too long, or contains NUL.
    """
    if not 1 <= len(key) <= _LONGEST_KEY or "\0" in key:
        msg = f"a wake key must have 1 to {_LONGEST_KEY} characters and no NUL: {key[:60]!r}"
        raise InputError(msg)
