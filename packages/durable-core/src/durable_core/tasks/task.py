"""What users write: functions made durable, and calls of them."""

import copy
import inspect
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, ParamSpec, Self, TypeVar

from ..codec.output import OutputCodec
from ..codec.signature import InputCodec
from ..durations import Duration
from ..errors import InputError, OptionError
from ..options import EnqueueOptions, Policy, RetryPolicy, TaskOptions
from .context import detached

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class RunIn(StrEnum):
    """Where a function runs."""

    LOOP = "loop"
    """In the event loop: async functions."""
    THREAD = "thread"
    """In a worker thread: sync functions, by default."""
    PROCESS = "process"
    """In a worker process: sync functions that keep a core busy."""


@dataclass(frozen=True, slots=True)
class Call(Generic[R_co]):
    """A task with its arguments, checked and encoded: to enqueue, or as a parent's child.

    Attributes:
        task: What to run.
        input: The encoded arguments.
        wake_key: The key of a sleeping task.
    """

    task: "Task[..., R_co]"
    input: bytes
    wake_key: str | None = None


class Task(Generic[P, R_co]):
    """Something that can be enqueued; made by the decorators of `Tasks` and `DurableExecutor`.

    Attributes:
        name: What the stored execution is found by: keep it when code moves.
        options: Policy for new executions.
        enqueue_options: What `with_options` has set beyond the task's own options.
    """

    refused_options: frozenset[str] = frozenset()
    """Options of `with_options` that mean nothing to this kind of task."""

    told_of_cancel = False
    """Whether it cleans up after a cancellation also when nothing of it was running."""

    def __init__(
        self,
        name: str,
        *,
        options: TaskOptions,
        input_codec: InputCodec,
        output_codec: OutputCodec,
    ) -> None:
        self.name = name
        self.options = options
        self.enqueue_options = EnqueueOptions()
        self.input_codec = input_codec
        self.output_codec = output_codec
        self._policy: bytes | None = None

    @property
    def policy(self) -> bytes:
        """The policy that a new execution carries with it, encoded."""
        if self._policy is None:
            self._policy = Policy.of(self.options).encode()
        return self._policy

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call[R_co]:
        """Check and encode arguments, without enqueueing anything.

        Raises:
            InputError: The arguments do not fit the function, or its validator refused them.
        """
        return Call(self, self.input_codec.encode(args, kwargs))

    def with_options(
        self,
        *,
        id: str | None = None,  # noqa: A002
        key: str | None = None,
        delay: Duration | None = None,
        start_at: datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        tags: Iterable[str] | None = None,
        retries: RetryPolicy | int | None = None,
        timeout: Duration | None = None,
        deadline: Duration | None = None,
        group: str | None = None,
        meta: bytes | None = None,
    ) -> Self:
        """Return a copy of this task whose calls are enqueued with other options.

        Args:
            id: The execution's own id: 1 to 255 printable ASCII characters, unique for all tasks.
            key: Idempotency key: unique per task until the execution is purged.
            delay: Before the first run: seconds or a timedelta.
            start_at: Instead of a delay: a time with a time zone.
            priority: -1000 to 1000, larger first.
            queue: Executors that serve this queue will run it.
            tags: At most 16 words to find it by.
            retries: How many, or a `RetryPolicy`; which exceptions are retried stays as the task
                says.
            timeout: For each attempt.
            deadline: For its whole life, from enqueueing on.
            group: Reserved for limits per group.
            meta: Bytes handed to the running code, such as trace context.

        Raises:
            OptionError: A value is out of range; the message says which and what is allowed.
        """
        given = {"retries": retries, "timeout": timeout, "delay": delay, "start_at": start_at}
        for option in sorted(self.refused_options):
            if given.get(option) is not None:
                msg = f"{option} means nothing to {self!r}: {_WHY_REFUSED[option]}"
                raise OptionError(msg)
        if delay is not None and start_at is not None:
            msg = "give either delay or start_at: both say when the first run is due"
            raise OptionError(msg)
        if isinstance(retries, RetryPolicy):
            retries = _same_exceptions(retries, self.options.retries)
        changed = copy.copy(self)
        changed.options = TaskOptions.build(
            retries=retries,
            timeout=timeout,
            deadline=deadline,
            delay=delay,
            priority=priority,
            queue=queue,
            tags=tags,
            base=self.options,
        )
        changed._policy = None  # noqa: SLF001 - a copy of this very class
        changed.enqueue_options = self.enqueue_options.updated(
            id=id, key=key, start_at=start_at, group=group, meta=meta
        )
        return changed

    def __repr__(self) -> str:
        """Return the kind and the name."""
        return f"<{type(self).__name__} {self.name!r}>"


_WHY_REFUSED = {
    "retries": "it belongs to the tasks that it is made of, or it runs nothing",
    "timeout": "it belongs to the tasks that it is made of; limit the whole by deadline",
    "delay": "it waits from the moment it is enqueued",
    "start_at": "it waits from the moment it is enqueued",
}


def must_be_task(value: object) -> None:
    """Refuse to enqueue what is no task.

    Raises:
        InputError: What it is, and what to do.
    """
    if isinstance(value, Task):
        return
    if isinstance(value, Call):
        msg = "give a task and its arguments, not a call of it; or use enqueue_many([call])"
    else:
        msg = f"{value!r} is no task: decorate the function with @executor.task or @tasks.task"
    raise InputError(msg)


def must_be_call(value: object, where: str) -> None:
    """Refuse what is no call of a task.

    Raises:
        InputError: What it is, and what to do.
    """
    if isinstance(value, Call):
        return
    if inspect.iscoroutine(value):
        value.close()
    msg = f"{where} must be calls, not {type(value).__name__}: write task.call(...) for task(...)"
    raise InputError(msg)


def _same_exceptions(given: RetryPolicy, own: RetryPolicy) -> RetryPolicy:
    """Return the given policy with the task's own exceptions, which are code and not stored.

    Raises:
        OptionError: It asks for others.
    """
    asked = (given.retry_on, given.never_on)
    if asked not in (_ANY_EXCEPTION, (own.retry_on, own.never_on)):
        msg = (
            "retry_on and never_on belong to the task's definition: whoever runs the execution "
            "knows the task, not this call"
        )
        raise OptionError(msg)
    return replace(given, retry_on=own.retry_on, never_on=own.never_on)


_ANY_EXCEPTION = (RetryPolicy(0).retry_on, RetryPolicy(0).never_on)


class FunctionTask(Task[P, R_co]):
    """A task that is one function.

    Attributes:
        function: What the user wrote.
        run_in: Where it runs.
        wants_context: Whether its first parameter is a `Context`.
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        *,
        options: TaskOptions,
        input_codec: InputCodec,
        output_codec: OutputCodec,
        run_in: RunIn,
        wants_context: bool,
    ) -> None:
        super().__init__(name, options=options, input_codec=input_codec, output_codec=output_codec)
        self.function = function
        self.run_in = run_in
        self.wants_context = wants_context
        self.__doc__ = function.__doc__
        self.__name__ = getattr(function, "__name__", name)
        self.__module__ = getattr(function, "__module__", "")
        self.__qualname__ = getattr(function, "__qualname__", name)
        self.__wrapped__ = function

    def invoke(self, args: tuple[object, ...], kwargs: dict[str, object]) -> Any:
        """Call the plain function, giving it a detached context if it wants one."""
        if self.wants_context:
            return self.function(detached(self.name), *args, **kwargs)
        return self.function(*args, **kwargs)


class AsyncTask(FunctionTask[P, R_co]):
    """A task that is an async function."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]:
        """Call the plain function: nothing is stored, retried or timed."""
        coroutine: Coroutine[Any, Any, R_co] = self.invoke(args, kwargs)
        return coroutine


class SyncTask(FunctionTask[P, R_co]):
    """A task that is a plain function."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the plain function: nothing is stored, retried or timed."""
        result: R_co = self.invoke(args, kwargs)
        return result
