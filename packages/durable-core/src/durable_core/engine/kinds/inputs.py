"""The arguments of an execution: decoded, or for a finalizer gathered from its siblings."""

from typing import Any

from ...errors import InputError
from ...failure import ErrorInfo
from ...storage import Query, Record, Status
from ...tasks.registry import Tasks
from ...tasks.results import ChildResult, Joined
from ...tasks.task import Task
from ..calls import FINALIZER
from ..run import Run
from .plan import ParentState


async def arguments(run: Run, task: Task[..., Any], tasks: Tasks) -> Any:
    """Return (args, kwargs) of the execution, validated.

    Raises:
        InputError: The stored input does not fit the task as it is now.
    """
    record = run.record
    if record.child_index == FINALIZER and record.parent_id is not None:
        return await _joined_arguments(run, task, tasks, record.parent_id)
    return task.input_codec.decode(record.input)


async def _joined_arguments(run: Run, task: Task[..., Any], tasks: Tasks, parent_id: str) -> Any:
    (parent,) = await run.services.writer.records([parent_id])
    if parent is None or parent.state is None:
        raise InputError(f"the parent {parent_id} of finalizer {run.record.id} is gone")
    value = await joined(run, parent, tasks)
    return task.input_codec.decode(task.input_codec.encode((value,), {}))


async def joined(run: Run, parent: Record, tasks: Tasks) -> Joined[Any, Any]:
    """Return what a finalizer is given: the parent's own output and all children, in order."""
    rows = await run.services.writer.found(Query(parent_id=parent.id))
    state = ParentState.decode(parent.state or b"")
    kind = tasks.find(parent.task)
    own = getattr(kind, "own_output", None)
    return Joined(
        output=None if own is None else own.decode(state.output),
        children=[child_result(row, tasks) for row in rows if row.child_index != FINALIZER],
    )


def child_result(row: Record, tasks: Tasks) -> ChildResult[Any]:
    """Return how a finished child ended, its output decoded by its task if that is known here."""
    output = None
    if row.status is Status.COMPLETED and row.output is not None:
        output = tasks.decode_output(row.task, row.output)
    return ChildResult(
        index=row.child_index,
        id=row.id,
        task=row.task,
        status=row.status,
        output=output,
        error=None if row.error is None or output is not None else ErrorInfo.decode(row.error),
    )
