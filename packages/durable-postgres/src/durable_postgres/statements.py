"""The SQL of all methods. `~` begins the name of a table of the namespace.

Three rules keep plans and counts independent of what the planner believes about the data:

* Rows that a statement writes are locked first, in the order of their ids, by
  `LATERAL (SELECT … FOR UPDATE)` over sorted ids: an index probe per row, and one lock order
  everywhere.
* A write meets those rows by ``e.id = ANY (ARRAY[x.id])``, which can be neither hashed nor merged:
  an index probe again.
* Guards look at the locked rows, which are the newest ones, never at the statement's snapshot.
"""

# ruff: noqa: S608 - texts are made of constants; values are always parameters

from typing import Final

from .records import HEAD_COLUMNS, HEADS, PAYLOADS, RECORD_COLUMNS, columns

WAITING: Final = "('waiting_for_children', 'waiting_for_finalize')"


def lane_of(due: str, duty: str, now: str) -> str:
    """Return the expression of `records.lane` for an un-held row."""
    return (
        f"CASE WHEN {due} IS NULL THEN NULL WHEN {due} <= {now} THEN 1 ELSE 2 END "
        f"+ CASE WHEN {duty} THEN 2 ELSE 0 END"
    )


def built_in(task: str) -> str:
    """Return the condition that a task belongs to the engine."""
    return f"{task} >= '$' AND {task} < '%'"


# --- insert ------------------------------------------------------------------------------------

EXISTING: Final = (
    f"SELECT {columns(*HEADS, *PAYLOADS, of='e')} FROM unnest($1::text[]) AS i(id), "
    "LATERAL (SELECT * FROM ~executions r WHERE r.id = i.id LIMIT 1) e "
    f"UNION ALL SELECT {columns(*HEADS, *PAYLOADS, of='e')} "
    'FROM unnest($2::text[], $3::text[]) AS i(task, "key"), LATERAL ('
    'SELECT * FROM ~executions r WHERE r.task = i.task AND r."key" = i."key" LIMIT 1) e '
    f"UNION ALL SELECT {columns(*HEADS, *PAYLOADS, of='e')} "
    "FROM unnest($4::text[], $5::text[]) AS i(task, wake_key), LATERAL ("
    "SELECT * FROM ~executions r WHERE r.task = i.task AND r.wake_key = i.wake_key "
    "AND r.finished_at IS NULL LIMIT 1) e"
)
"""The rows of these ids, these keys and these sleepers."""

# --- claim -------------------------------------------------------------------------------------

_CANDIDATES: Final = (
    "SELECT x.* FROM unnest($4::text[]) AS q(q), unnest($5::text[]) AS t(t), LATERAL ("
    "SELECT * FROM (SELECT id, priority, due, lane FROM ~executions "
    "WHERE queue = q.q AND task = t.t AND lane = 1 AND due <= $1 "
    "ORDER BY priority DESC, due LIMIT $3 FOR UPDATE SKIP LOCKED) r UNION ALL "
    "SELECT * FROM (SELECT id, priority, due, lane FROM ~executions "
    "WHERE queue = q.q AND task = t.t AND lane = 2 AND due <= $1 "
    "ORDER BY due LIMIT $6 FOR UPDATE SKIP LOCKED) s) x UNION ALL "
    "SELECT * FROM (SELECT id, priority, due, lane FROM ~executions WHERE lane = 3 AND due <= $1 "
    "ORDER BY priority DESC, due LIMIT $3 FOR UPDATE SKIP LOCKED) d UNION ALL "
    "SELECT * FROM (SELECT id, priority, due, lane FROM ~executions WHERE lane = 4 AND due <= $1 "
    "ORDER BY due LIMIT $6 FOR UPDATE SKIP LOCKED) p"
)

_VISIBLE: Final = (
    "SELECT 1 FROM unnest($4::text[]) AS q(q), unnest($5::text[]) AS t(t), LATERAL ("
    "SELECT * FROM (SELECT 1 FROM ~executions WHERE queue = q.q AND task = t.t AND lane = 1 "
    "AND due <= $1 ORDER BY priority DESC, due LIMIT $3 + 1) r UNION ALL "
    "SELECT * FROM (SELECT 1 FROM ~executions WHERE queue = q.q AND task = t.t AND lane = 2 "
    "AND due <= $1 ORDER BY due LIMIT $3 + 1) s) x UNION ALL "
    "SELECT * FROM (SELECT 1 FROM ~executions WHERE lane = 3 AND due <= $1 "
    "ORDER BY priority DESC, due LIMIT $3 + 1) d UNION ALL "
    "SELECT * FROM (SELECT 1 FROM ~executions WHERE lane = 4 AND due <= $1 "
    "ORDER BY due LIMIT $3 + 1) p"
)
"""The same rows, locked by others or not: who skipped some has not seen the end."""

_NEXT_DUE: Final = (
    "SELECT min(x.due) FROM (SELECT y.due FROM unnest($4::text[]) AS q(q), "
    "unnest($5::text[]) AS t(t), LATERAL (SELECT due FROM ~executions "
    "WHERE queue = q.q AND task = t.t AND lane = 2 AND due > $1 ORDER BY due LIMIT 1) y "
    "UNION ALL SELECT y.due FROM unnest($4::text[]) AS q(q), "
    "unnest($5::text[]) AS t(t), LATERAL (SELECT due FROM ~executions "
    "WHERE queue = q.q AND task = t.t AND lane = 1 AND due > $1 LIMIT 10) y "
    "UNION ALL SELECT * FROM (SELECT due FROM ~executions WHERE lane = 4 AND due > $1 "
    "ORDER BY due LIMIT 1) z UNION ALL "
    "SELECT * FROM (SELECT due FROM ~executions WHERE lane = 3 AND due > $1 LIMIT 10) z) x"
)
"""Also of rows that were due for a clock that is ahead of the caller's: nobody hints twice."""

_HOLD: Final = (
    "UPDATE ~executions e SET owner = $2, gen = e.gen + 1, due = NULL, lane = NULL, "
    "started_at = CASE e.phase WHEN 'ready' THEN $1 ELSE e.started_at END "
    "FROM c WHERE e.id = ANY (ARRAY[c.id]) "
    f"RETURNING c.due AS was, {columns(*HEADS, *PAYLOADS, of='e')}"
)

CLAIM: Final = (
    f"WITH k AS MATERIALIZED ({_CANDIDATES}), "
    "c AS MATERIALIZED (SELECT id, due FROM k ORDER BY priority DESC, due LIMIT $3), "
    "n AS MATERIALIZED (SELECT count(*) AS n FROM k), "
    f"u AS ({_HOLD}), "
    "m AS (UPDATE ~executions e SET lane = e.lane - 1 FROM k WHERE k.lane IN (2, 4) "
    "AND k.id NOT IN (SELECT id FROM c) AND e.id = ANY (ARRAY[k.id])), "
    "x AS MATERIALIZED (SELECT CASE WHEN n.n > $3 THEN false ELSE "
    f"n.n >= (SELECT count(*) FROM ({_VISIBLE} LIMIT $3 + 1) v) END AS exhausted, "
    f"CASE WHEN n.n < $3 THEN ({_NEXT_DUE}) END AS next_due FROM n) "
    "SELECT x.exhausted, x.next_due, u.* FROM x LEFT JOIN u ON true"
)
"""$1 now, $2 executor, $3 limit, $4 queues, $5 tasks, $6 scheduled rows to look at per task."""

CLAIM_IDS: Final = (
    "WITH k AS MATERIALIZED (SELECT x.id, i.place FROM unnest($4::text[]) WITH ORDINALITY "
    "AS i(id, place), LATERAL (SELECT id FROM ~executions WHERE id = i.id AND owner IS NULL "
    "AND finished_at IS NULL AND (wake_key IS NULL OR due <= $1) FOR UPDATE SKIP LOCKED) x), "
    "c AS MATERIALIZED (SELECT id, place AS due FROM k ORDER BY place LIMIT $3), "
    "n AS MATERIALIZED (SELECT count(*) AS n FROM k), "
    f"u AS ({_HOLD}), "
    "x AS MATERIALIZED (SELECT n.n <= $3 AND n.n >= (SELECT count(*) FROM unnest($4::text[]) "
    "AS i(id), LATERAL (SELECT 1 FROM ~executions WHERE id = i.id AND owner IS NULL "
    "AND finished_at IS NULL AND (wake_key IS NULL OR due <= $1)) v) AS exhausted FROM n) "
    "SELECT x.exhausted, NULL::int8 AS next_due, u.* FROM x LEFT JOIN u ON true"
)
"""$1 now, $2 executor, $3 limit, $4 ids; `was` is the place of the id."""

# --- rows and their parents, locked ------------------------------------------------------------

LOCK: Final = (
    'WITH i AS MATERIALIZED (SELECT unnest($1::text[]) COLLATE "C" AS id), '
    "n AS MATERIALIZED (SELECT id FROM i UNION SELECT p.parent_id FROM i, LATERAL ("
    "SELECT parent_id FROM ~executions r WHERE r.id = i.id LIMIT 1) p "
    "WHERE p.parent_id IS NOT NULL), "
    "s AS MATERIALIZED (SELECT id FROM n ORDER BY id) "
    "SELECT x.* FROM s, LATERAL ("
    f"SELECT {HEAD_COLUMNS} FROM ~executions r WHERE r.id = s.id FOR UPDATE) x"
)
"""The heads of these rows and of their parents, locked in the order of their ids."""

_CHANGES: Final = (
    ("id", "text"), ("priority", "int4"), ("phase", "text"), ("due", "int8"), ("lane", "int2"),
    ("owner", "text"), ("gen", "int8"), ("crashes", "int4"), ("attempt", "int4"),
    ("pending", "int4"), ("join_at", "int4"), ("cancel_requested", "bool"), ("ended_by", "text"),
    ("finished_at", "int8"), ("error", "bytea"), ("flags", "int4"), ("state", "bytea"),
    ("output", "bytea"),
)  # fmt: skip
"""What `working.Work` writes back, and as what; flag 1 writes the state, 2 the output."""

WRITE_BACK: Final = (
    "UPDATE ~executions e SET "
    + ", ".join(
        f"{name} = x.{name}"
        for name, _ in _CHANGES
        if name not in {"id", "flags", "state", "output"}
    )
    + ", state = CASE WHEN x.flags & 1 = 1 THEN x.state ELSE e.state END"
    ", output = CASE WHEN x.flags & 2 = 2 THEN x.output ELSE e.output END "
    f"FROM unnest({', '.join(f'${place}::{kind}[]' for place, (_, kind) in enumerate(_CHANGES, 1))}"
    f") AS x({', '.join(name for name, _ in _CHANGES)}) WHERE e.id = ANY (ARRAY[x.id])"
)

CHECKPOINT: Final = (
    "INSERT INTO ~checkpoints (execution_id, name, value, created_at) "
    "SELECT x.id, x.name, x.value, $1 FROM unnest($2::text[], $3::text[], $4::bytea[]) "
    "WITH ORDINALITY AS x(id, name, value, place) ORDER BY x.place ON CONFLICT DO NOTHING"
)

# --- apply -------------------------------------------------------------------------------------

OF_CHILDREN: Final = (
    "SELECT e.id, e.parent_id, NULL AS task, NULL AS wake_key FROM unnest($1::text[]) AS i(id), "
    "LATERAL (SELECT id, parent_id FROM ~executions r WHERE r.id = i.id LIMIT 1) e "
    "UNION ALL SELECT e.id, e.parent_id, i.task, i.wake_key "
    "FROM unnest($2::text[], $3::text[]) AS i(task, wake_key), LATERAL ("
    "SELECT id, parent_id FROM ~executions r WHERE r.task = i.task AND r.wake_key = i.wake_key "
    "AND r.finished_at IS NULL LIMIT 1) e"
)
"""Which children exist, and who sleeps under their wake keys."""

MAILBOXES: Final = (
    "INSERT INTO ~mailboxes AS m (task, wake_key) "
    "SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT (task, wake_key) "
    "DO UPDATE SET task = m.task RETURNING task, wake_key, execution_id, request, outcome, "
    "answer_id, answer_first, answer_woken, message_phase, message_payload, message_request, "
    "message_until"
)
"""Mailboxes, made if they are not there and locked in the order given."""

PUT_MAILBOXES: Final = (
    "UPDATE ~mailboxes m SET execution_id = x.execution_id, request = x.request, "
    "outcome = x.outcome, answer_id = x.answer_id, answer_first = x.answer_first, "
    "answer_woken = x.answer_woken, "
    "message_phase = x.message_phase, message_payload = x.message_payload, "
    "message_request = x.message_request, message_until = x.message_until "
    "FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], "
    "$7::text[], $8::text[], $9::text[], $10::bytea[], $11::text[], $12::int8[]) "
    "AS x(task, wake_key, execution_id, request, outcome, answer_id, answer_first, answer_woken, "
    "message_phase, message_payload, message_request, message_until) "
    "WHERE m.task = ANY (ARRAY[x.task]) AND m.wake_key = ANY (ARRAY[x.wake_key])"
)

WAKE_KEYS: Final = (
    "SELECT e.id, e.wake_key FROM unnest($1::text[], $2::text[]) AS i(id, task), LATERAL ("
    "SELECT id, wake_key FROM ~executions r WHERE r.id = i.id AND r.task = i.task LIMIT 1) e"
)
"""The wake keys of these sleepers, if they belong to these tasks."""

SLEEPERS: Final = (
    "SELECT e.id FROM unnest($1::text[], $2::text[]) AS i(task, wake_key), LATERAL ("
    "SELECT id FROM ~executions r WHERE r.task = i.task AND r.wake_key = i.wake_key "
    "AND r.finished_at IS NULL LIMIT 1) e"
)

# --- leases, reap ------------------------------------------------------------------------------

CLOCK: Final = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8"

_BEAT: Final = (
    "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8, h.executor, o.* FROM "
    "(SELECT 1) one LEFT JOIN h ON true LEFT JOIN LATERAL ("
    f"SELECT {HEAD_COLUMNS} FROM ~executions WHERE owner = h.executor AND owner IS NOT NULL "
    "AND cancel_requested AND finished_at IS NULL ORDER BY id LIMIT 501) o ON true"
)
RENEW: Final = (
    f"WITH h AS (UPDATE ~leases SET expires_at = $2 WHERE executor = $1 RETURNING executor) {_BEAT}"
)
REGISTER: Final = (
    "WITH h AS (INSERT INTO ~leases (executor, started_at, expires_at, info) "
    "VALUES ($1, $3, $2, $4) ON CONFLICT (executor) DO UPDATE SET expires_at = excluded.expires_at,"
    f" info = excluded.info RETURNING executor) {_BEAT}"
)
SIGN_OFF: Final = (
    "WITH h AS (DELETE FROM ~leases WHERE executor = $1) "
    "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8, NULL"
)
LIST_LEASES: Final = (
    "SELECT executor, started_at, expires_at, info FROM ~leases WHERE executor > $1 "
    "ORDER BY executor LIMIT $2"
)

REAP: Final = (
    "WITH RECURSIVE gone AS (DELETE FROM ~leases WHERE expires_at < $1 RETURNING executor), "
    "o(owner) AS ((SELECT owner FROM ~executions WHERE owner IS NOT NULL ORDER BY owner LIMIT 1) "
    "UNION ALL SELECT (SELECT e.owner FROM ~executions e WHERE e.owner > o.owner "
    "ORDER BY e.owner LIMIT 1) FROM o WHERE o.owner IS NOT NULL), "
    "dead AS MATERIALIZED (SELECT o.owner FROM o WHERE o.owner IS NOT NULL AND ("
    "NOT EXISTS (SELECT 1 FROM ~leases s WHERE s.executor = o.owner) "
    "OR o.owner IN (SELECT executor FROM gone))), "
    "k AS MATERIALIZED (SELECT x.* FROM dead, LATERAL (SELECT id, owner, gen, "
    "cancel_requested AND finished_at IS NULL AND on_cancel = 'end' AS ends FROM ~executions r "
    "WHERE r.owner = dead.owner LIMIT $2 + 1 FOR UPDATE SKIP LOCKED) x LIMIT $2 + 1), "
    "c AS MATERIALIZED (SELECT * FROM k LIMIT $2), "
    "u AS (UPDATE ~executions e SET owner = NULL, gen = e.gen + 1, crashes = e.crashes + 1, "
    "due = 0, lane = CASE WHEN e.finished_at IS NOT NULL OR "
    f"({built_in('e.task')}) THEN 3 ELSE 1 END "
    "FROM c WHERE e.id = ANY (ARRAY[c.id]) AND NOT c.ends RETURNING e.queue) "
    "SELECT 0 AS what, (SELECT count(*) FROM gone) AS n, (SELECT count(*) FROM k) AS m, "
    "NULL AS id, NULL AS owner, NULL::int8 AS gen "
    "UNION ALL SELECT 1, count(*), 0, queue, NULL, NULL FROM u GROUP BY queue "
    "UNION ALL SELECT 2, 0, 0, id, owner, gen FROM c WHERE ends"
)
"""Removes leases and frees what nobody alive holds; rows that end are answered, not changed.

$1 now, $2 limit. What 0: leases removed, rows found; 1: rows freed by queue; 2: rows to end.
"""

LIVING: Final = "SELECT executor FROM ~leases WHERE executor = ANY ($1::text[])"

# --- reads -------------------------------------------------------------------------------------

GET_HEADS: Final = f"SELECT {HEAD_COLUMNS} FROM ~executions WHERE id = ANY ($1::text[])"
GET_RECORDS: Final = f"SELECT {RECORD_COLUMNS} FROM ~executions WHERE id = ANY ($1::text[])"
CHECKPOINTS: Final = (
    "SELECT place, name, value, created_at FROM ~checkpoints WHERE execution_id = $1 "
    "AND place > $2 ORDER BY place LIMIT $3"
)

_OVER: Final = (
    "owner IS NULL AND {0}.due IS NULL AND {0}.pending = 0 AND NOT EXISTS ("
    "SELECT 1 FROM ~executions p WHERE p.id = {0}.parent_id AND p.finished_at IS NULL)"
)
OVER: Final = (
    f"SELECT r.id, r.task, r.wake_key FROM ~executions r WHERE r.finished_at < $1 "
    f"AND r.{_OVER.format('r')} ORDER BY r.finished_at LIMIT $2"
)
"""What may be deleted, the longest finished first."""

PURGE: Final = (
    "WITH c AS MATERIALIZED (SELECT x.id FROM unnest($1::text[]) AS i(id), LATERAL ("
    "SELECT id FROM ~executions r WHERE r.id = i.id AND r.finished_at < $2 "
    f"AND r.{_OVER.format('r')} FOR UPDATE OF r SKIP LOCKED) x), "
    "k AS (DELETE FROM ~checkpoints p USING c WHERE p.execution_id = ANY (ARRAY[c.id])) "
    "DELETE FROM ~executions e USING c WHERE e.id = ANY (ARRAY[c.id]) RETURNING e.id"
)
FORGET_MESSAGES: Final = (
    "WITH c AS MATERIALIZED (SELECT task, wake_key FROM ~mailboxes WHERE message_until <= $1 "
    "LIMIT $2 FOR UPDATE SKIP LOCKED) UPDATE ~mailboxes m SET message_phase = NULL, "
    "message_payload = NULL, message_request = NULL, message_until = NULL FROM c "
    "WHERE m.task = ANY (ARRAY[c.task]) AND m.wake_key = ANY (ARRAY[c.wake_key]) RETURNING 1"
)
VACATE: Final = (
    "UPDATE ~mailboxes m SET execution_id = NULL FROM unnest($1::text[], $2::text[], $3::text[]) "
    "AS x(task, wake_key, execution_id) WHERE m.task = ANY (ARRAY[x.task]) "
    "AND m.wake_key = ANY (ARRAY[x.wake_key]) AND m.execution_id = x.execution_id"
)
FORGET_MAILBOXES: Final = (
    "WITH c AS MATERIALIZED (SELECT task, wake_key FROM ~mailboxes WHERE execution_id IS NULL "
    "AND message_until IS NULL LIMIT $1 FOR UPDATE SKIP LOCKED) DELETE FROM ~mailboxes m USING c "
    "WHERE m.task = ANY (ARRAY[c.task]) AND m.wake_key = ANY (ARRAY[c.wake_key]) RETURNING 1"
)

BOUND_CHECKPOINT: Final = (
    "SELECT 1 FROM ~executions WHERE id = $1 AND owner = $2 AND gen = $3 FOR UPDATE"
)
"""The row under its token, locked: nobody reaps it until the transaction ends."""
