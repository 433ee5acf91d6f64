"""A durable function: one row that is run again from its record, whenever it has waited."""

from typing import Any

from ...errors import InputError
from ...failure import ErrorInfo
from ...storage import Phase, Transition
from ...tasks.workflow_task import WorkflowTask
from ..replay.continuing import after_the_run_before
from ..replay.driver import Driver
from ..replay.record import History, State
from ..run import Run


async def run_workflow(run: Run, task: WorkflowTask[..., Any]) -> Transition | None:
    """Run the function until it ends, or has to wait for long."""
    record = run.record
    state = State.decode(record.state, record.task)
    # Nobody can have recorded anything before the first claim.
    recorded = {} if record.gen == 1 else await run.services.writer.recorded(record.id)
    history = History.of(recorded, record.task)
    if state.previous is not None and not history.entries:
        too_early = await after_the_run_before(run, state.previous)
        if too_early is not None:
            return too_early
    try:
        args, kwargs = task.input_codec.decode(record.input)
    except InputError as error:
        return run.failed(Phase.FAILED, ErrorInfo.from_exception(error, retryable=False))
    return await Driver(run, task, history, state).carry(args, kwargs)
