"""One run of a durable function after the other, each with a record of its own."""

import hashlib
from typing import Final

from ...storage import NewExecution, Phase, Transition
from ..run import Run
from .record import State

CONTINUED: Final = b"\0durable: continued as\0"
"""Begins the output of an execution that another one continues; its id follows."""

_PAUSE_US: Final = 10_000
"""The next run is due only then, µs: by that time this one has ended, if nothing is amiss."""

_LOOK_AGAIN_US: Final = 100_000
_LONGEST_ID: Final = 255


def continued_as(output: bytes | None) -> str | None:
    """Return the id of the execution that continues one with this output, if one does."""
    if output is None or not output.startswith(CONTINUED):
        return None
    return output.removeprefix(CONTINUED).decode()


async def continue_as_new(run: Run, input_: bytes, state: State) -> Transition:
    """Insert the next run, then end this one.

    A crash between the two leaves this one to be run again: it comes to the same point, and
    finds that the next run exists. The next run does not begin before this one has ended.
    """
    record = run.record
    number = state.run + 1
    await run.services.writer.insert(
        NewExecution(
            id=_next_id(record.id, number),
            task=record.task,
            queue=record.queue,
            group=record.group,
            on_cancel=record.on_cancel,
            tags=record.tags,
            priority=record.priority,
            due=run.services.time.now() + _PAUSE_US,
            options=record.options,
            meta=record.meta,
            input=input_,
            state=State(run=number, previous=record.id).encode(),
        )
    )
    # A look now tells when the next one is due.
    run.services.ready()
    return run.finish(Phase.COMPLETED, output=CONTINUED + _next_id(record.id, number).encode())


async def after_the_run_before(run: Run, previous: str) -> Transition | None:
    """Wait for the end of the run before, and take over its cancellation."""
    (head,) = await run.services.writer.records([previous])
    if head is None:
        return None
    if not head.finished:
        return run.hand_back("the run before has not ended", _LOOK_AGAIN_US)
    if head.cancel_requested:
        run.remember(cancel_requested=True)
    return None


def _next_id(id_: str, number: int) -> str:
    base, _, _ = id_.rpartition("~") if number > 1 else (id_, "", "")
    made = f"{base}~{number}"
    if len(made) <= _LONGEST_ID:
        return made
    return f"{hashlib.blake2b(base.encode(), digest_size=20).hexdigest()}~{number}"
