"""Letting a row go: one transition, sent until it is answered, and what follows the answer."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ..failure import ErrorInfo
from ..storage import (
    Applied,
    ApplyOutcome,
    ClosedError,
    Finish,
    OnCancel,
    PermanentError,
    Phase,
    Release,
    Transition,
)
from ..storage.kit import changed
from .decide import poison_phase
from .held import Held, LostError
from .run import ABOUT_THE_ITEM, Run, child_conflict
from .services import Services

_LOG = logging.getLogger("durable.run")
_LET_GO = frozenset({ApplyOutcome.APPLIED, ApplyOutcome.ALREADY})
_TAKES_ANOTHER = frozenset({ApplyOutcome.CANCEL_REQUESTED, ApplyOutcome.CHILD_CONFLICT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks:
    """What the runner tells the rest of the executor.

    Attributes:
        ended: An execution's result is stored: (id, transition).
        ready: Something became claimable at once.
        due: Something becomes claimable at this time, µs.
        let_go: A row is no longer held here.
        owner: The present incarnation.
    """

    ended: Callable[[str, Finish], None]
    ready: Callable[[], None]
    due: Callable[[int], None]
    let_go: Callable[[str], None]
    owner: Callable[[], str | None]


class LettingGo:
    """Sends the transitions that let rows go.

    While one is on its way, no asyncio task and no frame is kept for its execution: the answer
    is told to a callback. Only what is refused is carried on by a task again.

    Args:
        services: What activations use.
        callbacks: Who is told.
        forget: Called as soon as a row is no longer held.
        over: Called when nothing more is done here about a holding.
    """

    def __init__(
        self,
        services: Services,
        *,
        callbacks: Callbacks,
        forget: Callable[[Held], None],
        over: Callable[[Held], None],
    ) -> None:
        self._services = services
        self._callbacks = callbacks
        self._forget = forget
        self._over = over

    def send(self, held: Held, transition: Transition) -> None:
        """Send the one transition that lets the row go, unchanged until it is answered."""
        if isinstance(transition, Release) and transition.children:
            services = self._services
            transition = services.holding.children_asking(transition, services.time.now())
        held.carrier = self
        self._services.writer.post(transition, held)

    def written(self, held: Held, transition: Transition, answer: Applied) -> None:
        """Take note of what let a row go, sent by its activation itself."""
        self._answered(held, transition, answer)
        self._over(held)

    def sent(self, held: Held, transition: Transition, answer: Applied | Exception) -> None:
        """See `Carrier`."""
        if isinstance(transition, Release) and transition.children:
            self._children_sent(transition, answer)
        if isinstance(answer, LostError):
            self._over(held)
        elif isinstance(answer, Exception) or answer.outcome in _TAKES_ANOTHER:
            work = self._insist(held, transition, answer)
            held.task = asyncio.create_task(work, name=held.record.id)
        else:
            self._answered(held, transition, answer)
            self._over(held)

    def _children_sent(self, transition: Release, answer: Applied | Exception) -> None:
        services = self._services
        services.holding.children_sent(transition, answer, born_at=services.writer.applied_at)

    async def _insist(
        self, held: Held, transition: Transition, answer: Applied | Exception
    ) -> None:
        """Let a row go although its transition was refused."""
        try:
            await self._go_on(held, transition, answer)
        except LostError:
            pass
        except Exception:  # noqa: BLE001 - nobody above could do more than log it
            _LOG.exception("execution %s could not be let go", held.record.id)
        finally:
            held.task = None
            self._over(held)

    async def _go_on(self, held: Held, transition: Transition, answer: Applied | Exception) -> None:
        """Send a refused transition again, or what takes its place."""
        run = Run(self._services, held)
        if isinstance(answer, ClosedError):
            raise answer
        if isinstance(answer, PermanentError) and not isinstance(answer, ABOUT_THE_ITEM):
            await run.outlast(transition, answer)
            answer = await self._sent_again(run, transition)
        if isinstance(answer, Exception):
            transition = instead(self._services, held, answer)
            answer = await run.apply(transition)
        if answer.outcome is ApplyOutcome.CANCEL_REQUESTED:
            transition = _despite_mark(run, transition)
            answer = await run.apply(transition)
        elif answer.outcome is ApplyOutcome.CHILD_CONFLICT and isinstance(transition, Release):
            transition = run.failed(Phase.FAILED, child_conflict(transition, answer))
            answer = await run.apply(transition)
        self._answered(held, transition, answer)

    async def _sent_again(self, run: Run, transition: Transition) -> Applied | Exception:
        """Send a transition until the answer is about itself; return an error that is."""
        then: Callable[[Applied | Exception], None] | None = None
        if isinstance(transition, Release) and transition.children:
            then = partial(self._children_sent, transition)
        try:
            return await run.apply(transition, then)
        except (LostError, ClosedError):
            raise
        except Exception as refusal:  # noqa: BLE001 - about this result alone, or it was sent again
            return refusal

    def _answered(self, held: Held, transition: Transition, answer: Applied) -> None:
        if answer.outcome not in _LET_GO:
            self._services.hooks.lost(held.record)
            _LOG.warning(
                "the result of %s was dropped: it belongs to another executor", held.record.id
            )
            return
        self._forget(held)
        if answer.woken:
            self._callbacks.ready()
        if isinstance(transition, Finish):
            self._callbacks.ended(held.record.id, transition)
            if self._services.hooks:
                error = transition.error
                info = ErrorInfo.decode(error) if isinstance(error, bytes) else None
                self._services.hooks.finished(held.record, transition.phase, info)
        elif isinstance(transition, Release):
            self._released(transition)
            self._services.tell_enqueued(transition.children)
            if held.once_let_go is not None:
                held.once_let_go()

    def _released(self, transition: Release) -> None:
        """Expect what has to be claimed later; children that asked to be held may have been."""
        if transition.due is not None:
            self._callbacks.due(transition.due)
        dues = [
            child.due
            for child in transition.children
            if child.phase is Phase.READY and child.due is not None and child.owner is None
        ]
        if dues:
            self._callbacks.due(min(dues))


def _despite_mark(run: Run, transition: Transition) -> Transition:
    """Return what is written of a row whose cancellation was requested: its end, or the same.

    What has to be told of its cancellation is let go as it is, and told by whoever claims it.
    """
    if run.record.on_cancel is OnCancel.DELIVER and isinstance(transition, Release):
        return changed(transition, cancel_seen=True)
    return run.finish(Phase.CANCELLED)


def instead(services: Services, held: Held, error: Exception) -> Transition:
    """Return what is written when the storage refused a transition for good."""
    record = held.record
    _LOG.error("the storage refused the result of %s: %s", record.id, error)
    phase = poison_phase(record)
    info = ErrorInfo.from_exception(error, retryable=False)
    return Run(services, held).failed(phase, info)
