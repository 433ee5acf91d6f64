"""The tables and indexes as the newest migration leaves them.

`~` stands for the prefix. `lane` is the storage's own column: which claim queue a row belongs to
(`records.lane`). All indexes on pending rows are partial, so that finished rows cost them nothing.
"""

from typing import Final

EXECUTIONS: Final = """
CREATE TABLE ~executions (
    id TEXT PRIMARY KEY NOT NULL,
    task TEXT NOT NULL,
    queue TEXT NOT NULL,
    "group" TEXT,
    "key" TEXT,
    wake_key TEXT,
    root_id TEXT NOT NULL,
    parent_id TEXT,
    child_index INTEGER NOT NULL,
    on_cancel TEXT NOT NULL,
    tags TEXT,
    priority INTEGER NOT NULL,
    phase TEXT NOT NULL,
    due INTEGER,
    lane INTEGER,
    owner TEXT,
    gen INTEGER NOT NULL,
    crashes INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 0,
    pending INTEGER NOT NULL DEFAULT 0,
    join_at INTEGER NOT NULL DEFAULT 0,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    ended_by TEXT,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    options BLOB NOT NULL,
    meta BLOB NOT NULL,
    input BLOB NOT NULL,
    state BLOB,
    output BLOB,
    error BLOB
) STRICT
"""

CHECKPOINTS: Final = """
CREATE TABLE ~checkpoints (
    place INTEGER PRIMARY KEY,
    execution_id TEXT NOT NULL,
    name TEXT NOT NULL,
    value BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT
"""

MAILBOXES: Final = """
CREATE TABLE ~mailboxes (
    task TEXT NOT NULL,
    wake_key TEXT NOT NULL,
    execution_id TEXT,
    request TEXT,
    outcome TEXT,
    answer_id TEXT,
    answer_first TEXT,
    answer_woken TEXT,
    message_phase TEXT,
    message_payload BLOB,
    message_request TEXT,
    message_until INTEGER,
    PRIMARY KEY (task, wake_key)
) STRICT
"""

HINTS: Final = """
CREATE TABLE ~hints (
    name TEXT PRIMARY KEY NOT NULL,
    counter INTEGER NOT NULL
) STRICT, WITHOUT ROWID
"""

SCHEMA: Final = """
CREATE TABLE ~schema (
    version INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    protocol INTEGER NOT NULL
) STRICT
"""

TABLES: Final = (EXECUTIONS, CHECKPOINTS, MAILBOXES, HINTS, SCHEMA)

INDEXES: Final = (
    "CREATE INDEX ~ready ON ~executions (queue, task, priority DESC, due) WHERE lane = 1",
    "CREATE INDEX ~scheduled ON ~executions (queue, task, due) WHERE lane = 2",
    "CREATE INDEX ~duties ON ~executions (priority DESC, due) WHERE lane = 3",
    "CREATE INDEX ~postponed ON ~executions (due) WHERE lane = 4",
    "CREATE INDEX ~held ON ~executions (owner) WHERE owner IS NOT NULL",
    (
        "CREATE INDEX ~marked ON ~executions (owner, id) "
        "WHERE cancel_requested = 1 AND owner IS NOT NULL AND finished_at IS NULL"
    ),
    (
        "CREATE INDEX ~children ON ~executions (parent_id, child_index, id) "
        "WHERE parent_id IS NOT NULL"
    ),
    "CREATE INDEX ~descendants ON ~executions (root_id) WHERE root_id <> id",
    'CREATE UNIQUE INDEX ~keys ON ~executions (task, "key") WHERE "key" IS NOT NULL',
    (
        "CREATE UNIQUE INDEX ~sleepers ON ~executions (task, wake_key) "
        "WHERE wake_key IS NOT NULL AND finished_at IS NULL"
    ),
    "CREATE INDEX ~created ON ~executions (created_at)",
    "CREATE INDEX ~finished ON ~executions (finished_at) WHERE finished_at IS NOT NULL",
    "CREATE UNIQUE INDEX ~names ON ~checkpoints (execution_id, name)",
    "CREATE INDEX ~messages ON ~mailboxes (message_until) WHERE message_until IS NOT NULL",
    "CREATE INDEX ~idle ON ~mailboxes (task) WHERE execution_id IS NULL AND message_until IS NULL",
)

LEASES: Final = """
CREATE TABLE IF NOT EXISTS ~leases (
    executor TEXT PRIMARY KEY NOT NULL,
    started_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    info BLOB NOT NULL
) STRICT, WITHOUT ROWID
"""
"""Not part of the migrations: it lives in a file of its own and may be lost with the machine."""
