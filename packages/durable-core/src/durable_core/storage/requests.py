"""What is asked of a storage and what it answers, item by item."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Final, TypeAlias

from .quick import quickly_made
from .records import Head, OnCancel, Phase, Record, Status, Token


class Unset(Enum):
    """The type of `UNSET`."""

    UNSET = "unset"

    def __repr__(self) -> str:
        """Return the constant's name."""
        return "UNSET"


UNSET: Final = Unset.UNSET
"""Leave the stored value as it is, where None would overwrite it."""


@quickly_made
@dataclass(frozen=True, slots=True, kw_only=True)
class NewExecution:
    """An execution to insert; the fields mean what they mean in `Head` and `Record`.

    Attributes:
        phase: `READY`, or `SLEEPING` (required with a `wake_key`).
        due: When it may be claimed; for a sleeper its time-out; None never by time.
        owner: Asks to be held by this executor at once. Granted only when the row is ready and
            due; the answer's ``record.owner`` tells.
        root_id: None makes it its own root; a child names its parent's root.
        parent_id: Only for children inside an apply.
    """

    id: str
    task: str
    queue: str = "default"
    group: str | None = None
    key: str | None = None
    wake_key: str | None = None
    root_id: str | None = None
    parent_id: str | None = None
    child_index: int = 0
    on_cancel: OnCancel = OnCancel.END
    tags: frozenset[str] = frozenset()
    priority: int = 0
    phase: Phase = Phase.READY
    due: int | None = 0
    owner: str | None = None
    options: bytes = b""
    meta: bytes = b""
    input: bytes = b""
    state: bytes | None = None


class InsertOutcome(StrEnum):
    """What became of one item of an insert."""

    CREATED = "created"
    EXISTING_ID = "existing_id"
    EXISTING_KEY = "existing_key"
    EXISTING_WAKE_KEY = "existing_wake_key"


@quickly_made
@dataclass(frozen=True, slots=True, kw_only=True)
class Inserted:
    """One answer of an insert: the new row, or the whole existing one."""

    outcome: InsertOutcome
    record: Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """What a claim took.

    Attributes:
        records: The rows after the claim, in order of priority and due time.
        exhausted: True only if no known, due, un-held row was left behind (CLAIM-10).
        next_due: The earliest scheduled row of the tasks asked for, if cheaply known: a hint.
    """

    records: Sequence[Record]
    exhausted: bool
    next_due: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """What every item of an apply carries.

    Attributes:
        id: The execution.
        token: The token under which the caller holds it.
        parent_id: The row's parent, so that a storage can lock rows and parents in one pass.
    """

    id: str
    token: Token
    parent_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Write(_Change):
    """What `Keep`, `Release` and `Finish` may set; `UNSET` leaves a value as it is.

    Attributes:
        state: The engine's continuation.
        attempt: Attempts used up, as an absolute number.
        reset_crashes: Set ``crashes`` to 0: progress was recorded.
        join_at: See `Head.join_at`.
        priority: See `Head.priority`.
        output: The output.
        error: The last or final error.
        checkpoints: Name → value, in order of writing; the first value of a name stays.
    """

    state: bytes | Unset | None = UNSET
    attempt: int | Unset = UNSET
    reset_crashes: bool = False
    join_at: int | Unset = UNSET
    priority: int | Unset = UNSET
    output: bytes | Unset | None = UNSET
    error: bytes | Unset | None = UNSET
    checkpoints: Mapping[str, bytes] = field(default_factory=dict[str, bytes])


@quickly_made
@dataclass(frozen=True, slots=True, kw_only=True)
class Keep(_Write):
    """Record progress and stay the holder.

    Attributes:
        children: Executions to insert under this one.
        cancel_seen: Proceed although cancellation was requested.
    """

    children: Sequence[NewExecution] = ()
    cancel_seen: bool = False


@quickly_made
@dataclass(frozen=True, slots=True, kw_only=True)
class Release(_Write):
    """Record progress and let go: nobody holds the row afterwards.

    Attributes:
        phase: An unfinished phase.
        due: When it may be claimed again; None only by an event.
        children: Executions to insert under this one.
        cancel_seen: Proceed although cancellation was requested.
    """

    phase: Phase
    due: int | None
    children: Sequence[NewExecution] = ()
    cancel_seen: bool = False


@quickly_made
@dataclass(frozen=True, slots=True, kw_only=True)
class Finish(_Write):
    """End the execution with a final phase; a requested cancellation does not hinder it."""

    phase: Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle(_Change):
    """Let go of a finished row whose duty was done, or put off.

    Attributes:
        due: When the rest of the duty may be claimed; None when it is done.
    """

    due: int | None = None


Transition: TypeAlias = Keep | Release | Finish | Settle
"""One item of an apply."""


class ApplyOutcome(StrEnum):
    """What became of one item of an apply."""

    APPLIED = "applied"
    ALREADY = "already"
    """The same item was applied before; nothing changed now."""
    SUPERSEDED = "superseded"
    """The row is no longer the sender's, or does not fit the item; nothing changed."""
    CANCEL_REQUESTED = "cancel_requested"
    """Keep or release refused, because cancellation was requested; nothing changed."""
    CHILD_CONFLICT = "child_conflict"
    """A child's id or wake key belongs to another execution; nothing changed."""
    MISSING = "missing"
    """No such execution."""


@quickly_made
@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """One answer of an apply.

    Attributes:
        outcome: What became of the item.
        head: The row as it stands, for every refused outcome but MISSING; may be None otherwise.
        woken: Executions that this item made claimable at once (its parent, or itself): a hint
            for the sender, never needed for correctness.
        held: Ids of the inserted children that are held as they asked, with ``gen`` 1.
        conflict: Place in `children` of the first conflicting child, for CHILD_CONFLICT.
    """

    outcome: ApplyOutcome
    head: Head | None = None
    woken: Sequence[str] = ()
    held: Sequence[str] = ()
    conflict: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wake:
    """A wake-up for a sleeper, by its key or by its id.

    Attributes:
        task: The sleeper's task.
        wake_key: Its key; None when `id` is given.
        id: The sleeper itself; a wake-up by id is never kept.
        phase: `COMPLETED` (payload becomes the output) or `FAILED` (it becomes the error).
        payload: Output or error, encoded.
        request: Made by the caller, once per wake-up: sent again it gets the same answer.
        keep_until: Keep the message for the next sleeper of the key until then; None do not.
    """

    task: str
    wake_key: str | None = None
    id: str | None = None
    phase: Phase = Phase.COMPLETED
    payload: bytes | None = None
    request: str
    keep_until: int | None = None


class WakeOutcome(StrEnum):
    """What became of a wake-up."""

    WOKEN = "woken"
    KEPT = "kept"
    ALREADY_KEPT = "already_kept"
    """Another message for the key waits already; this one was dropped."""
    LATE = "late"
    """The sleeper's time-out is being carried out; nothing was kept."""
    NOBODY = "nobody"
    """Nobody sleeps there and the message was not to be kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Woken:
    """One answer of a wake.

    Attributes:
        outcome: What became of it.
        id: The sleeper concerned: the woken one, the late one, or for NOBODY the latest sleeper
            of the key; None if there is none.
        first: What decided before this request did: the kept message's request for ALREADY_KEPT,
            the `ended_by` of the latest sleeper for NOBODY; None otherwise.
        woken: Executions made claimable at once (the sleeper's parent): a hint.
    """

    outcome: WakeOutcome
    id: str | None = None
    first: str | None = None
    woken: Sequence[str] = ()


class CancelOutcome(StrEnum):
    """What became of a request to cancel."""

    ENDED = "ended"
    """This request ended the execution."""
    MARKED = "marked"
    """The holder is told by its next heartbeat, or the execution was made due to be told."""
    FINISHED = "finished"
    """It had ended before."""
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """One answer of a cancel; `head` is the row as it stands, None if it is missing."""

    outcome: CancelOutcome
    head: Head | None = None
    woken: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """The answer to a heartbeat.

    Attributes:
        alive: False when the executor has no lease: it was reaped, or never registered.
        clock: The storage's time.
        orders: Own executions whose cancellation was requested; repeated until released.
        more_orders: Whether there are more than could be told (at most 500 a beat).
    """

    alive: bool
    clock: int
    orders: Sequence[Head] = ()
    more_orders: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaped:
    """What a reap did.

    Attributes:
        leases: Leases removed because they had expired.
        rows: Held rows of owners without lease that were made claimable.
        more: Whether such rows are left.
    """

    leases: int
    rows: int
    more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which executions; what is given is combined by AND, None asks for nothing.

    Attributes:
        statuses: Any of these.
        tasks: Any of these.
        queue: Exactly this.
        group: Exactly this.
        parent_id: Children of this execution; the answer is in order of `child_index`.
        root_id: The whole tree of this root, the root included.
        owner: Held by this executor.
        tags: All of these.
        created_from: At or after, µs.
        created_before: Before, µs.
        finished_from: At or after, µs.
        finished_before: Before, µs.
        id_prefix: Ids that begin so.
    """

    statuses: frozenset[Status] | None = None
    tasks: frozenset[str] | None = None
    queue: str | None = None
    group: str | None = None
    parent_id: str | None = None
    root_id: str | None = None
    owner: str | None = None
    tags: frozenset[str] = frozenset()
    created_from: int | None = None
    created_before: int | None = None
    finished_from: int | None = None
    finished_before: int | None = None
    id_prefix: str | None = None


class CountBy(StrEnum):
    """By what a count is split."""

    STATUS = "status"
    TASK = "task"
    QUEUE = "queue"


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaReport:
    """What `setup` found and did.

    Attributes:
        version: The schema's number after the call; 0 when there is none.
        applied: Names of the migrations that this call carried out.
        missing: What is missing, in words; empty when the schema is complete.
    """

    version: int
    applied: Sequence[str] = ()
    missing: Sequence[str] = ()
