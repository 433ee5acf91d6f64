"""Records made from requests, the same way in every storage."""

from ..errors import InvalidArgumentError
from ..records import Phase, Record
from ..requests import NewExecution


def born(item: NewExecution, now: int) -> Record:
    """Return the row that inserting an item makes, held if it asks for an owner and is due.

    A message kept for a sleeper is the storage's to look up; this is the row without one.

    Args:
        item: What to insert.
        now: The insert's time, µs.
    """
    held = born_held(item, now)
    return Record(
        id=item.id,
        task=item.task,
        queue=item.queue,
        group=item.group,
        key=item.key,
        wake_key=item.wake_key,
        root_id=item.root_id or item.id,
        parent_id=item.parent_id,
        child_index=item.child_index,
        on_cancel=item.on_cancel,
        tags=item.tags,
        priority=item.priority,
        phase=item.phase,
        due=None if held else item.due,
        owner=item.owner if held else None,
        gen=1 if held else 0,
        crashes=0,
        attempt=0,
        error=None,
        pending=0,
        join_at=0,
        cancel_requested=False,
        ended_by=None,
        created_at=now,
        started_at=now if held else None,
        finished_at=None,
        options=item.options,
        meta=item.meta,
        input=item.input,
        state=item.state,
        output=None,
    )


def born_held(item: NewExecution, now: int) -> bool:
    """Return whether an item is held as soon as it is inserted: it asks for that and is due.

    Args:
        item: What to insert.
        now: The insert's time, µs.
    """
    return (
        item.owner is not None
        and item.phase is Phase.READY
        and item.due is not None
        and item.due <= now
    )


def child_parent_check(parent_id: str, child: NewExecution) -> None:
    """Refuse a child that names another parent than the item that inserts it.

    Raises:
        InvalidArgumentError: It does.
    """
    if child.parent_id != parent_id:
        msg = (
            f"child {child.id!r} names parent {child.parent_id!r}, "
            f"but is inserted by the transition of {parent_id!r}"
        )
        raise InvalidArgumentError(msg)
