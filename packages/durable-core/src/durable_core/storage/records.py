"""The values that cross the storage protocol: frozen, keyword-only, payloads as bytes.

All times are integers of microseconds since the Unix epoch. ``due = 0`` means *at once, for every
clock*. Text is compared byte by byte.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar

from .quick import quickly_made


class Phase(StrEnum):
    """Where an execution resumes when it is claimed; never changed by a claim or a reap alone."""

    READY = "ready"
    SLEEPING = "sleeping"
    WAITING_FOR_CHILDREN = "waiting_for_children"
    WAITING_FOR_FINALIZE = "waiting_for_finalize"
    COMPLETED = "completed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    FINALIZE_FAILED = "finalize_failed"
    CANCELLED = "cancelled"


WAITING = frozenset({Phase.WAITING_FOR_CHILDREN, Phase.WAITING_FOR_FINALIZE})
"""Phases that end by themselves when enough children have ended."""

UNFINISHED = frozenset({Phase.READY, Phase.SLEEPING, *WAITING})
"""Phases of an execution that has no final result yet."""

FINISHED = frozenset(Phase) - UNFINISHED
"""Phases that never change again."""


class Status(StrEnum):
    """What people see: the phase, or *running* while an unfinished execution is held."""

    READY = "ready"
    RUNNING = "running"
    SLEEPING = "sleeping"
    WAITING_FOR_CHILDREN = "waiting_for_children"
    WAITING_FOR_FINALIZE = "waiting_for_finalize"
    COMPLETED = "completed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    FINALIZE_FAILED = "finalize_failed"
    CANCELLED = "cancelled"

    @property
    def finished(self) -> bool:
        """Whether an execution with this status has ended for good."""
        return self in FINISHED_STATUSES


STATUS_OF = {phase: Status(phase.value) for phase in Phase}
"""What people see of an execution that nobody holds."""

FINISHED_STATUSES = frozenset(STATUS_OF[phase] for phase in FINISHED)
"""Statuses that never change again."""

UNFINISHED_STATUSES = frozenset(Status) - FINISHED_STATUSES
"""Statuses of executions that have no final result yet."""


class OnCancel(StrEnum):
    """What `cancel` does to an execution that nobody holds."""

    END = "end"
    """It ends as cancelled at once."""
    DELIVER = "deliver"
    """It is marked and made due, so that its owner can clean up before it ends."""


class Token(NamedTuple):
    """The fencing token: who holds a row, and the how-manieth holding this is.

    A claim, a held insert and a reap each raise ``gen``, so a token is never valid twice.
    """

    owner: str
    gen: int

    def __str__(self) -> str:
        """Return the form stored in `Head.ended_by`."""
        return f"{self.owner}/{self.gen}"


@quickly_made
@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """An execution without its payloads.

    Attributes:
        id: 1 to 255 printable ASCII characters, unique in the namespace until purged.
        task: Name of the task that runs it. Names that begin with ``$`` belong to the engine.
        queue: Where it is served; a claim filters by task and queue.
        group: Reserved for limits per group; not unique.
        key: Idempotency key, unique per task until purged.
        wake_key: Set for a sleeper; unique per task among unfinished executions.
        root_id: The outermost ancestor; an execution without parent is its own root.
        parent_id: The execution whose count of pending children this one belongs to.
        child_index: Place among its siblings; -1 is the finalizer.
        on_cancel: What `cancel` does while nobody holds it.
        tags: Filterable words, fixed at insert.
        priority: -1000 to 1000; larger first.
        phase: Where it resumes.
        due: Claimable from this time on while un-held; 0 at once; None only by an event.
        owner: The executor that holds it; None while nobody does.
        gen: Raised by every claim, held insert and reap; with `owner` it is the fencing token.
        crashes: Executors that died holding it since its last recorded progress.
        attempt: Attempts used up, as the engine counts them.
        error: The last or the final error, encoded by the engine.
        pending: Number of its unfinished children, always.
        join_at: A waiting row becomes due when ``pending <= join_at``; -1 never by the count.
        cancel_requested: Somebody asked to cancel it while it could not end at once.
        ended_by: The token or request id of what finished it.
        created_at: When it was inserted.
        started_at: Latest claim from phase ready.
        finished_at: When it got its final phase.
    """

    id: str
    task: str
    queue: str
    group: str | None
    key: str | None
    wake_key: str | None
    root_id: str
    parent_id: str | None
    child_index: int
    on_cancel: OnCancel
    tags: frozenset[str]
    priority: int
    phase: Phase
    due: int | None
    owner: str | None
    gen: int
    crashes: int
    attempt: int
    error: bytes | None
    pending: int
    join_at: int
    cancel_requested: bool
    ended_by: str | None
    created_at: int
    started_at: int | None
    finished_at: int | None

    @property
    def finished(self) -> bool:
        """Whether the phase is final."""
        return self.phase in FINISHED

    @property
    def status(self) -> Status:
        """What people see."""
        if self.owner is not None and self.phase in UNFINISHED:
            return Status.RUNNING
        return STATUS_OF[self.phase]

    @property
    def token(self) -> Token:
        """The current holder's token.

        Raises:
            ValueError: Nobody holds the execution.
        """
        if self.owner is None:
            msg = f"execution {self.id} is not held, so it has no token"
            raise ValueError(msg)
        return Token(self.owner, self.gen)


@quickly_made
@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Head):
    """A whole execution: its head and its payloads, which a storage never looks into.

    Attributes:
        options: The policy copied at enqueue.
        meta: Trace context and the user's own data.
        input: The encoded arguments.
        state: The engine's continuation.
        output: The final output.
    """

    options: bytes
    meta: bytes
    input: bytes
    state: bytes | None
    output: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A named value recorded together with a transition; the first value of a name stays."""

    name: str
    value: bytes
    created_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """An executor that said it is alive until `expires_at`."""

    executor: str
    started_at: int
    expires_at: int
    info: bytes


ItemT_co = TypeVar("ItemT_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[ItemT_co]):
    """A part of an ordered answer.

    Attributes:
        items: In the promised order; a page may be short even when more follow.
        cursor: Give it back to continue; None at the end. Opaque, and only valid for the same
            query.
    """

    items: Sequence[ItemT_co]
    cursor: str | None = None
