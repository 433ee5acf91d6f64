"""The memory storage's data, and the decisions of the kit, as storages with transactions do it."""

from collections.abc import Sequence
from copy import copy

from durable_core.storage import (
    Applied,
    Cancelled,
    Checkpoint,
    Head,
    Keep,
    MemoryStorage,
    Release,
    Transition,
    Wake,
    Woken,
)
from durable_core.storage.kit import (
    Applying,
    Mailbox,
    Mailboxes,
    Rows,
    Waking,
    cancel_one,
    changed,
    check_apply,
    check_cancel,
    check_wake,
)
from durable_core.storage.memory.tables import Tables

from .invariants import tables_of


class Decided(MemoryStorage):
    """What a call needs is read, decided on, and written back; nothing in between."""

    async def apply(self, *, items: Sequence[Transition], now: int) -> Sequence[Applied]:
        """See `Storage.apply`."""
        check_apply(items, self.capabilities)
        tables = tables_of(self)
        children = [c for item in items if isinstance(item, Keep | Release) for c in item.children]
        keys = [(child.task, child.wake_key) for child in children if child.wake_key is not None]
        there = [child.id for child in children if child.id in tables.rows]
        rows = _rows(tables, [item.id for item in items], now)
        boxes = _boxes(tables, keys)
        parents = {id_: tables.rows[id_].parent_id for id_ in there}
        applying = Applying(rows, boxes, parents, {key for key in keys if key in tables.sleepers})
        answers = [applying.apply(item) for item in items]
        for _, new in applying.births:
            tables.put(new)
        for id_, name, value in applying.points:
            point = Checkpoint(name=name, value=value, created_at=now)
            tables.checkpoints.setdefault(id_, {}).setdefault(name, point)
        _write(tables, rows, boxes)
        self._tell(tables.rows.values())
        return answers

    async def wake(self, *, items: Sequence[Wake], now: int) -> Sequence[Woken]:
        """See `Storage.wake`."""
        check_wake(items, self.capabilities)
        tables = tables_of(self)
        keys = [_wake_key(tables, item) for item in items]
        known = [(item.task, key) for item, key in zip(items, keys, strict=True) if key is not None]
        boxes = _boxes(tables, known)
        asleep = [tables.sleepers[key] for key in known if key in tables.sleepers]
        named = [item.id for item in items if item.id is not None]
        latest = [boxes.get(*key).execution_id for key in known]
        rows = _rows(tables, [*asleep, *named, *latest], now)
        waking = Waking(rows, boxes)
        answers = [waking.wake(item, key) for item, key in zip(items, keys, strict=True)]
        _write(tables, rows, boxes)
        self._tell(tables.rows.values())
        return answers

    async def cancel(self, *, ids: Sequence[str], request: str, now: int) -> Sequence[Cancelled]:
        """See `Storage.cancel`."""
        check_cancel(ids, request, self.capabilities)
        tables = tables_of(self)
        rows = _rows(tables, ids, now)
        answers = [cancel_one(rows, id_, request) for id_ in ids]
        _write(tables, rows, Mailboxes({}))
        self._tell(tables.rows.values())
        return answers


def _wake_key(tables: Tables, item: Wake) -> str | None:
    if item.id is None:
        return item.wake_key
    row = tables.rows.get(item.id)
    return None if row is None or row.task != item.task else row.wake_key


def _rows(tables: Tables, ids: Sequence[str | None], now: int) -> Rows:
    """Read rows, and then the parents that are not among them."""
    there = {id_: tables.rows[id_] for id_ in ids if id_ is not None and id_ in tables.rows}
    rows = Rows([_head(tables, id_) for id_ in there], now)
    for id_ in rows.parents():
        if rows.get(id_) is None and id_ in tables.rows:
            rows.add(_head(tables, id_))
    return rows


def _head(tables: Tables, id_: str) -> Head:
    row = tables.rows[id_]
    return Head(**{name: getattr(row, name) for name in Head.__dataclass_fields__})


def _boxes(tables: Tables, keys: Sequence[tuple[str, str]]) -> Mailboxes:
    return Mailboxes({key: copy(tables.mailboxes.get(key, Mailbox())) for key in keys})


def _write(tables: Tables, rows: Rows, boxes: Mailboxes) -> None:
    for id_, values in rows.changes.items():
        tables.put(changed(tables.rows[id_], **values))
    tables.mailboxes.update(boxes.take_changed())
