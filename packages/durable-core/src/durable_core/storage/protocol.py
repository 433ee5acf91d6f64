"""The storage protocol: fifteen methods that every storage has, four abilities that it may have.

A storage knows rows, conditions and atomic batches. It never knows what a retry, a backoff or a
finalizer is: the engine computes the next state, the storage writes it if the condition still
holds. Times are arguments (`now`, microseconds); a storage never reads a clock but in `clock`.

Common to all methods:

* Arguments are keyword-only; batches are answered in request order, item by item.
* Each item is one atomic, durable commit; a call may be several commits. Items that touch the
  same row take effect in item order. After an error the caller repeats the call, and items
  already done say so.
* The number of round trips is constant, whatever the size of the batch.
* `Capabilities.max_batch_rows` and `max_batch_bytes` bound insert, claim, apply, wake and cancel.
* Every method may raise `TemporaryError`, `PermanentError` and `ClosedError`; a method that
  writes may also raise `OutcomeUnknownError`. A value outside the protocol's limits raises
  `InvalidArgumentError` or `TooLargeError` before anything is written.
* Cancelling the awaiting task leaves the storage usable; each item landed wholly or not at all.

*Finish(row, phase)* means everywhere, in one commit: set phase, output, error, `ended_by` and
`finished_at`; ``owner = None``; ``due = 0`` if the row has unfinished children (a *duty*: somebody
must tell them), else None; its parent's `pending` goes down by one, and if the parent is waiting,
un-held and ``pending <= join_at``, the parent's ``due = 0``.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

from .capabilities import Capabilities
from .hints import Hint
from .records import Checkpoint, Head, Lease, Page, Token
from .requests import (
    Applied,
    Beat,
    Cancelled,
    Claimed,
    CountBy,
    Inserted,
    NewExecution,
    Query,
    Reaped,
    SchemaReport,
    Transition,
    Wake,
    Woken,
)


@runtime_checkable
class Storage(Protocol):
    """What the engine needs of a database."""

    @property
    def capabilities(self) -> Capabilities:
        """What this storage can do; constant after `setup`."""
        ...

    async def setup(self, *, migrate: bool = True) -> SchemaReport:
        """Create or migrate the schema, or only inspect it. Called before all other methods.

        Idempotent, and safe when several processes start at once (SCHEMA-1).

        Args:
            migrate: False changes nothing and lists in `SchemaReport.missing` what is missing.

        Raises:
            SchemaTooNewError: A newer release made the schema; the message has both numbers.
            ProtocolMismatchError: Likewise for the protocol.
        """
        ...

    async def close(self) -> None:
        """Release what this storage opened, and nothing that was handed in. Idempotent."""
        ...

    async def clock(self) -> int:
        """Return the storage's time in microseconds since the Unix epoch."""
        ...

    async def insert(self, *, items: Sequence[NewExecution], now: int) -> Sequence[Inserted]:
        """Insert roots, unless their id, (task, key) or (task, wake_key) exists (INSERT, WAKE-2).

        An existing row is answered whole and not changed; looked for by id, then key, then wake
        key. A sleeper for whom a fresh message is kept is born finished with it. Safe to repeat.

        Args:
            items: Roots; twice the same id: the second is answered as existing.
            now: Becomes `created_at`; decides about due and kept messages.

        Raises:
            InvalidArgumentError: An item has a parent, or a value outside the limits.
        """
        ...

    async def claim(
        self,
        *,
        executor: str,
        tasks: Collection[str],
        queues: Collection[str],
        limit: int,
        now: int,
        ids: Sequence[str] | None = None,
        claim_id: str | None = None,
        gates: object | None = None,
    ) -> Claimed:
        """Take hold of un-held, due executions under new tokens (CLAIM).

        A row qualifies if nobody holds it, ``due <= now``, and its task is in `tasks` and its
        queue in `queues`. Finished rows (duties) and tasks whose name begins with ``$`` qualify
        whatever their task and queue. Effect: ``owner = executor``, ``gen + 1``, ``due = None``,
        and `started_at` if the phase is ready. The phase stays. Rows locked by another caller are
        skipped. Order: priority descending, then due. There is no check of the executor's lease:
        `reap` covers that. After an unknown outcome, ask ``find(Query(owner=executor))``.

        Args:
            executor: The new holder.
            tasks: Tasks that it knows.
            queues: Queues that it serves.
            limit: At most so many rows; 0 answers empty.
            now: Decides what is due.
            ids: Take these instead, if un-held and unfinished, whatever their task, queue and
                due; but never a sleeper with a wake key before its due.
            claim_id: Repeated with the same id, a claim may answer the same still-held rows.
            gates: None, unless the capability is declared.
        """
        ...

    async def apply(self, *, items: Sequence[Transition], now: int) -> Sequence[Applied]:
        """Write transitions of held executions, each if its token still holds (APPLY, PARENT).

        For each item, in this order: no row → MISSING; token does not hold → ALREADY if the row
        is un-held with the token's gen or was ended by the token, else SUPERSEDED; the kind does
        not fit the phase (settle an unfinished row, anything else a finished one) → SUPERSEDED;
        keep or release of a marked row without `cancel_seen` → CANCEL_REQUESTED; a child's id
        exists under another parent, or its wake key among unfinished sleepers → CHILD_CONFLICT.
        A refused item changes nothing at all. Otherwise values, checkpoints and children are
        written (a child already there with the same parent is skipped and not counted again), and

        * keep: the row stays held under the same token;
        * release: ``owner = None``, phase and due as given; a waiting phase with
          ``pending <= join_at`` gets ``due = 0``;
        * finish: Finish(phase), `ended_by` = the token;
        * settle: ``owner = None``, due as given.

        Args:
            items: Distinct ids; no item is the parent of another item.
            now: Becomes `finished_at`, `created_at` of children and checkpoints.

        Raises:
            InvalidArgumentError: Ids are not distinct, a child names another parent, a release
                into a finished phase or a finish into an unfinished one.
        """
        ...

    async def wake(self, *, items: Sequence[Wake], now: int) -> Sequence[Woken]:
        """Finish sleepers from outside, or keep the message for the next one (WAKE).

        An unfinished, un-held sleeper: Finish(`Wake.phase`), `ended_by` = the request → WOKEN.
        Held (its time-out is being carried out) → LATE. No unfinished sleeper: a fresh message
        kept already → ALREADY_KEPT; `keep_until` given and later than `now` → KEPT; else NOBODY.
        By id, nothing is ever kept. The same request, before another one of that key, gets the
        same answer and has no second effect.

        Args:
            items: Wake-ups by (task, wake_key) or by id.
            now: Becomes `finished_at`; decides whether kept messages are fresh.
        """
        ...

    async def cancel(self, *, ids: Sequence[str], request: str, now: int) -> Sequence[Cancelled]:
        """End or mark executions from outside (CANCEL).

        Finished → ENDED if this request ended it, else FINISHED. Un-held and ``on_cancel = end``
        → Finish(cancelled), `ended_by` = request: ENDED. Un-held and ``deliver`` → mark, due = 0:
        MARKED. Held → mark: MARKED. Descendants are told by the duty that the finish leaves.

        Args:
            ids: May name an execution and its parent.
            request: Made by the caller, once per request.
            now: Becomes `finished_at`.
        """
        ...

    async def heartbeat(
        self, *, executor: str, ttl: int, now: int, register: bool = False, info: bytes = b""
    ) -> Beat:
        """Renew the executor's lease until ``now + ttl`` (LEASE).

        Touches nothing but the lease, and never waits for a row's lock.

        Args:
            executor: At most 64 characters; another one for every incarnation.
            ttl: Microseconds; 0 or less signs off: the lease is removed.
            now: The storage's time as the core knows it.
            register: True creates the lease if there is none. False only renews an existing one
                (an expired one that nobody reaped exists); without one: ``alive = False``.
            info: What the executor says of itself, kept with the lease when registering.
        """
        ...

    async def reap(self, *, now: int, limit: int) -> Reaped:
        """Remove leases with ``expires_at < now`` and free held rows of owners without a lease.

        Freed means: ``owner = None``, ``gen + 1``, ``crashes + 1``, ``due = 0``, phase unchanged;
        a marked, unfinished row with ``on_cancel = end`` is finished as cancelled instead. Rows
        locked by another caller are left for the next reap.

        Args:
            now: The storage's time as the core knows it.
            limit: At most so many rows.
        """
        ...

    async def get(self, *, ids: Sequence[str], payload: bool = True) -> Sequence[Head | None]:
        """Read executions, in request order; None for unknown ids.

        Every commit answered before the call is seen.

        Args:
            ids: The executions.
            payload: True answers `Record`, False `Head`.
        """
        ...

    async def find(
        self, *, query: Query, limit: int, cursor: str | None = None, payload: bool = False
    ) -> Page[Head]:
        """List executions, by `child_index` if `parent_id` is given, else by (created_at, id).

        Pages neither lose nor double a row that did not change meanwhile. Queries by `parent_id`
        and by `owner` see every commit answered before the call. Locks nothing.

        Args:
            query: Which.
            limit: At most so many a page.
            cursor: From the page before.
            payload: True answers `Record`, False `Head`.
        """
        ...

    async def count(
        self, *, query: Query, by: CountBy | None = None, cap: int | None = None
    ) -> Mapping[str, int]:
        """Count executions; may be slow, never locks.

        Args:
            query: Which.
            by: Split by status, task or queue; None counts all under the key ``"*"``.
            cap: Counting may stop there: a number equal to the cap means *at least*.
        """
        ...

    async def checkpoints(
        self,
        *,
        execution_id: str,
        limit: int,
        cursor: str | None = None,
    ) -> Page[Checkpoint]:
        """List an execution's checkpoints in order of writing.

        Args:
            execution_id: The execution.
            limit: At most so many a page.
            cursor: From the page before.
        """
        ...

    async def purge(self, *, finished_before: int, now: int, limit: int) -> int:
        """Delete old finished executions and old messages for sleepers (PURGE).

        An execution goes if it is finished, un-held, without duty and pending children,
        ``finished_at < finished_before``, and its parent is absent or finished. Its checkpoints
        go with it; its id and key are free again.

        Args:
            finished_before: µs.
            now: Decides which kept messages have expired.
            limit: At most so many executions.

        Returns:
            How many executions were deleted.
        """
        ...


@runtime_checkable
class Listen(Protocol):
    """Capability ``push``: hints that something became ready or finished."""

    def listen(self, *, queues: Collection[str]) -> AsyncIterator[Hint]:
        """Yield hints until closed. The first one is `Reconnected`.

        A hint is sent only after its commit is visible. Hints may be lost, doubled or coalesced.

        Args:
            queues: Report `Ready` for these.
        """
        ...


@runtime_checkable
class Leases(Protocol):
    """Capability ``leases``: who is alive, for people and dashboards."""

    async def leases(self, *, limit: int, cursor: str | None = None) -> Page[Lease]:
        """List the leases by executor id, expired and not yet reaped ones included."""
        ...


class BoundStorage(Protocol):
    """A storage that writes inside the caller's transaction and never commits it."""

    async def insert(self, *, items: Sequence[NewExecution], now: int) -> Sequence[Inserted]:
        """Insert as `Storage.insert`: a conflict is an answer and leaves the transaction usable.

        `NewExecution.owner` is ignored. Visible to others when the caller commits.
        """
        ...

    async def checkpoint(
        self,
        *,
        execution_id: str,
        token: Token,
        name: str,
        value: bytes,
        now: int,
    ) -> bool:
        """Record a checkpoint of a held execution (capability ``bind_checkpoint``).

        Returns:
            True if recorded and the row's token excludes reaping until the transaction ends;
            False if the token does not hold, or the name is recorded already: then the caller
            must not commit, because what it records was done before.
        """
        ...


@runtime_checkable
class Bind(Protocol):
    """Capability ``bind``: join the caller's transaction."""

    def bind(self, tx: object) -> BoundStorage:
        """Return the storage as seen inside the caller's transaction.

        Args:
            tx: The driver's connection, session or transaction; which kinds are accepted is the
                storage's to document.

        Raises:
            InvalidArgumentError: `tx` is none of the accepted kinds, or another database's.
        """
        ...


class PulseConnection(Protocol):
    """A blocking heartbeat with a connection of its own, used by one thread."""

    def beat(self, *, executor: str, ttl: int, now: int) -> Beat:
        """Do what `Storage.heartbeat` does for a registered executor, blocking for at most ttl/3.

        Raises:
            TemporaryError: Try again; `OutcomeUnknownError` likewise.
        """
        ...

    def close(self) -> None:
        """Release the connection. Idempotent."""
        ...


@runtime_checkable
class Pulse(Protocol):
    """Capability ``pulse``: heartbeats that survive a blocked event loop."""

    def pulse(self) -> PulseConnection:
        """Open a connection for a thread's heartbeat; may be called from that thread."""
        ...


class OpenStorage(Protocol):
    """How the conformance suite and the benchmarks open a storage."""

    def __call__(self, namespace: str) -> AbstractAsyncContextManager[Storage]:
        """Open a handle on the namespace; several may be open at the same time."""
        ...
