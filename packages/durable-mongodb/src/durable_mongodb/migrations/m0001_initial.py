"""The first schema: five collections and their indexes.

An index is partial wherever most rows have no business in it: finished rows cost nothing where
claims and reaps look. A partial index says ``$gt`` where one would like to say *is not null*,
because only comparisons let the planner see that a query asks for nothing else.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

_TEXT: Final = {"$gt": ""}
_NUMBER: Final = {"$gte": 0}

INDEXES: Final[Mapping[str, Sequence[Mapping[str, Any]]]] = {
    "executions": (
        {
            "name": "ready",
            "key": {"ready": 1, "priority": -1, "due": 1},
            "partialFilterExpression": {"ready": _TEXT},
        },
        {
            "name": "later",
            "key": {"later": 1, "due": 1, "priority": -1},
            "partialFilterExpression": {"later": _TEXT},
        },
        {"name": "held", "key": {"owner": 1}, "partialFilterExpression": {"owner": _TEXT}},
        {
            "name": "marked",
            "key": {"owner": 1, "_id": 1},
            "partialFilterExpression": {"owner": _TEXT, "cancel_requested": True},
        },
        {
            "name": "children",
            "key": {"parent_id": 1, "child_index": 1, "_id": 1},
            "partialFilterExpression": {"parent_id": _TEXT},
        },
        {
            "name": "tree",
            "key": {"root_id": 1, "created_at": 1, "_id": 1},
            "partialFilterExpression": {"parent_id": _TEXT},
        },
        {
            "name": "keys",
            "key": {"task": 1, "key": 1},
            "unique": True,
            "partialFilterExpression": {"key": _TEXT},
        },
        {
            "name": "sleepers",
            "key": {"task": 1, "asleep": 1},
            "unique": True,
            "partialFilterExpression": {"asleep": _TEXT},
        },
        {
            "name": "finished",
            "key": {"finished_at": 1, "_id": 1},
            "partialFilterExpression": {"finished_at": _NUMBER},
        },
        {"name": "created", "key": {"created_at": 1, "_id": 1}},
    ),
    "checkpoints": ({"name": "places", "key": {"execution_id": 1, "place": 1}, "unique": True},),
    "mailboxes": (
        {"name": "over", "key": {"over_at": 1}, "partialFilterExpression": {"over_at": _NUMBER}},
    ),
    "leases": ({"name": "expiry", "key": {"expires_at": 1}},),
}
