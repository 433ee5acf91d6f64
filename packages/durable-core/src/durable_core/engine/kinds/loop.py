"""A loop: one row that iterates, however often and for however long."""

import json
from typing import Any

from ...errors import InputError, OutputError
from ...failure import ErrorInfo
from ...options import Policy
from ...storage import Phase, Record, Transition
from ...tasks.kinds import LoopTask
from ...tasks.results import Again, LoopResult, is_done
from ...tasks.task import Call, FunctionTask
from ..attempt import Failed, Succeeded
from ..run import Run, UnfitError, noted, recorded_number, unfit
from .children import child_at


async def run_loop(run: Run, task: LoopTask[..., Any]) -> Transition | None:
    """Run iterations until one is done, has to wait, fails, or was the last."""
    iteration = recorded_number(run.record, "iteration")
    if run.record.phase is Phase.WAITING_FOR_FINALIZE:
        raise UnfitError(unfit(run.record))
    if run.record.phase is Phase.WAITING_FOR_CHILDREN:
        child = await child_at(run, iteration)
        if child.phase is not Phase.COMPLETED or child.output is None:
            return _failed_child(run, task, iteration, child)
        run.remember(phase=Phase.READY)
        value = task.body.output_codec.decode(child.output)
        return _after_iteration(run, task, iteration, value)
    run.iteration = iteration
    try:
        args, kwargs = task.input_codec.decode(run.record.input)
    except InputError as error:
        return run.failed(Phase.FAILED, ErrorInfo.from_exception(error, retryable=False))
    if not isinstance(task.body, FunctionTask):
        call: Call[Any] = task.body.call(*args, **kwargs)
        return run.release(
            Phase.WAITING_FOR_CHILDREN,
            run.deadline,
            children=[run.child(call, iteration)],
            state=_encode(iteration),
            join_at=0,
        )
    policy = Policy.decode(task.body.policy)
    result = await run.call(task.body, args, kwargs, policy)
    if isinstance(result, Succeeded):
        return _after_iteration(run, task, iteration, result.value)
    if isinstance(result, Failed):
        note = f"in iteration {iteration} of loop {task.name}"
        result = Failed(noted(result.error, note), result.phase)
    return run.after(result, policy, state=_encode(iteration))


def _after_iteration(
    run: Run, task: LoopTask[..., Any], iteration: int, value: object
) -> Transition:
    if is_done(value):
        end = LoopResult(done=True, output=value.output, iterations=iteration + 1)
        return _end(run, task, end)
    if not isinstance(value, Again):
        error = OutputError(
            f"an iteration of loop {task.name!r} returned {type(value).__name__}: it must return "
            "Again() or Done(output)"
        )
        return run.failed(Phase.FAILED, ErrorInfo.from_exception(error, retryable=False))
    iteration += 1
    if iteration >= task.max_iterations:
        return _end(run, task, LoopResult(done=False, output=None, iterations=iteration))
    due = run.services.time.now() + task.delay_us(iteration)
    deadline = run.deadline
    return run.release(
        Phase.READY,
        due if deadline is None else min(due, deadline),
        state=_encode(iteration),
        attempt=0,
        error=None,
        reset_crashes=True,
    )


def _end(run: Run, task: LoopTask[..., Any], result: LoopResult[Any]) -> Transition:
    try:
        return run.completed(task.output_codec.encode(result))
    except OutputError as error:
        return run.failed(Phase.FAILED, ErrorInfo.from_exception(error, retryable=False))


def _encode(iteration: int) -> bytes:
    return json.dumps({"iteration": iteration}).encode()


def _failed_child(run: Run, task: LoopTask[..., Any], iteration: int, child: Record) -> Transition:
    if child.error is not None:
        error = ErrorInfo.decode(child.error)
    else:
        ended = RuntimeError(f"execution {child.id} ended as {child.status}")
        error = ErrorInfo.from_exception(ended, retryable=False)
    phase = child.phase if child.phase is Phase.TIMED_OUT else Phase.FAILED
    return run.failed(phase, noted(error, f"in iteration {iteration} of loop {task.name}"))
