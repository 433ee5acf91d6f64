"""Wake-ups and cancellations that were enqueued inside a caller's transaction (finding F40)."""

import base64
import json

from ...storage import Phase, Transition, Wake
from ..run import Run

WAKE = "$wake"
CANCEL = "$cancel"
NAMES = frozenset({WAKE, CANCEL})


def wake_input(item: Wake, keep_for: int | None) -> bytes:
    """Return the input of a built-in wake-up.

    Args:
        item: What to do; its request is the execution's id.
        keep_for: µs after the run for which the message is kept.
    """
    return json.dumps(
        {
            "task": item.task,
            "wake_key": item.wake_key,
            "phase": item.phase,
            "payload": None if item.payload is None else base64.b64encode(item.payload).decode(),
            "keep_for": keep_for,
        }
    ).encode()


def cancel_input(execution_id: str) -> bytes:
    """Return the input of a built-in cancellation."""
    return json.dumps({"id": execution_id}).encode()


async def run_builtin(run: Run) -> Transition:
    """Do what was enqueued; repeated after a crash it has no second effect."""
    record = run.record
    order = json.loads(record.input)
    writer = run.services.writer
    if record.task == CANCEL:
        (cancelled,) = await writer.cancel([order["id"]], request=_request(record.id))
        return run.completed(json.dumps(cancelled.outcome).encode())
    keep_for = order["keep_for"]
    payload = order["payload"]
    woken = await writer.wake(
        Wake(
            task=order["task"],
            wake_key=order["wake_key"],
            phase=Phase(order["phase"]),
            payload=None if payload is None else base64.b64decode(payload),
            request=_request(record.id),
            keep_until=None if keep_for is None else run.services.time.now() + keep_for,
        )
    )
    return run.completed(json.dumps(woken.outcome).encode())


def _request(execution_id: str) -> str:
    return f"by.{execution_id}"[:255]
