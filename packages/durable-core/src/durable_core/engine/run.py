"""One activation of an execution: what its kind may ask of the engine."""

import json
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

from ..errors import PayloadTooLargeError
from ..failure import ErrorInfo
from ..options import Policy
from ..storage import (
    Applied,
    ApplyOutcome,
    Finish,
    InvalidArgumentError,
    Keep,
    NewExecution,
    PermanentError,
    Phase,
    Record,
    Release,
    TooLargeError,
    Transition,
)
from ..storage.kit import changed
from ..tasks.context import Context
from ..tasks.task import Call, FunctionTask
from .attempt import Failed, Interrupted, Result, attempt
from .clock import sleep
from .held import Held, LostError, Reason
from .ids import child_id
from .services import Services

ABOUT_THE_ITEM = (TooLargeError, InvalidArgumentError)
"""What a storage refuses for the item's own sake; other refusals concern the storage."""

_LOG = logging.getLogger("durable.run")
_REFUSED_PAUSE = 1.0


class LetGoError(Exception):
    """The activation is over: `transition` ends it, None: the row belongs to somebody else."""

    def __init__(self, transition: Transition | None) -> None:
        super().__init__()
        self.transition = transition


class UnfitError(Exception):
    """What is stored was written by other code than this executor's: another one may go on."""


class Waiting:
    """Sends a transition whose answer the activation waits for.

    Args:
        held: The row; once its lease is lost, nothing is sent again.
        then: Called with the answer or error.
    """

    __slots__ = ("_held", "_then")

    def __init__(self, held: Held, then: Callable[[Applied | Exception], None] | None) -> None:
        self._held = held
        self._then = then

    def abandoned(self, error: Exception) -> Exception | None:
        """See `Sender`."""
        return self._held.abandoned(error)

    def answered(self, _item: Transition, outcome: Applied | Exception) -> None:
        """See `Sender`."""
        if self._then is not None:
            self._then(outcome)


class Run:
    """One activation: the row that is held, its policy, and the writes that it may need.

    Args:
        services: What the executor offers.
        held: The row.
    """

    __slots__ = ("_context", "held", "iteration", "services", "step")

    def __init__(self, services: Services, held: Held) -> None:
        self.services = services
        self.held = held
        self.iteration = 0
        self.step = 0
        self._context: Context | None = None

    @property
    def policy(self) -> Policy:
        """What the row was enqueued with.

        Raises:
            OptionError: A newer release wrote it.
        """
        return Policy.decode(self.held.record.options)

    @property
    def record(self) -> Record:
        """The row as it was claimed, with the engine's own writes since."""
        return self.held.record

    @property
    def deadline(self) -> int | None:
        """When the execution's life must be over, µs."""
        return deadline_of(self.record, self.policy)

    def context(self) -> Context:
        """Return the context of this attempt, made when it is first asked for."""
        if self._context is None:
            record = self.record
            self._context = Context(
                execution_id=record.id,
                task=record.task,
                queue=record.queue,
                attempt=record.attempt + record.crashes + 1,
                previous_error=None if record.error is None else ErrorInfo.decode(record.error),
                root_id=record.root_id,
                parent_id=record.parent_id,
                child_index=record.child_index,
                iteration=self.iteration,
                step=self.step,
                tags=record.tags,
                meta=record.meta,
                cancelled=self.held.cancelled,
                shutdown=self.services.shutdown,
            )
        return self._context

    def call(
        self,
        task: FunctionTask[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        policy: Policy | None = None,
    ) -> Coroutine[Any, Any, Result]:
        """Call a task's function once, within its timeout and the execution's deadline.

        Args:
            task: Whose function.
            args: Positional arguments.
            kwargs: Keyword arguments.
            policy: Whose timeout counts; the row's own by default.

        Returns:
            What is to be awaited for the outcome.
        """
        self._context = None
        own = self.policy
        timeout_us = (policy or own).timeout_us
        deadline = deadline_of(self.held.record, own)
        if deadline is not None:
            left = max(0, deadline - self.services.time.now())
            timeout_us = left if timeout_us is None else min(left, timeout_us)
        return attempt(
            self.held,
            task,
            args,
            kwargs,
            lease_valid=self.services.lease_valid,
            timeout=None if timeout_us is None else timeout_us / 1e6,
            context=self.context,
            clock=self.services.clock,
            workers=self.services.workers,
        )

    async def keep(self, item: Keep) -> Applied:
        """Write progress and stay the holder; children run here at once where there is a place.

        Raises:
            LetGoError: The row is somebody else's, or its cancellation was requested.
        """
        then: Callable[[Applied | Exception], None] | None = None
        if item.children:
            holding = self.services.holding
            item = cast("Keep", holding.children_asking(item, self.services.time.now()))
            then = partial(holding.children_sent, item, born_at=self.services.writer.applied_at)
        answer = await self.apply(item, then)
        if answer.outcome is ApplyOutcome.APPLIED or answer.outcome is ApplyOutcome.ALREADY:
            if item.children:
                if any(child.owner is None for child in item.children):
                    self.services.ready()
                self.services.tell_enqueued(item.children)
            return answer
        if answer.outcome is ApplyOutcome.CANCEL_REQUESTED:
            raise LetGoError(self.finish(Phase.CANCELLED))
        if answer.outcome is ApplyOutcome.CHILD_CONFLICT:
            raise LetGoError(self.failed(Phase.FAILED, child_conflict(item, answer)))
        raise LetGoError(None)

    async def apply(
        self, item: Transition, then: Callable[[Applied | Exception], None] | None = None
    ) -> Applied:
        """Send a transition, again and again as long as what is refused is not the transition.

        Args:
            item: What to send.
            then: Called with each answer and error.

        Raises:
            LostError: The lease is lost.
            StorageError: The storage refuses this very transition for good, or is closed.
        """
        while True:
            try:
                return await self.services.writer.apply(item, Waiting(self.held, then))
            except ABOUT_THE_ITEM:
                raise
            except PermanentError as error:
                await self.outlast(item, error)

    async def outlast(self, item: Transition, error: PermanentError) -> None:
        """Pause before an item is sent again that was refused for the storage's sake.

        Raises:
            LostError: The lease is lost.
        """
        if self.held.abandoned(error) is not None:
            raise LostError from error
        _LOG.error("%s of %s is kept: %s", type(item).__name__, item.id, error)
        await sleep(self.services.clock, _REFUSED_PAUSE)

    def remember(self, **values: Any) -> None:
        """Bring the record up to date with what was written."""
        self.held.record = changed(self.held.record, **values)

    def finish(
        self, phase: Phase, *, output: bytes | None = None, error: bytes | None = None
    ) -> Finish:
        """Return the transition that ends the execution."""
        record = self.record
        return Finish(
            id=record.id,
            token=self.held.token,
            parent_id=record.parent_id,
            phase=phase,
            output=output,
            error=error,
        )

    def completed(
        self, output: bytes, what: str = "output", *, otherwise: Phase = Phase.FAILED
    ) -> Finish:
        """Return the transition that ends the execution with this output.

        An output over the limit fails the execution, saying so: nothing is cut or lost silently.

        Args:
            output: The encoded result.
            what: What it is, for the message.
            otherwise: The final phase if it is too large.
        """
        limit = self.services.max_output
        if len(output) <= limit:
            return self.finish(Phase.COMPLETED, output=output)
        error = PayloadTooLargeError(
            self.record.task, what, len(output), limit, "the executor's max_output"
        )
        return self.failed(otherwise, ErrorInfo.from_exception(error, retryable=False))

    def failed(self, phase: Phase, error: ErrorInfo) -> Finish:
        """Return the transition that ends the execution with this error."""
        return self.finish(phase, error=error.encode())

    def release(
        self, phase: Phase, due: int | None, *, children: Sequence[NewExecution] = (), **values: Any
    ) -> Release:
        """Return the transition that lets the row go in an unfinished phase."""
        record = self.record
        return Release(
            id=record.id,
            token=self.held.token,
            parent_id=record.parent_id,
            phase=phase,
            due=due,
            children=children,
            **values,
        )

    def progress(self, *, children: Sequence[NewExecution] = (), **values: Any) -> Keep:
        """Return the transition that records progress and keeps the row."""
        record = self.record
        return Keep(
            id=record.id,
            token=self.held.token,
            parent_id=record.parent_id,
            children=children,
            **values,
        )

    def hand_back(self, reason: str, delay_us: int = 0, **values: Any) -> Release:
        """Return the transition that lets another executor go on from the same place."""
        hooks = self.services.hooks
        self.held.once_let_go = partial(hooks.handed_back, self.record, reason)
        due = self.services.time.now() + delay_us if delay_us else 0
        return self.release(self.record.phase, due, join_at=-1, **values)

    def after(
        self,
        result: Failed | Interrupted,
        policy: Policy | None = None,
        final: Phase | None = None,
        **values: Any,
    ) -> Transition | None:
        """Return what follows an attempt that did not succeed: a retry, an end, a hand-back.

        Args:
            result: What happened.
            policy: Whose retries count; the row's own by default.
            final: The phase of a failure for good; by default the failure's own.
            **values: Written with a retry.
        """
        if isinstance(result, Interrupted):
            return self.interrupted(result.reason, **values)
        policy = policy or self.policy
        record = self.record
        phase = final or result.phase
        if not result.error.retryable or not policy.allows(record.attempt):
            return self.failed(phase, result.error)
        now = self.services.time.now()
        due = now + policy.next_delay_us(record.attempt, self.services.random)
        deadline = self.deadline
        if deadline is not None and due >= deadline:
            return self.failed(phase, result.error)
        hooks = self.services.hooks
        self.held.once_let_go = partial(hooks.retried, record, result.error, due)
        return self.release(
            record.phase,
            due,
            attempt=record.attempt + 1,
            error=result.error.encode(),
            join_at=-1,
            **values,
        )

    def interrupted(self, reason: Reason, **values: Any) -> Transition | None:
        """Return what follows an interruption."""
        if reason is Reason.CANCEL:
            return self.finish(Phase.CANCELLED)
        if reason is Reason.SHUTDOWN:
            return self.hand_back("shutdown", **values)
        return None

    def child(self, call: Call[Any], index: int) -> NewExecution:
        """Return the row of a child; always with the same id for the same place (ENGINE-6)."""
        record = self.record
        return self.services.rows.new(
            call,
            now=self.services.time.now(),
            id=child_id(record.id, record.created_at, index),
            parent=record,
            index=index,
        )


def deadline_of(record: Record, policy: Policy) -> int | None:
    """Return when an execution's life must be over, µs; None never."""
    return None if policy.deadline_us is None else record.created_at + policy.deadline_us


def recorded_number(record: Record, name: str) -> int:
    """Return the number that a kind of task keeps as its state; 0 before it kept one.

    Raises:
        UnfitError: Another kind of task wrote the state.
    """
    if record.state is None:
        return 0
    try:
        return int(json.loads(record.state)[name])
    except (ValueError, TypeError, LookupError):
        raise UnfitError(unfit(record)) from None


def unfit(record: Record) -> str:
    """Return the reason for handing back what other code has begun."""
    return f"task {record.task!r} is another kind of task here than where it began"


def noted(error: ErrorInfo, note: str) -> ErrorInfo:
    """Return the error with one more note: where it happened."""
    return replace(error, notes=(*error.notes, note))


def child_conflict(item: Keep | Release, answer: Applied) -> ErrorInfo:
    """Return the error of a parent whose child belongs to another execution."""
    child = item.children[answer.conflict or 0]
    error = RuntimeError(
        f"child {child.child_index} ({child.task}, wake key {child.wake_key!r}, id {child.id}) "
        "cannot be created: its id or wake key belongs to another unfinished execution"
    )
    return ErrorInfo.from_exception(error, retryable=False)
