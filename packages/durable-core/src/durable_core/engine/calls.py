"""New rows made from calls: the policy copied in, sizes checked, due times fixed."""

from typing import Any

from ..errors import OptionError, PayloadTooLargeError
from ..storage import NewExecution, OnCancel, Phase, Record
from ..tasks.kinds import SleepingTask
from ..tasks.task import Call, Task
from .ids import child_id, new_id

FINALIZER = -1
"""The `child_index` of a parent's finalizer."""


class NewRows:
    """Makes the rows of one executor's calls.

    Args:
        max_input: Bytes that encoded arguments may have.
    """

    def __init__(self, *, max_input: int) -> None:
        self._max_input = max_input

    def new(
        self,
        call: Call[Any],
        *,
        now: int,
        id: str | None = None,  # noqa: A002
        parent: Record | None = None,
        index: int = 0,
        owner: str | None = None,
    ) -> NewExecution:
        """Return the row of a call.

        Args:
            call: What to run.
            now: The storage's time, µs.
            id: A child's id; roots get their own or a new one.
            parent: The parent of a child.
            index: A child's place.
            owner: Ask to be held by this executor at once, if it is due.

        Raises:
            PayloadTooLargeError: The arguments are larger than allowed.
            OptionError: A child was given an id or an idempotency key of its own.
        """
        task = call.task
        options = task.options
        given = task.enqueue_options
        if len(call.input) > self._max_input:
            raise PayloadTooLargeError(
                task.name, "input", len(call.input), self._max_input, "the executor's max_input"
            )
        if parent is not None and (given.id is not None or given.key is not None):
            raise OptionError(
                f"a child of {parent.task!r} ({task.name!r}) has an id or key of its own: a "
                "child's id follows from its parent and its place"
            )
        sleeping = isinstance(task, SleepingTask)
        due = _due(call, now)
        at_once = not sleeping and due is not None and due <= now
        return NewExecution(
            id=id or given.id or new_id(now),
            task=task.name,
            queue=options.queue,
            group=given.group,
            key=given.key,
            wake_key=call.wake_key,
            root_id=None if parent is None else parent.root_id,
            parent_id=None if parent is None else parent.id,
            child_index=index,
            on_cancel=OnCancel.DELIVER if task.told_of_cancel else OnCancel.END,
            tags=options.tags,
            priority=options.priority,
            phase=Phase.SLEEPING if sleeping else Phase.READY,
            due=due,
            owner=owner if at_once else None,
            options=task.policy,
            meta=given.meta or b"",
            input=call.input,
        )

    def finalizer(self, task: Task[..., Any], parent: Record, now: int) -> NewExecution:
        """Return the row of a parent's finalizer; its argument is gathered when it runs."""
        return NewExecution(
            id=child_id(parent.id, parent.created_at, FINALIZER),
            task=task.name,
            queue=task.options.queue,
            root_id=parent.root_id,
            parent_id=parent.id,
            child_index=FINALIZER,
            tags=task.options.tags,
            priority=task.options.priority,
            due=now + task.options.delay_us if task.options.delay_us else 0,
            options=task.policy,
        )


def _due(call: Call[Any], now: int) -> int | None:
    task = call.task
    if isinstance(task, SleepingTask):
        ends = (task.options.timeout_us, task.options.deadline_us)
        return min((now + end for end in ends if end is not None), default=None)
    start_at = task.enqueue_options.start_at_us
    due = now + task.options.delay_us if start_at is None else start_at
    deadline_us = task.options.deadline_us
    return due if deadline_us is None else min(due, now + deadline_us)
