"""A parent: children in parallel, then a finalizer as function, task or parent task."""

from collections.abc import Iterator, Sequence
from typing import Any

from ...errors import (
    ChildrenFailedError,
    InputError,
    OptionError,
    OutputError,
    PayloadTooLargeError,
)
from ...failure import ErrorInfo
from ...storage import NewExecution, Phase, Query, Status, Transition
from ...tasks.kinds import OnChildFailure, ParentTask
from ...tasks.registry import Tasks
from ...tasks.results import ParentResult, is_fan_out
from ...tasks.task import FunctionTask, must_be_call
from ..attempt import Succeeded
from ..calls import FINALIZER
from ..run import Run, UnfitError, unfit
from .inputs import joined
from .plain import call_with_input
from .plan import ParentState, decode_page, encode_page, page_name

_PAGE_BYTES = 128 * 1024


async def run_parent(run: Run, task: ParentTask[..., Any], tasks: Tasks) -> Transition | None:
    """Carry a parent one phase further and return what follows."""
    record = run.record
    if record.state is None and record.phase is Phase.READY:
        return await _spawn(run, task, tasks)
    try:
        state = ParentState.decode(record.state or b"")
    except ValueError:
        raise UnfitError(unfit(record)) from None
    if record.phase is Phase.WAITING_FOR_FINALIZE:
        return await _take_over_finalizer(run)
    if record.phase is Phase.WAITING_FOR_CHILDREN:
        return await _join(run, task, tasks)
    return await _insert_planned(run, task, tasks, state)


async def _spawn(run: Run, task: ParentTask[..., Any], tasks: Tasks) -> Transition | None:
    result = await call_with_input(run, task.body, tasks)
    if not isinstance(result, Succeeded):
        return run.after(result)
    try:
        output, children = _checked(run, task, result.value)
    except (InputError, OutputError, PayloadTooLargeError, OptionError) as error:
        return run.failed(Phase.FAILED, ErrorInfo.from_exception(error, retryable=False))
    state = ParentState(output=output)
    if not children:
        run.remember(state=state.encode(), attempt=0, error=None)
        return await _join(run, task, tasks)
    pages = list(_pages(run, children))
    if len(pages) == 1:
        return _wait(run, state, children=children)
    state = ParentState(output=output, plan=run.held.token.gen, pages=len(pages))
    for number, page in enumerate(pages):
        name = page_name(state.plan, number)
        await run.keep(run.progress(checkpoints={name: encode_page(page)}))
    await run.keep(run.progress(state=state.encode(), reset_crashes=True))
    return await _insert_pages(run, state, pages)


def _checked(
    run: Run, task: ParentTask[..., Any], value: object
) -> tuple[bytes, Sequence[NewExecution]]:
    if not is_fan_out(value):
        msg = (
            f"parent task {task.name!r} returned {type(value).__name__}: it must return "
            "FanOut(output, children)"
        )
        raise OutputError(msg)
    output = task.own_output.encode(value.output)
    if len(output) > run.services.max_output:
        raise PayloadTooLargeError(
            task.name, "own output", len(output), run.services.max_output, "max_output"
        )
    for call in value.children:
        must_be_call(call, f"the children of {task.name!r}")
    return output, [run.child(call, index) for index, call in enumerate(value.children)]


def _pages(run: Run, children: Sequence[NewExecution]) -> Iterator[list[NewExecution]]:
    """Cut children into pieces that fit into one call and one payload each (finding F27)."""
    capabilities = run.services.writer.storage.capabilities
    most_rows = max(1, capabilities.max_batch_rows - 1)
    most_bytes = min(_PAGE_BYTES, capabilities.max_payload // 4)
    page: list[NewExecution] = []
    size = 0
    for child in children:
        bytes_ = len(child.input) + len(child.options) + len(child.meta)
        if page and (len(page) >= most_rows or size + bytes_ > most_bytes):
            yield page
            page, size = [], 0
        page.append(child)
        size += bytes_
    if page:
        yield page


async def _insert_planned(
    run: Run, task: ParentTask[..., Any], tasks: Tasks, state: ParentState
) -> Transition | None:
    """Go on where a predecessor recorded its plan: the body does not run again."""
    if not state.pages:
        return await _join(run, task, tasks)
    recorded = await run.services.writer.recorded(run.record.id)
    names = [page_name(state.plan, number) for number in range(state.pages)]
    pages = [decode_page(recorded[name]) for name in names]
    return await _insert_pages(run, state, pages)


async def _insert_pages(
    run: Run, state: ParentState, pages: Sequence[Sequence[NewExecution]]
) -> Transition:
    for page in pages[:-1]:
        await run.keep(run.progress(children=page))
    return _wait(run, ParentState(output=state.output), children=pages[-1])


def _wait(run: Run, state: ParentState, *, children: Sequence[NewExecution]) -> Transition:
    return run.release(
        Phase.WAITING_FOR_CHILDREN,
        run.deadline,
        children=children,
        state=state.encode(),
        attempt=0,
        error=None,
        reset_crashes=True,
        join_at=0,
    )


async def _join(run: Run, task: ParentTask[..., Any], tasks: Tasks) -> Transition | None:
    if task.finalize is None:
        return await _without_finalizer(run, task)
    if task.finalize_as_task:
        finalizer = run.services.rows.finalizer(task.finalize, run.record, run.services.time.now())
        return run.release(
            Phase.WAITING_FOR_FINALIZE,
            run.deadline,
            children=[finalizer],
            state=run.record.state,
            attempt=0,
            join_at=0,
            reset_crashes=True,
        )
    return await _finalize_here(run, task, tasks)


async def _finalize_here(run: Run, task: ParentTask[..., Any], tasks: Tasks) -> Transition | None:
    finalize = task.finalize
    assert isinstance(finalize, FunctionTask)  # noqa: S101 - not a task, so a function
    value = await joined(run, run.record, tasks)
    result = await run.call(finalize, (value,), {})
    if not isinstance(result, Succeeded):
        _remember_waiting(run)
        return run.after(result, final=Phase.FINALIZE_FAILED, state=run.record.state)
    try:
        output = finalize.output_codec.encode(result.value)
        return run.completed(output, otherwise=Phase.FINALIZE_FAILED)
    except OutputError as error:
        return run.failed(Phase.FINALIZE_FAILED, ErrorInfo.from_exception(error, retryable=False))


def _remember_waiting(run: Run) -> None:
    """Retry the finalizer, not the body, also when there were no children to wait for."""
    run.remember(phase=Phase.WAITING_FOR_CHILDREN)


async def _without_finalizer(run: Run, task: ParentTask[..., Any]) -> Transition:
    heads = await run.services.writer.heads(Query(parent_id=run.record.id))
    bad = [head for head in heads if head.status is not Status.COMPLETED]
    if bad and task.on_child_failure is OnChildFailure.FAIL:
        first = bad[0]
        why = "" if first.error is None else f": {ErrorInfo.decode(first.error)}"
        error = ChildrenFailedError(
            f"{len(bad)} of {len(heads)} children of {run.record.id} did not complete; the first "
            f"is child {first.child_index} ({first.task}, {first.id}): {first.status}{why}"
        )
        return run.failed(Phase.FAILED, ErrorInfo.from_exception(error, retryable=False))
    state = ParentState.decode(run.record.state or b"")
    result = ParentResult(
        output=task.own_output.decode(state.output), children=len(heads), failed=len(bad)
    )
    return run.completed(task.output_codec.encode(result))


async def _take_over_finalizer(run: Run) -> Transition:
    rows = await run.services.writer.found(Query(parent_id=run.record.id))
    finalizer = next((row for row in rows if row.child_index == FINALIZER), None)
    if finalizer is None:
        error = ChildrenFailedError(f"the finalizer of {run.record.id} is gone")
        return run.failed(Phase.FINALIZE_FAILED, ErrorInfo.from_exception(error, retryable=False))
    if finalizer.phase is Phase.COMPLETED:
        return run.completed(finalizer.output or b"null")
    if finalizer.error is not None:
        return run.finish(Phase.FINALIZE_FAILED, error=finalizer.error)
    error = ChildrenFailedError(f"the finalizer {finalizer.id} ended as {finalizer.status}")
    return run.failed(Phase.FINALIZE_FAILED, ErrorInfo.from_exception(error, retryable=False))
