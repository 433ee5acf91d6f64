"""The SQL of all methods. `~` begins a table's name, ``%s`` stands for a value.

Values are put in as literals (see `literals`): rows of any number have no parameters in MySQL.
Three rules keep plans and locks independent of what the optimizer believes about the data:

* Every read of executions names its index. Left alone, the optimizer scans a small table, and a
  locking scan locks what it passes.
* Rows that a statement writes are locked before, in the order of their ids, together with their
  parents; statements that write name ids only.
* A locking read with a LIMIT follows its index: InnoDB locks what it reads, so a sort would lock
  all that it sorts.
"""

# ruff: noqa: S608 - see above
from typing import Final

from .records import BIRTH, HEAD_COLUMNS, RECORD_COLUMNS

# --- insert ------------------------------------------------------------------------------------

INSERT: Final = f"INSERT INTO ~executions ({', '.join(BIRTH)}) VALUES "

EXISTING_IDS: Final = (
    f"SELECT {RECORD_COLUMNS} FROM ~executions FORCE INDEX (PRIMARY) WHERE id IN (%s)"
)
EXISTING_KEYS: Final = f"SELECT {RECORD_COLUMNS} FROM ~executions FORCE INDEX (`keys`) WHERE %s"
ONE_KEY: Final = "(task = %s AND `key` = %s)"
EXISTING_SLEEPERS: Final = (
    f"SELECT {RECORD_COLUMNS} FROM ~executions FORCE INDEX (sleepers) WHERE %s"
)
ONE_ASLEEP: Final = "(task = %s AND asleep = %s)"
NEWEST: Final = " LOCK IN SHARE MODE"
"""Ends a read that must see what others have committed, also in a caller's old snapshot."""

# --- claim -------------------------------------------------------------------------------------

_OF_SLOT: Final = "FROM ~executions FORCE INDEX (claimable) WHERE slot = %s AND due <= %s"
_NAMED: Final = " AND queue = %s AND task = %s"
_IN_TURN: Final = " ORDER BY turn, due LIMIT %s"
_BY_DUE: Final = " AND turn = 0"
_LOCKED: Final = " FOR UPDATE SKIP LOCKED"

_CANDIDATE: Final = "(SELECT id, priority, due, slot "
READY: Final = f"{_CANDIDATE}{_OF_SLOT}{_NAMED}{_IN_TURN}{_LOCKED})"
SCHEDULED: Final = f"{_CANDIDATE}{_OF_SLOT}{_BY_DUE}{_NAMED}{_IN_TURN}{_LOCKED})"
DUTIES_READY: Final = f"{_CANDIDATE}{_OF_SLOT}{_IN_TURN}{_LOCKED})"
DUTIES_SCHEDULED: Final = f"{_CANDIDATE}{_OF_SLOT}{_BY_DUE}{_IN_TURN}{_LOCKED})"
"""Candidates of one claim queue, locked: slot, now, names if any, how many."""

UNION: Final = " UNION ALL "
BEST: Final = " ORDER BY priority DESC, due LIMIT %s"

SEEN: Final = f"(SELECT 1 {_OF_SLOT}{_NAMED} LIMIT %s)"
DUTIES_SEEN: Final = f"(SELECT 1 {_OF_SLOT} LIMIT %s)"
COUNT_SEEN: Final = "SELECT COUNT(*) FROM (%s) AS seen"
"""How many candidates there are, locked by others or not: who skipped some has not seen the end."""

_LATER: Final = "(SELECT due FROM ~executions FORCE INDEX (claimable) WHERE slot = %s AND due > %s"
NEXT: Final = f"{_LATER}{_BY_DUE}{_NAMED} ORDER BY due LIMIT 1)"
NEXT_AHEAD: Final = f"{_LATER}{_NAMED} LIMIT 10)"
DUTIES_NEXT: Final = f"{_LATER}{_BY_DUE} ORDER BY due LIMIT 1)"
DUTIES_NEXT_AHEAD: Final = f"{_LATER} LIMIT 10)"
FIRST_NEXT: Final = "SELECT MIN(due) FROM (%s) AS later"
"""When the next row is due; also of rows that were due for a clock that is ahead."""

HOLD: Final = (
    "UPDATE ~executions FORCE INDEX (PRIMARY) SET owner = %s, gen = gen + 1, due = NULL, "
    "slot = NULL, turn = -priority, started_at = IF(phase = 'ready', %s, started_at) "
    "WHERE id IN (%s)"
)
HELD: Final = f"SELECT {RECORD_COLUMNS} FROM ~executions FORCE INDEX (PRIMARY) WHERE id IN (%s)"
PROMOTE: Final = (
    "UPDATE ~executions FORCE INDEX (PRIMARY) SET slot = slot - 1, turn = -priority "
    "WHERE id IN (%s)"
)
_BY_ID: Final = (
    "FROM ~executions FORCE INDEX (PRIMARY) WHERE id IN (%s) AND owner IS NULL "
    "AND finished_at IS NULL AND (wake_key IS NULL OR due <= %s)"
)
CLAIM_IDS: Final = f"SELECT id {_BY_ID} FOR UPDATE SKIP LOCKED"
COUNT_IDS: Final = f"SELECT COUNT(*) {_BY_ID}"

# --- rows and their parents, locked ------------------------------------------------------------

PARENTS: Final = (
    "SELECT parent_id FROM ~executions FORCE INDEX (PRIMARY) WHERE id IN (%s) "
    "AND parent_id IS NOT NULL"
)
LOCK: Final = (
    f"SELECT {HEAD_COLUMNS} FROM ~executions FORCE INDEX (PRIMARY) WHERE id IN (%s) "
    "ORDER BY id FOR UPDATE"
)

CHANGES: Final = (
    "id", "asleep", "priority", "phase", "due", "slot", "turn", "owner", "gen", "crashes",
    "attempt", "pending", "join_at", "cancel_requested", "ended_by", "finished_at",
)  # fmt: skip
"""What `working.Work` writes back, besides payloads."""

_WITHOUT_DEFAULT: Final = {
    "task": "''", "queue": "''", "root_id": "''", "child_index": "0", "on_cancel": "''",
    "created_at": "0", "options": "''", "meta": "''", "input": "''",
}  # fmt: skip
"""A row that is there keeps these; an ``INSERT`` has to name them all the same."""


def write_back(payloads: tuple[str, ...]) -> tuple[str, str]:
    """Return the start of the statement that writes rows back, and the start of each row.

    It gives new values to rows that are there, all in one statement; none is inserted, because all
    are locked. Measured against joins with a list of values, it takes the least time.

    Args:
        payloads: Which of state, output and error are written.
    """
    columns = ", ".join((*_WITHOUT_DEFAULT, *CHANGES, *payloads))
    nothing = ", ".join(_WITHOUT_DEFAULT.values())
    return f"INSERT INTO ~executions ({columns}) VALUES ", f"({nothing}, "


CHECKPOINT: Final = "INSERT INTO ~checkpoints (execution_id, name, value, created_at) VALUES "
CHECKPOINT_KEPT: Final = " ON DUPLICATE KEY UPDATE place = place"

OF_CHILDREN: Final = "SELECT id, parent_id FROM ~executions FORCE INDEX (PRIMARY) WHERE id IN (%s)"
ASLEEP: Final = "SELECT id, task, asleep FROM ~executions FORCE INDEX (sleepers) WHERE %s"
"""Who sleeps under these keys."""

# --- mailboxes ---------------------------------------------------------------------------------

MAKE_MAILBOXES: Final = "INSERT INTO ~mailboxes (task, wake_key) VALUES "
MAILBOXES_KEPT: Final = " ON DUPLICATE KEY UPDATE task = task"
"""Mailboxes, made if they are not there and locked in the order given."""

BOX: Final = (
    "task", "wake_key", "execution_id", "request", "outcome", "answer_id", "answer_first",
    "answer_woken", "message_phase", "message_payload", "message_request", "message_until",
)  # fmt: skip
MAILBOXES: Final = (
    f"SELECT {', '.join(BOX)} FROM ~mailboxes FORCE INDEX (PRIMARY) WHERE %s FOR UPDATE"
)
ONE_BOX: Final = "(task = %s AND wake_key = %s)"
PUT_MAILBOXES: Final = f"INSERT INTO ~mailboxes ({', '.join(BOX)}) VALUES "

WAKE_KEYS: Final = (
    "SELECT id, task, wake_key FROM ~executions FORCE INDEX (PRIMARY) WHERE id IN (%s)"
)

# --- leases, reap ------------------------------------------------------------------------------

CLOCK: Final = "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"

RENEW: Final = "UPDATE ~leases SET expires_at = %s WHERE executor = %s"
REGISTER: Final = (
    "INSERT INTO ~leases (executor, started_at, expires_at, info) VALUES (%s, %s, %s, %s) "
    "ON DUPLICATE KEY UPDATE expires_at = VALUES(expires_at), info = VALUES(info)"
)
SIGN_OFF: Final = "DELETE FROM ~leases WHERE executor = %s"
ALIVE: Final = (
    "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)), "
    "(SELECT executor FROM ~leases WHERE executor = %s)"
)
ORDERS: Final = (
    f"SELECT {HEAD_COLUMNS} FROM ~executions FORCE INDEX (held) WHERE owner = %s "
    "AND cancel_requested = 1 AND finished_at IS NULL ORDER BY id LIMIT 501"
)
LIST_LEASES: Final = (
    "SELECT executor, started_at, expires_at, info FROM ~leases WHERE executor > %s "
    "ORDER BY executor LIMIT %s"
)

EXPIRED: Final = "SELECT executor FROM ~leases WHERE expires_at < %s"
REMOVE_LEASES: Final = "DELETE FROM ~leases WHERE executor IN (%s) AND expires_at < %s"
OWNERS: Final = "SELECT DISTINCT owner FROM ~executions FORCE INDEX (held) WHERE owner > ''"
"""Jumps from owner to owner, however many rows each holds."""
LIVING: Final = "SELECT executor FROM ~leases WHERE executor IN (%s)"
OF_DEAD: Final = (
    f"SELECT {HEAD_COLUMNS} FROM ~executions FORCE INDEX (held) WHERE owner IN (%s) "
    "LIMIT %s FOR UPDATE SKIP LOCKED"
)

# --- reads -------------------------------------------------------------------------------------

GET_HEADS: Final = f"SELECT {HEAD_COLUMNS} FROM ~executions FORCE INDEX (PRIMARY) WHERE id IN (%s)"
GET_RECORDS: Final = EXISTING_IDS
CHECKPOINTS: Final = (
    "SELECT place, name, value, created_at FROM ~checkpoints FORCE INDEX (places) "
    "WHERE execution_id = %s AND place > %s ORDER BY place LIMIT %s"
)

# --- purge -------------------------------------------------------------------------------------

_OVER: Final = (
    "r.finished_at < %s AND r.owner IS NULL AND r.due IS NULL AND r.pending = 0 AND NOT EXISTS ("
    "SELECT 1 FROM ~executions p WHERE p.id = r.parent_id AND p.finished_at IS NULL)"
)
OVER: Final = (
    "SELECT r.id, r.task, r.wake_key FROM ~executions r FORCE INDEX (finished) "
    f"WHERE {_OVER} ORDER BY r.finished_at LIMIT %s"
)
"""What may be deleted, the longest finished first."""
STILL_OVER: Final = (
    f"SELECT r.id FROM ~executions r FORCE INDEX (PRIMARY) WHERE r.id IN (%s) AND {_OVER} "
    "ORDER BY r.id FOR UPDATE SKIP LOCKED"
)
PURGE: Final = "DELETE e FROM ~executions AS e FORCE INDEX (PRIMARY) WHERE e.id IN (%s)"
PURGE_CHECKPOINTS: Final = (
    "DELETE c FROM ~checkpoints AS c FORCE INDEX (places) WHERE c.execution_id IN (%s)"
)
VACATE: Final = (
    "UPDATE ~mailboxes FORCE INDEX (PRIMARY) SET execution_id = NULL WHERE task = %s "
    "AND wake_key = %s AND execution_id = %s"
)
STALE_MESSAGES: Final = (
    "SELECT task, wake_key FROM ~mailboxes FORCE INDEX (messages) WHERE message_until <= %s "
    "LIMIT %s FOR UPDATE SKIP LOCKED"
)
FORGET_MESSAGES: Final = (
    "UPDATE ~mailboxes FORCE INDEX (PRIMARY) SET message_phase = NULL, message_payload = NULL, "
    "message_request = NULL, message_until = NULL WHERE %s"
)
EMPTY_MAILBOXES: Final = (
    "SELECT task, wake_key FROM ~mailboxes FORCE INDEX (idle) WHERE execution_id IS NULL "
    "AND message_until IS NULL LIMIT %s FOR UPDATE SKIP LOCKED"
)
FORGET_MAILBOXES: Final = "DELETE m FROM ~mailboxes AS m FORCE INDEX (PRIMARY) WHERE %s"

BOUND_CHECKPOINT: Final = (
    "SELECT 1 FROM ~executions FORCE INDEX (PRIMARY) WHERE id = %s AND owner = %s AND gen = %s "
    "FOR UPDATE"
)
"""The row under its token, locked: nobody reaps it until the transaction ends."""

# --- hints -------------------------------------------------------------------------------------

_NOW: Final = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"

ONE_NOTE: Final = "SELECT %s AS queue"
NOTIFY: Final = (
    "INSERT INTO ~hints (sender, queue, number, told_at) "
    f"SELECT %s, n.queue, 1, {_NOW} FROM (%s) AS n WHERE EXISTS ("
    f"SELECT 1 FROM ~listeners WHERE hears_until > {_NOW} AND listener <> %s) "
    f"ON DUPLICATE KEY UPDATE number = number + 1, told_at = {_NOW}"
)
"""Writes nothing if nobody else listens."""

SOMEBODY_LISTENS: Final = f"SELECT 1 FROM ~listeners WHERE hears_until > {_NOW} LIMIT 1"
BOUND_NOTIFY: Final = "INSERT INTO ~hints (sender, queue, number, told_at) VALUES "
BOUND_NOTE: Final = f"(%s, %s, 1, {_NOW})"

LISTEN: Final = (
    f"INSERT INTO ~listeners (listener, hears_until) VALUES (%s, {_NOW} + 60000000) "
    f"ON DUPLICATE KEY UPDATE hears_until = {_NOW} + 60000000"
)
HEAR: Final = (
    f"SELECT sender, queue, number FROM ~hints FORCE INDEX (told) WHERE told_at > {_NOW} - %s "
    "AND sender <> %s"
)
FORGET_HINTS: Final = f"DELETE FROM ~hints WHERE told_at < {_NOW} - 120000000"
FORGET_LISTENERS: Final = (
    f"DELETE FROM ~listeners WHERE listener IN (SELECT listener FROM (SELECT listener "
    f"FROM ~listeners WHERE hears_until < {_NOW} - 120000000) AS gone)"
)
