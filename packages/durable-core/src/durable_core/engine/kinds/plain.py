"""A task that is one function."""

from typing import Any

from ...errors import InputError, OutputError
from ...failure import ErrorInfo
from ...storage import Phase, Transition
from ...tasks.registry import Tasks
from ...tasks.task import FunctionTask
from ..attempt import Failed, Interrupted, Succeeded
from ..calls import FINALIZER
from ..run import Run, UnfitError, unfit
from .inputs import arguments


async def run_plain(run: Run, task: FunctionTask[..., Any], tasks: Tasks) -> Transition | None:
    """Run the function once and return what follows."""
    record = run.record
    if record.phase is not Phase.READY or record.state is not None:
        raise UnfitError(unfit(record))
    # What `call_with_input` does, without coroutines that most executions do not need.
    if record.child_index == FINALIZER:
        result = await call_with_input(run, task, tasks)
    else:
        try:
            args, kwargs = task.input_codec.decode(record.input)
        except InputError as error:
            return run.after(_unfitting(error))
        result = await run.call(task, args, kwargs)
    if not isinstance(result, Succeeded):
        return run.after(result)
    try:
        return run.completed(task.output_codec.encode(result.value))
    except OutputError as error:
        return run.failed(Phase.FAILED, ErrorInfo.from_exception(error, retryable=False))


async def call_with_input(
    run: Run, task: FunctionTask[..., Any], tasks: Tasks
) -> Succeeded | Failed | Interrupted:
    """Decode and check the arguments, then call the function; bad input is not retried."""
    try:
        args, kwargs = await arguments(run, task, tasks)
    except InputError as error:
        return _unfitting(error)
    return await run.call(task, args, kwargs)


def _unfitting(error: InputError) -> Failed:
    return Failed(ErrorInfo.from_exception(error, retryable=False))
