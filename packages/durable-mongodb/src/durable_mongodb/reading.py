"""Reads: by id, by query, checkpoints."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from durable_core.storage import (
    Checkpoint,
    CountBy,
    Head,
    InvalidArgumentError,
    Page,
    Query,
    Status,
)

from .records import NO_PAYLOADS, Doc, head, record
from .session import Session
from .settings import CHECKPOINTS, EXECUTIONS

_LAST_ID: Final = "\x7f"
"""Sorts after every character that an id may have."""

_MOST: Final = 2**31 - 2
"""The driver takes no larger limit."""

_UNFINISHED: Final[Mapping[str, Any]] = {"finished_at": None}

_BY: Final[Mapping[CountBy, Any]] = {
    CountBy.STATUS: {
        "$cond": [
            {"$and": [{"$not": [{"$gte": ["$finished_at", 0]}]}, {"$gt": ["$owner", ""]}]},
            Status.RUNNING.value,
            "$phase",
        ]
    },
    CountBy.TASK: "$task",
    CountBy.QUEUE: "$queue",
}

_PLAIN: Final = (
    ("queue", "queue", "$eq"),
    ("group", "group", "$eq"),
    ("parent_id", "parent_id", "$eq"),
    ("owner", "owner", "$eq"),
    ("created_from", "created_at", "$gte"),
    ("created_before", "created_at", "$lt"),
    ("finished_from", "finished_at", "$gte"),
    ("finished_before", "finished_at", "$lt"),
)


async def get_all(session: Session, ids: Sequence[str], *, payload: bool) -> list[Head | None]:
    """Read executions in the order of their ids."""
    # What cannot be an id is not stored, and may be no text that can be sent.
    wanted = [id_ for id_ in dict.fromkeys(ids) if id_.isascii()]
    fields = None if payload else NO_PAYLOADS
    docs = await session.find(EXECUTIONS, {"_id": {"$in": wanted}}, fields=fields)
    make = record if payload else head
    found: dict[str, Head] = {doc["_id"]: make(doc) for doc in docs}
    return [found.get(id_) for id_ in ids]


async def find_page(
    session: Session, query: Query, limit: int, cursor: str | None, *, payload: bool
) -> Page[Head]:
    """Return one page of matching executions, continued after the cursor's place."""
    first = "created_at" if query.parent_id is None else "child_index"
    conditions = _where(query)
    if cursor is not None:
        place, id_ = _parse(cursor)
        conditions.append({first: {"$gte": place}})
        conditions.append({"$or": [{first: {"$gt": place}}, {"_id": {"$gt": id_}}]})
    wanted = min(max(limit, 0), _MOST)
    docs = await session.find(
        EXECUTIONS,
        {"$and": conditions} if conditions else {},
        fields=None if payload else NO_PAYLOADS,
        sort=[(first, 1), ("_id", 1)],
        limit=wanted + 1,
        hint=_hint(query),
    )
    make = record if payload else head
    items: list[Head] = [make(doc) for doc in docs[:wanted]]
    if len(docs) <= wanted or not items:
        return Page(items=items)
    last = items[-1]
    return Page(items=items, cursor=f"{getattr(last, first)} {last.id}")


async def count_all(
    session: Session, query: Query, by: CountBy | None, cap: int | None
) -> Mapping[str, int]:
    """Count executions, as `Storage.count` says."""
    if cap is not None and cap <= 0:
        return {} if by is not None else {"*": 0}
    conditions = _where(query)
    pipeline: list[Doc] = [{"$match": {"$and": conditions}}] if conditions else []
    if cap is not None:
        pipeline.append({"$limit": cap})
    pipeline.append({"$group": {"_id": None if by is None else _BY[by], "n": {"$sum": 1}}})
    docs = await session.aggregate(EXECUTIONS, pipeline, hint=_hint(query))
    if by is None:
        return {"*": docs[0]["n"] if docs else 0}
    return {doc["_id"]: doc["n"] for doc in docs}


async def checkpoint_page(
    session: Session, execution_id: str, limit: int, cursor: str | None
) -> Page[Checkpoint]:
    """Return an execution's checkpoints in order of writing, after the cursor's place."""
    after = 0 if cursor is None else _parse(cursor)[0]
    if not execution_id.isascii():
        return Page(items=[])
    wanted = min(max(limit, 0), _MOST)
    docs = await session.find(
        CHECKPOINTS,
        {"execution_id": execution_id, "place": {"$gt": after}},
        sort=[("execution_id", 1), ("place", 1)],
        limit=wanted + 1,
        hint="places",
    )
    items = [
        Checkpoint(name=doc["name"], value=doc["value"], created_at=int(doc["created_at"]))
        for doc in docs[:wanted]
    ]
    more = len(docs) > wanted and items
    return Page(items=items, cursor=f"{docs[len(items) - 1]['place']} " if more else None)


def _hint(query: Query) -> str | None:
    """Return the index of the queries on which the engine lives; others are the planner's."""
    if query.parent_id is not None:
        return "children"
    return "held" if query.owner is not None else None


def _where(query: Query) -> list[Doc]:
    conditions: list[Doc] = []
    for name, field, operator in _PLAIN:
        value = getattr(query, name)
        if value is not None:
            conditions.append({field: {operator: value}})
    if query.finished_before is not None:
        # So that the partial index of finished rows knows that it has all of them.
        conditions.append({"finished_at": {"$gte": 0}})
    if query.root_id is not None:
        # Two branches, because the index knows only those that are not their own root.
        children = {"root_id": query.root_id, "parent_id": {"$gt": ""}}
        root = {"_id": query.root_id, "root_id": query.root_id, "parent_id": None}
        conditions.append({"$or": [root, children]})
    if query.statuses is not None:
        conditions.append(_statuses(query.statuses))
    if query.tasks is not None:
        conditions.append({"task": {"$in": sorted(query.tasks)}})
    if query.tags:
        conditions.append({"tags": {"$all": sorted(query.tags)}})
    if query.id_prefix is not None:
        conditions.append({"_id": {"$gte": query.id_prefix, "$lt": query.id_prefix + _LAST_ID}})
    return conditions


def _statuses(statuses: Collection[Status]) -> Doc:
    phases = sorted(status.value for status in statuses if status is not Status.RUNNING)
    unheld: Doc = {
        "phase": {"$in": phases},
        "$or": [{"finished_at": {"$gte": 0}}, {"owner": None}],
    }
    if Status.RUNNING not in statuses:
        return unheld
    return {"$or": [unheld, {"owner": {"$gt": ""}, **_UNFINISHED}]}


def _parse(cursor: str) -> tuple[int, str]:
    number, _, id_ = cursor.partition(" ")
    try:
        return int(number), id_
    except ValueError:
        msg = f"not a cursor of this storage: {cursor!r}"
        raise InvalidArgumentError(msg) from None
