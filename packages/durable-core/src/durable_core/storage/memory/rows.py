"""Records changed by copying, and the conditions that are asked of them."""

from dataclasses import fields

from ..records import FINISHED, Head, Record
from ..requests import Query

_HEAD_FIELDS = tuple(field.name for field in fields(Head))


def head_of(record: Record) -> Head:
    """Return the record without its payloads."""
    return Head(**{name: getattr(record, name) for name in _HEAD_FIELDS})


def matches(record: Record, query: Query) -> bool:
    """Whether a record is asked for by a query."""
    return (
        (query.statuses is None or record.status in query.statuses)
        and (query.tasks is None or record.task in query.tasks)
        and (query.queue is None or record.queue == query.queue)
        and (query.group is None or record.group == query.group)
        and (query.parent_id is None or record.parent_id == query.parent_id)
        and (query.root_id is None or record.root_id == query.root_id)
        and (query.owner is None or record.owner == query.owner)
        and query.tags <= record.tags
        and _within(record.created_at, query.created_from, query.created_before)
        and _within(record.finished_at, query.finished_from, query.finished_before)
        and (query.id_prefix is None or record.id.startswith(query.id_prefix))
    )


def _within(time: int | None, start: int | None, end: int | None) -> bool:
    if start is None and end is None:
        return True
    if time is None:
        return False
    return (start is None or time >= start) and (end is None or time < end)


def is_duty(record: Record) -> bool:
    """Whether any executor may claim the row, whatever tasks it knows."""
    return record.phase in FINISHED or record.task.startswith("$")
