"""How a durable function ends, when it has returned, raised, or cannot go on."""

import asyncio
import logging
from typing import Any

from ...errors import OutputError, UnknownTaskError, WorkflowError
from ...failure import ErrorInfo
from ...storage import Head, Phase, Transition
from ...tasks.plan import PlanTask
from ...tasks.workflow_task import WorkflowTask
from ..run import Run, UnfitError
from .continuing import continue_as_new
from .record import State
from .stage import ContinueAsNewError, Stage

_LOG = logging.getLogger("durable.run")


async def end_of(
    run: Run, task: WorkflowTask[..., Any], stage: Stage, state: State
) -> Transition | None:
    """Return what ends the execution, or hands it back.

    A result beats a cancellation; an error while cleaning up does not.

    Args:
        run: The activation.
        task: The function.
        stage: Where it has finished.
        state: What it began this activation with.

    Raises:
        UnfitError: Newer code has to go on.
    """
    if stage.fatal is not None:
        if isinstance(stage.fatal, UnfitError):
            raise stage.fatal
        return run.failed(Phase.FAILED, _info(stage.fatal))
    main = stage.main
    assert main is not None  # noqa: S101 - it has finished
    error = asyncio.CancelledError() if main.cancelled() else main.exception()
    if isinstance(task, PlanTask):
        if isinstance(error, UnknownTaskError):
            raise UnfitError(str(error))
        task.forget(run.record.id)
    if error is None:
        try:
            return run.completed(task.output_codec.encode(main.result()))
        except OutputError as refused:
            return run.failed(Phase.FAILED, _info(refused))
    if stage.told_of_cancel:
        if not isinstance(error, asyncio.CancelledError | ContinueAsNewError):
            _LOG.error("cleaning up %s failed", run.record.id, exc_info=error)
        return run.finish(Phase.CANCELLED)
    if isinstance(error, ContinueAsNewError):
        return await continue_as_new(run, error.input, state)
    return run.failed(Phase.FAILED, _info(error))


def nothing_to_wait_for(head: Head) -> WorkflowError:
    """Return the error of a function that waits, but for none of its operations."""
    return WorkflowError(
        f"execution {head.id} ({head.task}) waits for something that is none of its operations: "
        "nothing would ever wake it. Input and output, and what belongs to the executor, belong "
        "in steps: ctx.step(function, ...)"
    )


def _info(error: BaseException) -> ErrorInfo:
    return ErrorInfo.from_exception(error, retryable=False)
