"""The SQL of all methods. `~` stands for the prefix of the namespace.

Plans must not depend on what SQLite believes about the data: somebody may have called ANALYZE when
the tables were all but empty. So a statement names its index, or looks for one row by a unique key,
which SQLite decides without estimates. Joins to `executions` are avoided: their order is estimated.
"""

# ruff: noqa: S608 - texts are made of constants; values are always parameters

from typing import Final

from .records import HEAD_COLUMNS, RECORD_COLUMNS

# --- one row -----------------------------------------------------------------------------------

HEAD: Final = f"SELECT {HEAD_COLUMNS} FROM ~executions WHERE id = ?"
RECORD: Final = f"SELECT {RECORD_COLUMNS} FROM ~executions WHERE id = ?"
RECORD_BY_KEY: Final = (
    f'SELECT {RECORD_COLUMNS} FROM ~executions INDEXED BY ~keys WHERE task = ? AND "key" = ?'
)
RECORD_BY_WAKE_KEY: Final = (
    f"SELECT {RECORD_COLUMNS} FROM ~executions INDEXED BY ~sleepers "
    "WHERE task = ? AND wake_key = ? AND finished_at IS NULL"
)
SLEEPER: Final = (
    f"SELECT {HEAD_COLUMNS} FROM ~executions INDEXED BY ~sleepers "
    "WHERE task = ? AND wake_key = ? AND finished_at IS NULL"
)
SLEEPER_ID: Final = (
    "SELECT id FROM ~executions INDEXED BY ~sleepers "
    "WHERE task = ? AND wake_key = ? AND finished_at IS NULL"
)

INSERTS: Final = (
    'INSERT INTO ~executions (id, task, queue, "group", "key", wake_key, root_id, parent_id, '
    "child_index, on_cancel, tags, priority, phase, due, lane, owner, gen, created_at, started_at, "
    "options, meta, input, state) VALUES (*) ON CONFLICT DO NOTHING"
)
"""`(*)` stands for as many rows of 23 values as one statement inserts."""

NEWEST: Final = "SELECT id FROM ~executions NOT INDEXED ORDER BY rowid DESC LIMIT ?"

FINISHES: Final = (
    "INSERT INTO ~executions (id, task, queue, root_id, child_index, on_cancel, phase, "
    "gen, created_at, options, meta, input, ended_by, finished_at{columns}) "
    "SELECT v.column1, '', '', '', 0, '', v.column5, v.column4, 0, x'', x'', x'', "
    "v.column3 || '/' || v.column4, ?{values} FROM (VALUES {rows}) AS v "
    "WHERE (SELECT e.gen FROM ~executions AS e WHERE e.id = v.column1 AND +e.owner = v.column3 "
    "AND +e.finished_at IS NULL AND e.pending = 0 AND +e.parent_id IS v.column2) = v.column4 "
    "ON CONFLICT (id) DO UPDATE SET phase = excluded.phase, owner = NULL, due = NULL, "
    "lane = NULL, ended_by = excluded.ended_by, finished_at = excluded.finished_at{assignments}"
)
"""Finishes many rows at once. Every row that passes the condition exists, so that all inserts meet
a conflict; of the ways to update many rows this is the one without a join to be ordered."""

CHILD_ENDED: Final = (
    "UPDATE ~executions SET pending = pending - ?1, "
    "due = CASE WHEN owner IS NULL AND pending - ?1 <= join_at AND phase IN "
    "('waiting_for_children', 'waiting_for_finalize') THEN 0 ELSE due END, "
    "lane = CASE WHEN owner IS NULL AND pending - ?1 <= join_at AND phase IN "
    "('waiting_for_children', 'waiting_for_finalize') "
    "THEN 1 + 2 * (task >= '$' AND task < '%') ELSE lane END "
    "WHERE id = ?2 RETURNING pending, join_at, owner, phase, queue"
)

# --- claim -------------------------------------------------------------------------------------

WAITING: Final = (
    "SELECT q.value, t.value, "
    "EXISTS (SELECT 1 FROM ~executions INDEXED BY ~ready "
    "WHERE queue = q.value AND task = t.value AND lane = 1), "
    "(SELECT min(due) FROM ~executions INDEXED BY ~scheduled "
    "WHERE queue = q.value AND task = t.value AND lane = 2) "
    "FROM json_each(?1) q, json_each(?2) t "
    "UNION ALL SELECT NULL, NULL, "
    "EXISTS (SELECT 1 FROM ~executions INDEXED BY ~duties WHERE lane = 3), "
    "(SELECT min(due) FROM ~executions INDEXED BY ~postponed WHERE lane = 4)"
)
"""Which (queue, task), and which duties (NULL), have claimable rows, and when the first scheduled
row is due."""

READY: Final = (
    f"SELECT {RECORD_COLUMNS} FROM ~executions INDEXED BY ~ready "
    "WHERE queue = ?1 AND task = ?2 AND lane = 1 AND due <= ?3 ORDER BY priority DESC, due"
)
DUTIES: Final = (
    f"SELECT {RECORD_COLUMNS} FROM ~executions INDEXED BY ~duties "
    "WHERE lane = 3 AND due <= ?1 ORDER BY priority DESC, due"
)
EARLY: Final = (
    "SELECT min(due) FROM (SELECT due FROM ~executions INDEXED BY ~ready "
    "WHERE queue = ?1 AND task = ?2 AND lane = 1 LIMIT 100)"
)
EARLY_DUTIES: Final = (
    "SELECT min(due) FROM (SELECT due FROM ~executions INDEXED BY ~duties WHERE lane = 3 LIMIT 100)"
)
"""When rows are due that are so already by the clock of their writer, but not by the claimer's."""

SCHEDULED: Final = (
    "SELECT due, priority, id FROM ~executions INDEXED BY ~scheduled "
    "WHERE queue = ?1 AND task = ?2 AND lane = 2 ORDER BY due"
)
POSTPONED: Final = (
    "SELECT due, priority, id FROM ~executions INDEXED BY ~postponed WHERE lane = 4 ORDER BY due"
)
PROMOTE: Final = (
    "UPDATE ~executions INDEXED BY sqlite_autoindex_~executions_1 "
    "SET lane = lane - 1 WHERE id IN (SELECT value FROM json_each(?))"
)
CLAIMABLE_BY_ID: Final = (
    f"SELECT {RECORD_COLUMNS} FROM ~executions INDEXED BY sqlite_autoindex_~executions_1 "
    "WHERE id IN (SELECT value FROM json_each(?1)) AND +owner IS NULL AND +finished_at IS NULL "
    "AND (wake_key IS NULL OR +due <= ?2)"
)
CLAIM: Final = (
    "UPDATE ~executions INDEXED BY sqlite_autoindex_~executions_1 "
    "SET owner = ?1, gen = gen + 1, due = NULL, lane = NULL, "
    "started_at = CASE phase WHEN 'ready' THEN ?2 ELSE started_at END "
    "WHERE id IN (SELECT value FROM json_each(?3))"
)

# --- apply -------------------------------------------------------------------------------------

OF_CHILDREN: Final = (
    "SELECT id, parent_id FROM ~executions INDEXED BY sqlite_autoindex_~executions_1 "
    "WHERE id IN (SELECT value FROM json_each(?))"
)
CHECKPOINT: Final = (
    "INSERT INTO ~checkpoints (execution_id, name, value, created_at) VALUES (?, ?, ?, ?) "
    "ON CONFLICT DO NOTHING"
)

BOUND_CHECKPOINT: Final = (
    "INSERT INTO ~checkpoints (execution_id, name, value, created_at) SELECT ?, ?, ?, ? "
    "WHERE (SELECT gen FROM ~executions "
    "WHERE id = ? AND +owner = ? AND +finished_at IS NULL) = ? "
    "ON CONFLICT DO NOTHING RETURNING place"
)

# --- wake --------------------------------------------------------------------------------------

MAILBOX: Final = (
    "SELECT execution_id, request, outcome, answer_id, answer_first, answer_woken, "
    "message_phase, message_payload, message_request, message_until "
    "FROM ~mailboxes WHERE task = ? AND wake_key = ?"
)
PUT_MAILBOX: Final = (
    "INSERT INTO ~mailboxes (task, wake_key, execution_id, request, outcome, answer_id, "
    "answer_first, answer_woken, message_phase, message_payload, message_request, message_until) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (task, wake_key) DO UPDATE SET "
    "execution_id = excluded.execution_id, request = excluded.request, "
    "outcome = excluded.outcome, answer_id = excluded.answer_id, "
    "answer_first = excluded.answer_first, answer_woken = excluded.answer_woken, "
    "message_phase = excluded.message_phase, message_payload = excluded.message_payload, "
    "message_request = excluded.message_request, message_until = excluded.message_until"
)

BORN_FINISHED: Final = (
    "UPDATE ~executions SET phase = ?, due = NULL, lane = NULL, ended_by = ?, finished_at = ?, "
    "output = ?, error = ? WHERE id = ?"
)

# --- leases, reap ------------------------------------------------------------------------------

REGISTER: Final = (
    "INSERT INTO ~leases (executor, started_at, expires_at, info) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (executor) DO UPDATE SET expires_at = excluded.expires_at, info = excluded.info"
)
RENEW: Final = "UPDATE ~leases SET expires_at = ? WHERE executor = ?"
SIGN_OFF: Final = "DELETE FROM ~leases WHERE executor = ?"
EXPIRE: Final = "DELETE FROM ~leases WHERE expires_at < ?"
LIVING: Final = "SELECT executor, expires_at FROM ~leases"
LIST_LEASES: Final = (
    "SELECT executor, started_at, expires_at, info FROM ~leases WHERE executor > ? "
    "ORDER BY executor LIMIT ?"
)

ORDERS: Final = (
    f"SELECT {HEAD_COLUMNS} FROM ~executions INDEXED BY ~marked "
    "WHERE owner = ? AND cancel_requested = 1 AND finished_at IS NULL ORDER BY id LIMIT ?"
)
OWNERS: Final = (
    "WITH RECURSIVE o(owner) AS ("
    "SELECT min(owner) FROM ~executions INDEXED BY ~held WHERE owner IS NOT NULL "
    "UNION ALL SELECT (SELECT min(e.owner) FROM ~executions e INDEXED BY ~held "
    "WHERE e.owner > o.owner) FROM o WHERE o.owner IS NOT NULL) "
    "SELECT owner FROM o WHERE owner IS NOT NULL"
)
HELD_BY: Final = (
    "SELECT id, queue, cancel_requested AND finished_at IS NULL "
    "AND on_cancel = 'end' FROM ~executions INDEXED BY ~held WHERE owner = ? LIMIT ?"
)
FREE: Final = (
    "UPDATE ~executions INDEXED BY sqlite_autoindex_~executions_1 "
    "SET owner = NULL, gen = gen + 1, crashes = crashes + 1, due = 0, "
    "lane = CASE WHEN finished_at IS NOT NULL OR (task >= '$' AND task < '%') THEN 3 ELSE 1 END "
    "WHERE id IN (SELECT value FROM json_each(?))"
)

# --- reads -------------------------------------------------------------------------------------

HEADS: Final = (
    f"SELECT {HEAD_COLUMNS} FROM ~executions INDEXED BY sqlite_autoindex_~executions_1 "
    "WHERE id IN (SELECT value FROM json_each(?))"
)
RECORDS: Final = (
    f"SELECT {RECORD_COLUMNS} FROM ~executions INDEXED BY sqlite_autoindex_~executions_1 "
    "WHERE id IN (SELECT value FROM json_each(?))"
)
CHECKPOINTS: Final = (
    "SELECT p.place, p.name, (SELECT value FROM ~checkpoints WHERE place = p.place), "
    "(SELECT created_at FROM ~checkpoints WHERE place = p.place) FROM ("
    "SELECT place, name FROM ~checkpoints INDEXED BY ~names "
    "WHERE execution_id = ? AND place > ? ORDER BY place LIMIT ?) AS p ORDER BY p.place"
)

# --- purge -------------------------------------------------------------------------------------

OVER: Final = (
    "SELECT e.id FROM ~executions e INDEXED BY ~finished "
    "WHERE e.finished_at < ?1 AND +e.owner IS NULL AND +e.due IS NULL AND e.pending = 0 "
    "AND NOT EXISTS (SELECT 1 FROM ~executions p "
    "WHERE p.id = e.parent_id AND +p.finished_at IS NULL) "
    "ORDER BY e.finished_at LIMIT ?2"
)
PURGED: Final = (
    "DELETE FROM ~executions INDEXED BY sqlite_autoindex_~executions_1 "
    "WHERE id IN (SELECT value FROM json_each(?1)) "
    "AND +finished_at < ?2 AND +owner IS NULL AND +due IS NULL AND pending = 0 "
    "AND NOT EXISTS (SELECT 1 FROM ~executions p "
    "WHERE p.id = ~executions.parent_id AND +p.finished_at IS NULL) "
    "RETURNING id, task, wake_key"
)
PURGED_CHECKPOINTS: Final = (
    "DELETE FROM ~checkpoints INDEXED BY ~names "
    "WHERE execution_id IN (SELECT value FROM json_each(?))"
)
VACATED: Final = (
    "UPDATE ~mailboxes SET execution_id = NULL WHERE task = ? AND wake_key = ? AND execution_id = ?"
)
EXPIRED_MESSAGES: Final = (
    "SELECT task, wake_key FROM ~mailboxes INDEXED BY ~messages WHERE message_until <= ? LIMIT ?"
)
FORGET_MESSAGE: Final = (
    "UPDATE ~mailboxes SET message_phase = NULL, message_payload = NULL, message_request = NULL, "
    "message_until = NULL WHERE task = ? AND wake_key = ?"
)
IDLE_MAILBOXES: Final = (
    "SELECT task, wake_key FROM ~mailboxes INDEXED BY ~idle "
    "WHERE execution_id IS NULL AND message_until IS NULL LIMIT ?"
)
FORGET_MAILBOX: Final = "DELETE FROM ~mailboxes WHERE task = ? AND wake_key = ?"

# --- hints -------------------------------------------------------------------------------------

HINT: Final = (
    "INSERT INTO ~hints (name, counter) VALUES (?, 1) "
    "ON CONFLICT (name) DO UPDATE SET counter = counter + 1 RETURNING counter"
)
HINTS: Final = "SELECT name, counter FROM ~hints"
