"""The statements that carry most of the load: what begins and what ends, a batch each.

Most rows of a batch have much in common. What is the same for all of them is sent once. The rules
are those of `statements`.
"""

# ruff: noqa: S608 - texts are made of constants; values are always parameters

from typing import Final

from .records import HEAD_COLUMNS, HEADS, columns
from .statements import WAITING, built_in, lane_of


def filled(name: str, place: int, kind: str) -> str:
    """Return a column, and where it ends the first value of its parameter."""
    return f"coalesce(x.{name}, (${place}::{kind}[])[1])"


# --- insert ------------------------------------------------------------------------------------

_BIRTH: Final = (
    ("id", "text"), ("task", "text"), ("queue", "text"), ('"group"', "text"), ('"key"', "text"),
    ("wake_key", "text"), ("root_id", "text"), ("parent_id", "text"), ("child_index", "int4"),
    ("on_cancel", "text"), ("tags", "text"), ("priority", "int4"), ("phase", "text"),
    ("due", "int8"), ("lane", "int2"), ("owner", "text"), ("gen", "int8"), ("ended_by", "text"),
    ("started_at", "int8"), ("finished_at", "int8"), ("options", "bytea"), ("meta", "bytea"),
    ("input", "bytea"), ("state", "bytea"), ("output", "bytea"), ("error", "bytea"),
)  # fmt: skip
"""What `records.birth_row` gives, and as what."""

_BORN_ALIKE: Final = frozenset(
    {"task", "queue", "child_index", "on_cancel", "priority", "phase", "gen", "options", "meta"}
)
BORN_ALIKE: Final = frozenset(
    place for place, (name, _) in enumerate(_BIRTH) if name in _BORN_ALIKE
)
"""Columns of which one value stands for all rows; none of them is ever null."""


def _birth(name: str, place: int, kind: str) -> str:
    if name == "tags":
        return (
            "CASE WHEN x.tags IS NOT NULL "
            "THEN ARRAY(SELECT jsonb_array_elements_text(x.tags::jsonb)) END"
        )
    if name == "root_id":
        return "coalesce(x.root_id, x.id)"
    return filled(name, place, kind) if name in _BORN_ALIKE else f"x.{name}"


INSERT: Final = (
    f"INSERT INTO ~executions ({', '.join(name for name, _ in _BIRTH)}, crashes, attempt, "
    "pending, join_at, cancel_requested, created_at) "
    f"SELECT {', '.join(_birth(name, place, kind) for place, (name, kind) in enumerate(_BIRTH, 2))}"
    ", 0, 0, 0, 0, false, $1 FROM unnest("
    f"{', '.join(f'${place}::{kind}[]' for place, (_, kind) in enumerate(_BIRTH, 2))}) "
    f"AS x({', '.join(name for name, _ in _BIRTH)}) ON CONFLICT DO NOTHING RETURNING id"
)
"""Answers the ids that were not there; of equal ones in the batch the first."""

# --- apply -------------------------------------------------------------------------------------

_TASK_BUILT_IN: Final = built_in("v.task")
_OUTCOME: Final = (
    "CASE WHEN l.id IS NULL THEN 5 "
    "WHEN l.owner IS DISTINCT FROM i.owner OR l.gen <> i.gen THEN "
    "CASE WHEN (l.owner IS NULL AND l.gen = i.gen) OR l.ended_by = i.owner || '/' || i.gen "
    "THEN 1 ELSE 2 END "
    "WHEN (i.kind = 3) <> (l.finished_at IS NOT NULL) THEN 2 "
    "WHEN i.kind < 2 AND l.cancel_requested AND i.flags & 16 = 0 THEN 3 ELSE 0 END"
)
_NEW_DUE: Final = (
    f"CASE i.kind WHEN 1 THEN CASE WHEN i.phase IN {WAITING} "
    "AND l.pending <= coalesce(i.join_at, l.join_at) THEN 0 ELSE i.due END "
    "WHEN 2 THEN CASE WHEN l.pending > 0 THEN 0 END WHEN 3 THEN i.due END"
)
_PARENT_WAITS: Final = f"e.owner IS NULL AND e.phase IN {WAITING} AND e.pending - d.n <= e.join_at"

_ITEM: Final = (
    ("id", "text"), ("parent_id", "text"), ("owner", "text"), ("gen", "int8"), ("kind", "int4"),
    ("phase", "text"), ("due", "int8"), ("flags", "int4"), ("attempt", "int4"),
    ("join_at", "int4"), ("priority", "int4"), ("state", "bytea"), ("output", "bytea"),
    ("error", "bytea"),
)  # fmt: skip
_ALIKE: Final = frozenset({"owner", "gen", "kind", "phase", "flags"})
ALIKE: Final = frozenset(place for place, (name, _) in enumerate(_ITEM) if name in _ALIKE)
"""Columns of which one value stands for all items; a phase that is null is never looked at."""

_ITEM_COLUMNS: Final = ", ".join(
    f"{filled(name, place, kind) if name in _ALIKE else f'x.{name}'} AS {name}"
    for place, (name, kind) in enumerate(_ITEM, 2)
)

APPLY: Final = (
    f"WITH i AS MATERIALIZED (SELECT {_ITEM_COLUMNS}, x.place FROM unnest("
    f"{', '.join(f'${place}::{kind}[]' for place, (_, kind) in enumerate(_ITEM, 2))}) "
    f"WITH ORDINALITY AS x({', '.join(name for name, _ in _ITEM)}, place)), "
    'n AS MATERIALIZED (SELECT id COLLATE "C" AS id FROM i UNION SELECT parent_id COLLATE "C" '
    "FROM i WHERE parent_id IS NOT NULL ORDER BY id), "
    "l AS MATERIALIZED (SELECT x.* FROM n, LATERAL ("
    f"SELECT {HEAD_COLUMNS} FROM ~executions r WHERE r.id = n.id FOR UPDATE) x), "
    f"v AS MATERIALIZED (SELECT i.*, {_OUTCOME} AS outcome, {_NEW_DUE} AS new_due, "
    "l.parent_id AS parent, l.queue AS queue, l.task AS task FROM i LEFT JOIN l ON l.id = i.id), "
    "u AS (UPDATE ~executions e SET "
    "phase = CASE WHEN v.kind IN (1, 2) THEN v.phase ELSE e.phase END, "
    "owner = CASE WHEN v.kind = 0 THEN e.owner END, due = v.new_due, "
    "lane = CASE WHEN v.kind = 0 THEN NULL ELSE "
    f"{lane_of('v.new_due', f'v.kind > 1 OR ({_TASK_BUILT_IN})', '$1')} END, "
    "ended_by = CASE v.kind WHEN 2 THEN v.owner || '/' || v.gen ELSE e.ended_by END, "
    "finished_at = CASE v.kind WHEN 2 THEN $1 ELSE e.finished_at END, "
    "crashes = CASE WHEN v.flags & 8 = 8 THEN 0 ELSE e.crashes END, "
    "attempt = coalesce(v.attempt, e.attempt), join_at = coalesce(v.join_at, e.join_at), "
    "priority = coalesce(v.priority, e.priority), "
    "state = CASE WHEN v.flags & 1 = 1 THEN v.state ELSE e.state END, "
    "output = CASE WHEN v.flags & 2 = 2 THEN v.output ELSE e.output END, "
    "error = CASE WHEN v.flags & 4 = 4 THEN v.error ELSE e.error END "
    "FROM v WHERE v.outcome = 0 AND e.id = ANY (ARRAY[v.id])), "
    "d AS MATERIALIZED (SELECT parent AS id, count(*)::int4 AS n FROM v "
    "WHERE outcome = 0 AND kind = 2 AND parent IS NOT NULL GROUP BY parent ORDER BY parent), "
    "p AS (UPDATE ~executions e SET pending = e.pending - d.n, "
    f"due = CASE WHEN {_PARENT_WAITS} THEN 0 ELSE e.due END, "
    f"lane = CASE WHEN {_PARENT_WAITS} THEN 1 + CASE WHEN {built_in('e.task')} THEN 2 ELSE 0 END "
    "ELSE e.lane END FROM d WHERE e.id = ANY (ARRAY[d.id]) "
    "RETURNING e.id, e.queue, e.pending, e.join_at, "
    f"e.owner IS NULL AND e.phase IN {WAITING} AS waits), "
    "k AS (INSERT INTO ~checkpoints (execution_id, name, value, created_at) "
    "SELECT x.id, x.name, x.value, $1 FROM unnest($16::text[], $17::text[], $18::bytea[]) "
    "WITH ORDINALITY AS x(id, name, value, place) JOIN v ON v.id = x.id AND v.outcome = 0 "
    "ORDER BY x.place ON CONFLICT DO NOTHING) "
    "SELECT v.outcome, v.new_due, v.queue, p.id, p.queue, p.pending, p.join_at, p.waits, "
    f"{columns(*HEADS, of='l')} FROM v "
    "LEFT JOIN p ON p.id = v.parent AND v.outcome = 0 AND v.kind = 2 "
    "LEFT JOIN l ON l.id = v.id AND v.outcome <> 0 ORDER BY v.place"
)
"""Transitions without children; $1 now, then a column each, then checkpoints."""
