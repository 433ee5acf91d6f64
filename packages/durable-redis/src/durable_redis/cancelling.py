"""Ending or marking executions from outside."""

from collections.abc import Iterator, Sequence
from typing import Final

from durable_core.storage import Cancelled, CancelOutcome

from .batches import batches
from .database import Database
from .records import Reader, moment
from .scripts import CANCEL

_OUTCOMES: Final = (
    CancelOutcome.ENDED,
    CancelOutcome.MARKED,
    CancelOutcome.FINISHED,
    CancelOutcome.MISSING,
)


async def cancel_all(
    database: Database, ids: Sequence[str], request: str, now: int
) -> list[Cancelled]:
    """Carry out a request to cancel, as `Storage.cancel` says."""
    begin = (moment(now), request.encode())
    # What is no id is looked for like one, and not found.
    names = [id_.encode(errors="backslashreplace") for id_ in ids]
    replies = await database.run(CANCEL, [[*begin, *chunk] for chunk in batches(names)])
    return [answer for reply in replies for answer in _answers(reply)]


def _answers(reply: bytes) -> Iterator[Cancelled]:
    reader = Reader(reply)
    while not reader.ended:
        code, told, woken = reader.byte(), reader.byte(), reader.short()
        yield Cancelled(
            outcome=_OUTCOMES[code - 1],
            head=reader.head() if told else None,
            woken=(woken,) if woken else (),
        )
