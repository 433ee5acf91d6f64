"""The conditions and updates of the hot calls: what other databases have as statements.

Text of users is only ever a value, never part of a name or an expression: in pipelines it is
wrapped as a literal, because there a text that begins with ``$`` would be read as a path.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

from durable_core.storage import (
    WAITING,
    Finish,
    Keep,
    Phase,
    Release,
    Settle,
    Transition,
)
from durable_core.storage.kit import values_of

from .records import ANYBODY, Doc

HELD: Final = {"$gt": ""}
"""What `owner` is while somebody holds the row, in words that the partial indexes know."""

# --- apply -------------------------------------------------------------------------------------


def guard(item: Transition) -> Doc:
    """Return the condition under which a transition is applied without a look at other rows."""
    where: Doc = {"_id": item.id, "owner": item.token.owner, "gen": item.token.gen}
    if isinstance(item, Settle):
        where["finished_at"] = {"$gte": 0}
        return where
    where["finished_at"] = None
    if isinstance(item, Finish):
        # A parent must be counted down, and unfinished children leave a duty.
        where["parent_id"] = None
        where["pending"] = 0
    elif not item.cancel_seen:
        where["cancel_requested"] = False
    return where


def change(item: Transition, now: int, stamp: object) -> Doc | list[Doc]:
    """Return what a transition writes, if its guard holds."""
    if isinstance(item, Settle):
        due = item.due
        return {
            "$set": {
                "owner": None,
                "due": due,
                "ready": ANYBODY if due is not None and due <= now else None,
                "later": ANYBODY if due is not None and due > now else None,
                "stamp": stamp,
            }
        }
    values = {**values_of(item), "stamp": stamp}
    if isinstance(item, Keep):
        return {"$set": values}
    if isinstance(item, Finish):
        values |= {
            "phase": item.phase.value,
            "owner": None,
            "due": None,
            "asleep": None,
            "ended_by": str(item.token),
            "finished_at": now,
        }
        return {"$set": values}
    return _release(item, values, now)


def _release(item: Release, values: Doc, now: int) -> list[Doc]:
    """Only the server knows the row's claim queue, and how many children it has."""
    due: Any = item.due
    if item.phase in WAITING:
        join_at: Any = values.get("join_at", "$join_at")
        due = {"$cond": [{"$lte": ["$pending", join_at]}, 0, item.due]}
    literal = {name: {"$literal": value} for name, value in values.items()}
    first = {**literal, "owner": None, "phase": item.phase.value, "due": due}
    return [{"$set": first}, {"$set": waits_in_pipeline("$due", now)}]


def waits_in_pipeline(due: str, now: int) -> Doc:
    """Return `ready` and `later` of an un-held, unfinished row, as `records.waits_in`."""
    # Null is less than every number, so that a row without a due time waits nowhere.
    is_due = {"$and": [{"$lte": [due, now]}, {"$gte": [due, 0]}]}
    return {
        "ready": {"$cond": [is_due, "$slot", None]},
        "later": {"$cond": [{"$gt": [due, now]}, "$slot", None]},
    }


# --- claim -------------------------------------------------------------------------------------


def claimable(ids: Collection[str], now: int) -> Doc:
    """Return the condition of rows that a claim may take, whatever became of them meanwhile."""
    return {"_id": {"$in": list(ids)}, "owner": None, "due": {"$lte": now}}


def claimable_by_id(ids: Collection[str], now: int) -> Doc:
    """Return the same for a claim that names the rows."""
    return {
        "_id": {"$in": list(ids)},
        "owner": None,
        "finished_at": None,
        "$or": [{"wake_key": None}, {"due": {"$lte": now}}],
    }


def hold(executor: str, now: int, stamp: object) -> list[Doc]:
    """Return what a claim writes."""
    is_ready = {"$eq": ["$phase", Phase.READY.value]}
    return [
        {
            "$set": {
                "owner": {"$literal": executor},
                "gen": {"$add": ["$gen", 1]},
                "due": None,
                "ready": None,
                "later": None,
                "started_at": {"$cond": [is_ready, now, "$started_at"]},
                "stamp": stamp,
            }
        }
    ]


# --- reap --------------------------------------------------------------------------------------

ENDS: Final[Mapping[str, Any]] = {
    "cancel_requested": True,
    "on_cancel": "end",
    "finished_at": None,
}
"""Rows that a reap ends instead of freeing."""


def of_dead(tokens: Mapping[str, tuple[str, int]]) -> Doc:
    """Return the condition of rows that are still held under these tokens, and are to be freed.

    Args:
        tokens: By id: owner and gen.
    """
    by_token: dict[tuple[str, int], list[str]] = {}
    for id_, token in tokens.items():
        by_token.setdefault(token, []).append(id_)
    any_of = [
        {"_id": {"$in": ids}, "owner": owner, "gen": gen} for (owner, gen), ids in by_token.items()
    ]
    return {"$or": any_of, "$nor": [ENDS]}


def free(stamp: object) -> list[Doc]:
    """Return what a reap writes."""
    duty = {"$gte": ["$finished_at", 0]}
    return [
        {
            "$set": {
                "owner": None,
                "gen": {"$add": ["$gen", 1]},
                "crashes": {"$add": ["$crashes", 1]},
                "due": 0,
                "ready": {"$cond": [duty, ANYBODY, "$slot"]},
                "later": None,
                "stamp": stamp,
            }
        }
    ]


# --- purge -------------------------------------------------------------------------------------


def over(finished_before: int) -> Doc:
    """Return the condition of rows that may be deleted, as far as it is theirs alone."""
    return {
        "finished_at": {"$gte": 0, "$lt": finished_before},
        "owner": None,
        "due": None,
        "pending": 0,
    }
