"""The first schema. Released: never edit it, add a migration.

Texts are compared byte by byte (collation C). `lane` is the storage's own column: which claim queue
a row belongs to, 1 claimable, 2 scheduled, 3 and 4 the same of rows that any executor may claim.
Indexes on pending rows are partial, so that finished rows cost them nothing. Every update of an
execution writes all of its indexes, because the partial ones depend on what changes: each index
more costs every task.
"""

from typing import Final

_TUNED: Final = (
    "autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, "
    "autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000, "
    "autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000, "
    "autovacuum_vacuum_cost_delay = 0"
)

STATEMENTS: Final = (
    f"""
CREATE TABLE ~executions (
    id text COLLATE "C" NOT NULL,
    task text COLLATE "C" NOT NULL,
    queue text COLLATE "C" NOT NULL,
    "group" text COLLATE "C",
    "key" text COLLATE "C",
    wake_key text COLLATE "C",
    root_id text COLLATE "C" NOT NULL,
    parent_id text COLLATE "C",
    child_index integer NOT NULL,
    on_cancel text COLLATE "C" NOT NULL,
    tags text[] COLLATE "C",
    priority integer NOT NULL,
    phase text COLLATE "C" NOT NULL,
    due bigint,
    lane smallint,
    owner text COLLATE "C",
    gen bigint NOT NULL,
    crashes integer NOT NULL,
    attempt integer NOT NULL,
    pending integer NOT NULL,
    join_at integer NOT NULL,
    cancel_requested boolean NOT NULL,
    ended_by text COLLATE "C",
    created_at bigint NOT NULL,
    started_at bigint,
    finished_at bigint,
    options bytea NOT NULL,
    meta bytea NOT NULL,
    input bytea NOT NULL,
    state bytea,
    output bytea,
    error bytea,
    CONSTRAINT ^executions_pkey PRIMARY KEY (id)
) WITH ({_TUNED})
""",
    """
CREATE TABLE ~checkpoints (
    execution_id text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    place bigint GENERATED ALWAYS AS IDENTITY,
    value bytea NOT NULL,
    created_at bigint NOT NULL,
    CONSTRAINT ^checkpoints_pkey PRIMARY KEY (execution_id, name)
)
""",
    """
CREATE TABLE ~mailboxes (
    task text COLLATE "C" NOT NULL,
    wake_key text COLLATE "C" NOT NULL,
    execution_id text COLLATE "C",
    request text COLLATE "C",
    outcome text COLLATE "C",
    answer_id text COLLATE "C",
    answer_first text COLLATE "C",
    answer_woken text COLLATE "C",
    message_phase text COLLATE "C",
    message_payload bytea,
    message_request text COLLATE "C",
    message_until bigint,
    CONSTRAINT ^mailboxes_pkey PRIMARY KEY (task, wake_key)
)
""",
    """
CREATE TABLE ~leases (
    executor text COLLATE "C" NOT NULL,
    started_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    info bytea NOT NULL,
    CONSTRAINT ^leases_pkey PRIMARY KEY (executor)
) WITH (fillfactor = 50)
""",
    """
CREATE TABLE ~schema (
    version integer NOT NULL,
    name text COLLATE "C" NOT NULL,
    protocol integer NOT NULL,
    CONSTRAINT ^schema_pkey PRIMARY KEY (version)
)
""",
    "CREATE INDEX ^ready ON ~executions (queue, task, priority DESC, due) WHERE lane = 1",
    "CREATE INDEX ^scheduled ON ~executions (queue, task, due) WHERE lane = 2",
    "CREATE INDEX ^duties ON ~executions (priority DESC, due) WHERE lane = 3",
    "CREATE INDEX ^postponed ON ~executions (due) WHERE lane = 4",
    "CREATE INDEX ^held ON ~executions (owner) WHERE owner IS NOT NULL",
    (
        "CREATE INDEX ^marked ON ~executions (owner, id) "
        "WHERE cancel_requested AND owner IS NOT NULL AND finished_at IS NULL"
    ),
    (
        "CREATE INDEX ^children ON ~executions (parent_id, child_index, id) "
        "WHERE parent_id IS NOT NULL"
    ),
    "CREATE INDEX ^descendants ON ~executions (root_id) WHERE root_id <> id",
    'CREATE UNIQUE INDEX ^keys ON ~executions (task, "key") WHERE "key" IS NOT NULL',
    (
        "CREATE UNIQUE INDEX ^sleepers ON ~executions (task, wake_key) "
        "WHERE wake_key IS NOT NULL AND finished_at IS NULL"
    ),
    "CREATE INDEX ^created ON ~executions (created_at, id)",
    "CREATE INDEX ^finished ON ~executions (finished_at) WHERE finished_at IS NOT NULL",
    "CREATE INDEX ^places ON ~checkpoints (execution_id, place)",
    "CREATE INDEX ^messages ON ~mailboxes (message_until) WHERE message_until IS NOT NULL",
    "CREATE INDEX ^idle ON ~mailboxes (task) WHERE execution_id IS NULL AND message_until IS NULL",
)
