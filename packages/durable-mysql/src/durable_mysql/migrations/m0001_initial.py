"""The first schema. Released: never edit it, add a migration.

Names of any characters are kept as their UTF-8 bytes: they are compared byte by byte whatever the
server is, while its collations either ignore case, or blanks at the end, or have another name on
the other server. Ids, owners and the protocol's own words are ASCII without blanks.

Three columns of executions are the storage's own. `slot` says to which claim queue a row belongs: a
number made of queue and task, even for due rows, the next odd one for scheduled ones, -2 and -1 for
those that any executor may claim, NULL if no claim may take it. `turn` is the place there before
the due time. `asleep` is the wake key until the end. InnoDB has no partial indexes: rows that are
over stand in one corner of these, where nobody looks.
"""

from typing import Final

_ID: Final = "VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin"
_OWNER: Final = "VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin"
_WORD: Final = "VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin"
_NAME: Final = "VARBINARY(764)"
_TABLE: Final = "ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4"

STATEMENTS: Final = (
    f"""
CREATE TABLE IF NOT EXISTS ~executions (
    id {_ID} NOT NULL,
    task {_NAME} NOT NULL,
    queue {_NAME} NOT NULL,
    `group` {_NAME},
    `key` {_NAME},
    wake_key {_NAME},
    asleep {_NAME},
    root_id {_ID} NOT NULL,
    parent_id {_ID},
    child_index INTEGER NOT NULL,
    on_cancel {_WORD} NOT NULL,
    tags VARBINARY(4200),
    priority SMALLINT NOT NULL,
    phase {_WORD} NOT NULL,
    due BIGINT,
    slot BIGINT,
    turn SMALLINT NOT NULL,
    owner {_OWNER},
    gen BIGINT NOT NULL,
    crashes INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 0,
    pending INTEGER NOT NULL DEFAULT 0,
    join_at INTEGER NOT NULL DEFAULT 0,
    cancel_requested BOOLEAN NOT NULL DEFAULT 0,
    ended_by {_ID},
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT,
    options LONGBLOB NOT NULL,
    meta LONGBLOB NOT NULL,
    input LONGBLOB NOT NULL,
    state LONGBLOB,
    output LONGBLOB,
    error LONGBLOB,
    PRIMARY KEY (id),
    UNIQUE KEY `keys` (task, `key`),
    UNIQUE KEY sleepers (task, asleep),
    KEY claimable (slot, turn, due),
    KEY held (owner, cancel_requested),
    KEY children (parent_id, child_index, id),
    KEY descendants (root_id),
    KEY created (created_at, id),
    KEY finished (finished_at)
) {_TABLE}
""",
    f"""
CREATE TABLE IF NOT EXISTS ~checkpoints (
    place BIGINT NOT NULL AUTO_INCREMENT,
    execution_id {_ID} NOT NULL,
    name {_NAME} NOT NULL,
    value LONGBLOB NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (place),
    UNIQUE KEY names (execution_id, name),
    KEY places (execution_id, place)
) {_TABLE}
""",
    f"""
CREATE TABLE IF NOT EXISTS ~mailboxes (
    task {_NAME} NOT NULL,
    wake_key {_NAME} NOT NULL,
    execution_id {_ID},
    request {_ID},
    outcome {_WORD},
    answer_id {_ID},
    answer_first {_ID},
    answer_woken {_ID},
    message_phase {_WORD},
    message_payload LONGBLOB,
    message_request {_ID},
    message_until BIGINT,
    PRIMARY KEY (task, wake_key),
    KEY messages (message_until),
    KEY idle (execution_id, message_until)
) {_TABLE}
""",
    f"""
CREATE TABLE IF NOT EXISTS ~leases (
    executor {_OWNER} NOT NULL,
    started_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    info LONGBLOB NOT NULL,
    PRIMARY KEY (executor)
) {_TABLE}
""",
    f"""
CREATE TABLE IF NOT EXISTS ~hints (
    sender {_OWNER} NOT NULL,
    queue {_NAME} NOT NULL,
    number BIGINT NOT NULL,
    told_at BIGINT NOT NULL,
    PRIMARY KEY (sender, queue),
    KEY told (told_at)
) {_TABLE}
""",
    f"""
CREATE TABLE IF NOT EXISTS ~listeners (
    listener {_OWNER} NOT NULL,
    hears_until BIGINT NOT NULL,
    PRIMARY KEY (listener)
) {_TABLE}
""",
    f"""
CREATE TABLE IF NOT EXISTS ~schema (
    version INTEGER NOT NULL,
    name {_WORD} NOT NULL,
    protocol INTEGER NOT NULL,
    PRIMARY KEY (version)
) {_TABLE}
""",
)
