"""New executions and transitions, made in few words."""

from typing import Any

from durable_core.storage import (
    Finish,
    Head,
    Keep,
    NewExecution,
    OnCancel,
    Phase,
    Record,
    Release,
    Settle,
)


def new(execution_id: str, *, task: str = "work", **fields: Any) -> NewExecution:
    """Return a new execution, due at once unless told otherwise."""
    return NewExecution(id=execution_id, task=task, **fields)


def sleeper(
    execution_id: str, wake_key: str, *, due: int | None = None, **fields: Any
) -> NewExecution:
    """Return a new sleeper; without a time-out unless told otherwise."""
    return new(execution_id, wake_key=wake_key, phase=Phase.SLEEPING, due=due, **fields)


def child(parent: Head, index: int, **fields: Any) -> NewExecution:
    """Return a new child, named after its parent and its place."""
    values: dict[str, Any] = {"id": f"{parent.id}.{index}", "task": "work", **fields}
    return NewExecution(parent_id=parent.id, root_id=parent.root_id, child_index=index, **values)


def sleeping_child(parent: Head, index: int, wake_key: str) -> NewExecution:
    """Return a new child that sleeps until it is woken."""
    return child(parent, index, phase=Phase.SLEEPING, wake_key=wake_key, due=None)


def children(parent: Head, number: int, **fields: Any) -> list[NewExecution]:
    """Return so many new children, from place 0 on."""
    return [child(parent, index, **fields) for index in range(number)]


def keep(row: Head, **values: Any) -> Keep:
    """Keep a row under the token that it shows."""
    return Keep(id=row.id, token=row.token, parent_id=row.parent_id, **values)


def release(row: Head, phase: Phase = Phase.READY, due: int | None = 0, **values: Any) -> Release:
    """Release a row under the token that it shows."""
    return Release(
        id=row.id, token=row.token, parent_id=row.parent_id, phase=phase, due=due, **values
    )


def wait(row: Head, **values: Any) -> Release:
    """Release a row into waiting for its children."""
    return release(row, Phase.WAITING_FOR_CHILDREN, None, **values)


def finish(row: Head, phase: Phase = Phase.COMPLETED, **values: Any) -> Finish:
    """Finish a row under the token that it shows."""
    return Finish(id=row.id, token=row.token, parent_id=row.parent_id, phase=phase, **values)


def settle(row: Head, due: int | None = None) -> Settle:
    """Settle a finished row under the token that it shows."""
    return Settle(id=row.id, token=row.token, parent_id=row.parent_id, due=due)


def row_of(item: NewExecution, now: int) -> Record:
    """Return the row that inserting an item at a time must make, as the protocol says.

    A message kept for a sleeper is left out.
    """
    asks = item.owner is not None and item.phase is Phase.READY
    held = asks and item.due is not None and item.due <= now
    return Record(
        id=item.id,
        task=item.task,
        queue=item.queue,
        group=item.group,
        key=item.key,
        wake_key=item.wake_key,
        root_id=item.id if item.root_id is None else item.root_id,
        parent_id=item.parent_id,
        child_index=item.child_index,
        on_cancel=OnCancel(item.on_cancel),
        tags=item.tags,
        priority=item.priority,
        phase=item.phase,
        due=None if held else item.due,
        owner=item.owner if held else None,
        gen=1 if held else 0,
        crashes=0,
        attempt=0,
        error=None,
        pending=0,
        join_at=0,
        cancel_requested=False,
        ended_by=None,
        created_at=now,
        started_at=now if held else None,
        finished_at=None,
        options=item.options,
        meta=item.meta,
        input=item.input,
        state=item.state,
        output=None,
    )
