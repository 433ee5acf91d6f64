"""Asking what was enqueued, with messages that say what was there instead."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from ..executor import DurableExecutor, Execution
from ..executor.execution import execution_of
from ..storage import Query, Record
from ..tasks.task import Call, Task

_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Enqueued:
    """An execution that was enqueued, or created as a child, whatever became of it.

    Attributes:
        execution: What is known of it.
        args: Those of its arguments that have no name of their own, as by ``*args``.
        kwargs: Its arguments by name, however they were given.
        meta: The bytes given at enqueue.
    """

    execution: Execution
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    meta: bytes = b""

    def __str__(self) -> str:
        """Return one line for people."""
        given = [repr(value) for value in self.args]
        given += [f"{name}={value!r}" for name, value in self.kwargs.items()]
        execution = self.execution
        parts = [f"{execution.task}({', '.join(given)})", execution.status.value]
        if execution.key is not None:
            parts.append(f"key={execution.key!r}")
        if execution.queue != "default":
            parts.append(f"queue={execution.queue!r}")
        if execution.priority:
            parts.append(f"priority={execution.priority}")
        if execution.tags:
            parts.append(f"tags={sorted(execution.tags)}")
        return f"{', '.join(parts)} [{execution.id}]"


async def enqueued(executor: DurableExecutor, task: Task[..., Any]) -> list[Enqueued]:
    """Return all executions of a task, finished ones and children included, oldest first.

    Args:
        executor: A started executor; client-only ones will do.
        task: Whose executions.
    """
    rows = await executor.engine.writer.found(Query(tasks=frozenset({task.name})))
    return [_seen(task, row) for row in rows]


async def assert_enqueued(
    executor: DurableExecutor,
    what: Task[..., Any] | Call[Any],
    *,
    id: str | None = None,  # noqa: A002
    key: str | None = None,
    queue: str | None = None,
    priority: int | None = None,
    tags: Iterable[str] = (),
    count: int | None = None,
) -> list[Enqueued]:
    """Fail unless a task was enqueued as described; finished executions and children count.

        >>> await assert_enqueued(executor, send_mail)
        >>> await assert_enqueued(executor, send_mail.call("ada@example.org"), key="welcome-7")

    Args:
        executor: A started executor; client-only ones will do.
        what: A task, with any arguments, or a call, with exactly these.
        id: With this id.
        key: With this idempotency key, or for a sleeping task this wake key.
        queue: On this queue.
        priority: With this priority.
        tags: With at least these tags.
        count: Exactly so many times; 0: not at all. None: at least once.

    Returns:
        What fits the description, oldest first.

    Raises:
        AssertionError: It was not; the message lists what was enqueued instead.
    """
    __tracebackhide__ = True
    task = what.task if isinstance(what, Call) else what
    rows = await executor.engine.writer.found(Query(tasks=frozenset({task.name})))
    wanted_tags = frozenset(tags)
    found = [
        _seen(task, row)
        for row in rows
        if (not isinstance(what, Call) or task.input_codec.same(row.input, what.input))
        and (id is None or row.id == id)
        and (key is None or key in (row.key, row.wake_key))
        and (queue is None or row.queue == queue)
        and (priority is None or row.priority == priority)
        and wanted_tags <= row.tags
    ]
    if len(found) == count or (count is None and found):
        return found
    wanted = _described(what, id=id, key=key, queue=queue, priority=priority, tags=wanted_tags)
    times = "at least once" if count is None else f"{count} times"
    there = await _there(executor, task, rows)
    msg = f"expected {wanted} {times}, found it {len(found)} times; {there}"
    raise AssertionError(msg)


def _seen(task: Task[..., Any], row: Record) -> Enqueued:
    try:
        args, kwargs = task.input_codec.decode(row.input)
    except InputError:
        # A finalizer has no input of its own, and a row may be older than the code.
        args, kwargs = (row.input,), {}
    return Enqueued(execution=execution_of(row), args=tuple(args), kwargs=kwargs, meta=row.meta)


def _described(what: Task[..., Any] | Call[Any], **wanted: object) -> str:
    if isinstance(what, Call):
        args, kwargs = what.task.input_codec.decode(what.input)
        given = [repr(value) for value in args]
        given += [f"{name}={value!r}" for name, value in kwargs.items()]
        text = f"{what.task.name}({', '.join(given)})"
    else:
        text = f"task {what.name!r}"
    conditions = [f"{name}={value!r}" for name, value in wanted.items() if value]
    return f"{text} with {', '.join(conditions)}" if conditions else text


async def _there(executor: DurableExecutor, task: Task[..., Any], rows: Sequence[Record]) -> str:
    if rows:
        lines = [f"\n  {_seen(task, row)}" for row in rows[:_SHOWN]]
        more = f"\n  and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
        return f"of this task there are:{''.join(lines)}{more}"
    others = Counter(await executor.count(by="task"))
    if not others:
        return "nothing was enqueued at all"
    listed = ", ".join(f"{name} ({times})" for name, times in sorted(others.items()))
    return f"none of this task was enqueued; there are: {listed}"
