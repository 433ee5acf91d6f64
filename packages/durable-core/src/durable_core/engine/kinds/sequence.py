"""A sequence: one row that goes through its steps, each result recorded once."""

import json
from typing import Any

from ...errors import InputError, OutputError
from ...failure import ErrorInfo
from ...options import Policy
from ...storage import Phase, Record, Transition
from ...tasks.kinds import SequenceTask
from ...tasks.task import Call, FunctionTask, Task
from ..attempt import Failed, Succeeded
from ..run import Run, UnfitError, noted, recorded_number, unfit
from .children import child_at


async def run_sequence(run: Run, task: SequenceTask[..., Any]) -> Transition | None:
    """Run steps until one has to wait, fails, or was the last."""
    step = recorded_number(run.record, "step")
    if run.record.phase is Phase.WAITING_FOR_FINALIZE or step >= len(task.steps):
        raise UnfitError(unfit(run.record))
    value: bytes | None = None
    if run.record.phase is Phase.WAITING_FOR_CHILDREN and _awaits_child(run.record):
        ended = await child_at(run, step)
        if ended.phase is not Phase.COMPLETED or ended.output is None:
            return _failed_child(run, task, step, ended)
        step, value = step + 1, ended.output
        if step == len(task.steps):
            return run.completed(value)
        run.remember(attempt=0, error=None)
    # A step behind a child that was recorded by keeping the row leaves its phase as it was.
    run.remember(phase=Phase.READY, state=_encode(step))
    while True:
        run.step = step
        result = await _one_step(run, task, step, value)
        if not isinstance(result, bytes):
            return result
        if step + 1 == len(task.steps):
            return run.completed(result)
        too_large = run.completed(result, f"output of step {step}")
        if too_large.phase is not Phase.COMPLETED:
            return too_large
        value = result
        step += 1
        await run.keep(
            run.progress(
                state=_encode(step),
                attempt=0,
                error=None,
                reset_crashes=True,
                checkpoints={_name(step - 1): value},
            )
        )
        run.remember(state=_encode(step), attempt=0, crashes=0, error=None)


async def _one_step(
    run: Run, task: SequenceTask[..., Any], step: int, value: bytes | None
) -> bytes | Transition | None:
    """Return the step's encoded result, or what ends this activation."""
    part = task.steps[step]
    try:
        arguments = await _arguments(run, task, step, value)
    except InputError as error:
        return _failure(run, task, step, Failed(_info(error)))
    if not isinstance(part, FunctionTask):
        return _as_child(run, part, step, arguments)
    result = await run.call(part, *arguments, policy=Policy.decode(part.policy))
    if not isinstance(result, Succeeded):
        return _failure(run, task, step, result)
    try:
        return part.output_codec.encode(result.value)
    except OutputError as error:
        return _failure(run, task, step, Failed(_info(error)))


def _encode(step: int, *, child: bool = False) -> bytes:
    return json.dumps({"step": step, "child": child}).encode()


def _awaits_child(record: Record) -> bool:
    return bool(json.loads(record.state or b"{}").get("child"))


def _name(step: int) -> str:
    return f"step/{step}"


def _info(error: Exception) -> ErrorInfo:
    return ErrorInfo.from_exception(error, retryable=False)


async def _arguments(
    run: Run, task: SequenceTask[..., Any], step: int, value: bytes | None
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    part = task.steps[step]
    if step == 0:
        return part.input_codec.decode(run.record.input)
    if value is None:
        value = await _recorded(run, step - 1)
    result = task.steps[step - 1].output_codec.decode(value)
    return part.input_codec.decode(part.input_codec.encode_single(result))


async def _recorded(run: Run, step: int) -> bytes:
    """Return the result of an earlier step, after a pause or a crash."""
    recorded = await run.services.writer.recorded(run.record.id)
    there = recorded.get(_name(step))
    if there is not None:
        return there
    return (await child_at(run, step)).output or b"null"


def _as_child(
    run: Run, part: Task[..., Any], step: int, arguments: tuple[tuple[Any, ...], dict[str, Any]]
) -> Transition:
    args, kwargs = arguments
    call: Call[Any] = part.call(*args, **kwargs)
    return run.release(
        Phase.WAITING_FOR_CHILDREN,
        run.deadline,
        children=[run.child(call, step)],
        state=_encode(step, child=True),
        attempt=0,
        reset_crashes=True,
        join_at=0,
    )


def _failure(run: Run, task: SequenceTask[..., Any], step: int, result: Any) -> Transition | None:
    policy = Policy.decode(task.steps[step].policy)
    if isinstance(result, Failed):
        error = noted(result.error, _where(task, step))
        result = Failed(error, result.phase)
    return run.after(result, policy, state=_encode(step))


def _failed_child(run: Run, task: SequenceTask[..., Any], step: int, child: Record) -> Transition:
    if child.error is not None:
        error = ErrorInfo.decode(child.error)
    else:
        error = _info(RuntimeError(f"execution {child.id} ended as {child.status}"))
    phase = child.phase if child.phase is Phase.TIMED_OUT else Phase.FAILED
    return run.failed(phase, noted(error, _where(task, step)))


def _where(task: SequenceTask[..., Any], step: int) -> str:
    return f"in step {step} ({task.steps[step].name}) of sequence {task.name}"
