"""A single child of a sequence or loop."""

from ...errors import DurableError
from ...storage import Record
from ..ids import child_id
from ..run import Run


async def child_at(run: Run, index: int) -> Record:
    """Return the child at a place, found by its id, which follows from its parent and place.

    Raises:
        DurableError: There is none.
    """
    record = run.record
    (child,) = await run.services.writer.records([child_id(record.id, record.created_at, index)])
    if child is None:
        msg = f"child {index} of {record.id} ({record.task}) is gone"
        raise DurableError(msg)
    return child
