"""Steps of a durable function, run side by side, each with its own attempts."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any

from ...errors import DurableError, ExpectedError, OutputError, PayloadTooLargeError
from ...failure import ErrorInfo
from ...options import Policy
from ...storage import Phase, StorageError
from ...storage.adapters import binder_of
from ...tasks.context import Context
from ...tasks.plan_view import InPlan
from ...tasks.results import Abort
from ...tasks.task import FunctionTask, RunIn
from ..attempt import Failed, Interrupted, Result, Succeeded, attempt
from ..clock import short_wait_us, sleep
from ..held import Held, Reason
from ..run import Run
from .operations import StepOperation, entry_of
from .record import Entry, How, transaction_name

_LOG = logging.getLogger("durable.run")


class StepRunner:
    """Runs the steps of one activation.

    Args:
        run: The activation.
        ended: Called with what a step has ended with.
        later: Called with a step that is to be tried again at its `due`.
        stopped: Called when a step runs no more, however that came.
        lost: Called when the row turns out to be somebody else's, or the lease to have run out.
    """

    def __init__(
        self,
        run: Run,
        *,
        ended: Callable[[StepOperation, Entry], None],
        later: Callable[[StepOperation], None],
        stopped: Callable[[], None],
        lost: Callable[[], None],
    ) -> None:
        self._run = run
        self._ended = ended
        self._later = later
        self._stopped = stopped
        self._lost = lost
        self._running: dict[StepOperation, tuple[Held, asyncio.Task[None]]] = {}
        self._leftovers: list[Future[object]] = []

    def __len__(self) -> int:
        """Return how many are running."""
        return len(self._running)

    def start(self, operation: StepOperation) -> None:
        """Run a step; what it ends with is told."""
        held = Held(self._run.record)
        name = f"{self._run.record.id}/{operation.position}"
        task = asyncio.create_task(
            self._carry(operation, held), name=name, context=operation.context
        )
        held.task = task
        self._running[operation] = (held, task)

    def stop(self, operation: StepOperation, reason: Reason) -> None:
        """Interrupt a step, if it is running; nothing more is told of it."""
        if (running := self._running.get(operation)) is not None:
            running[0].interrupt(reason)

    async def stop_all(self, reason: Reason) -> None:
        """Interrupt all, and wait until they have stopped."""
        for held, _ in tuple(self._running.values()):
            held.interrupt(reason)
        if tasks := [task for _, task in self._running.values()]:
            await asyncio.wait(tasks)

    @property
    def leftover(self) -> "Future[object] | None":
        """Work of threads that could not be interrupted, as one."""
        left = [one for one in self._leftovers if not one.done()]
        if not left:
            return None
        all_: Future[object] = Future()
        remaining = len(left)

        def ended(_: "Future[object]") -> None:
            nonlocal remaining
            remaining -= 1
            if not remaining:
                all_.set_result(None)

        for one in left:
            one.add_done_callback(ended)
        return all_

    async def _carry(self, operation: StepOperation, held: Held) -> None:
        try:
            while await self._try(operation, held):
                pass
        except Exception as error:  # noqa: BLE001 - the function waits for an answer
            _LOG.exception("step %s of %s failed inside the engine", operation.name, held.record.id)
            self._tell(operation, How.FAILED, _final(error))
        finally:
            if self._running.get(operation, (None, None))[0] is held:
                del self._running[operation]
            if held.leftover is not None:
                self._leftovers.append(held.leftover)
            self._stopped()

    async def _try(self, operation: StepOperation, held: Held) -> bool:
        """Make one attempt; returns whether another one follows at once."""
        services = self._run.services
        if not services.lease_valid():
            self._lost()
            return False
        result = await self._attempt(operation, held)
        if operation.begin is not None and not isinstance(result, Succeeded):
            # Whether a transaction was committed is known by its record only.
            recorded = await self._recorded(operation)
            if recorded is not None:
                self._tell(operation, How.OK, recorded)
                return False
        if isinstance(result, Interrupted):
            return False
        if isinstance(result, Succeeded):
            self._succeeded(operation, result.value)
            return False
        return await self._failed(operation, held, result)

    async def _attempt(self, operation: StepOperation, held: Held) -> Result:
        if operation.in_plan is not None:
            failed = await self._prepare(operation, operation.in_plan, held)
            if failed is not None:
                return failed
        if operation.begin is not None:
            return await self._call(operation, held, self._in_transaction(operation), (), {})
        return await self._call(operation, held, operation.task, operation.args, operation.kwargs)

    async def _prepare(
        self, operation: StepOperation, in_plan: InPlan, held: Held
    ) -> Failed | Interrupted | None:
        """Call what prepares the step's task, once for a plan in this process."""
        operation.view = in_plan.view
        if in_plan.prepare is None:
            return None
        known, value = in_plan.prepared()
        if not known:
            result = await self._call(operation, held, in_plan.prepare, (), {})
            if not isinstance(result, Succeeded):
                return result
            value = result.value
            in_plan.remember(value)
        operation.view = replace(in_plan.view, prepared=value)
        return None

    async def _call(
        self,
        operation: StepOperation,
        held: Held,
        task: FunctionTask[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Result:
        services = self._run.services
        timeout_us = task.options.timeout_us
        return await attempt(
            held,
            task,
            args,
            kwargs,
            lease_valid=services.lease_valid,
            timeout=None if timeout_us is None else timeout_us / 1e6,
            context=partial(self._context, operation, held),
            clock=services.clock,
            workers=services.workers,
        )

    def _context(self, operation: StepOperation, held: Held) -> Context:
        record = self._run.record
        return Context(
            execution_id=record.id,
            task=operation.name,
            queue=record.queue,
            attempt=operation.tries + record.crashes + 1,
            previous_error=operation.error,
            root_id=record.root_id,
            parent_id=record.parent_id,
            child_index=record.child_index,
            step=operation.position,
            plan=operation.view,
            tags=record.tags,
            meta=record.meta,
            cancelled=held.cancelled,
            shutdown=self._run.services.shutdown,
        )

    def _succeeded(self, operation: StepOperation, value: object) -> None:
        if isinstance(value, Abort):
            error = ExpectedError(value.reason, value.scope)
            self._tell(operation, How.FAILED, _final(error))
            return
        if operation.begin is not None:
            assert isinstance(value, bytes)  # noqa: S101 - see _in_transaction
            self._tell(operation, How.OK, value)
            return
        try:
            payload = self._encoded(operation, value)
        except (OutputError, PayloadTooLargeError) as error:
            self._tell(operation, How.FAILED, _final(error))
        else:
            self._tell(operation, How.OK, payload)

    def _encoded(self, operation: StepOperation, value: object) -> bytes:
        payload = operation.task.output_codec.encode(value)
        limit = self._run.services.max_output
        if len(payload) > limit:
            what = f"result of step {operation.name!r}"
            task = self._run.record.task
            raise PayloadTooLargeError(task, what, len(payload), limit, "the executor's max_output")
        return payload

    async def _failed(self, operation: StepOperation, held: Held, result: Failed) -> bool:
        policy = Policy.of(operation.task.options)
        if not result.error.retryable or not policy.allows(operation.tries):
            how = How.TIMED_OUT if result.phase is Phase.TIMED_OUT else How.FAILED
            self._tell(operation, how, result.error.encode())
            return False
        services = self._run.services
        delay = policy.next_delay_us(operation.tries, services.random)
        operation.tries += 1
        operation.error = result.error
        operation.due = services.time.now() + delay
        record = self._run.record
        _LOG.warning(
            "step %s of %s (%s), attempt %d: %s; tried again in %g s",
            operation.name, record.id, record.task, operation.tries, result.error, delay / 1e6,
        )  # fmt: skip
        services.hooks.retried(record, result.error, operation.due)
        if held.leftover is not None and not held.leftover.done():
            await asyncio.wait((asyncio.wrap_future(held.leftover),))
        if delay > short_wait_us(services.clock):
            self._later(operation)
            return False
        if delay:
            await self._pause(held, delay / 1e6)
        operation.due = None
        return held.reason is None

    async def _pause(self, held: Held, seconds: float) -> None:
        held.in_user_code = True
        try:
            await sleep(self._run.services.clock, seconds)
        except asyncio.CancelledError:
            if held.reason is None:
                raise
        finally:
            held.leave_user_code()

    def _tell(self, operation: StepOperation, how: How, payload: bytes) -> None:
        self._ended(operation, entry_of(operation, how, self._run.services.time.now(), payload))

    # Transactions

    def _in_transaction(self, operation: StepOperation) -> FunctionTask[..., Any]:
        """Return a task whose function writes what the user's does, and its record, together."""
        begin = operation.begin
        assert begin is not None  # noqa: S101 - asked before

        async def together() -> bytes:
            async with begin() as tx:
                value = await operation.task.function(tx, *operation.args, **operation.kwargs)
                payload = self._encoded(operation, value)
                await self._record_in(tx, operation, payload)
            return payload

        return FunctionTask[..., Any](
            operation.name,
            together,
            options=operation.task.options,
            input_codec=operation.task.input_codec,
            output_codec=operation.task.output_codec,
            run_in=RunIn.LOOP,
            wants_context=False,
        )

    async def _record_in(self, tx: object, operation: StepOperation, payload: bytes) -> None:
        services = self._run.services
        binder = binder_of(services.writer.storage)
        if binder is None:
            msg = "the storage declares 'bind_checkpoint' but not 'bind'"
            raise DurableError(msg)
        recorded = await binder.bind(tx).checkpoint(
            execution_id=self._run.record.id,
            token=self._run.held.token,
            name=transaction_name(operation.position),
            value=payload,
            now=services.time.now(),
        )
        if not recorded:
            # Either an earlier attempt was committed after all, which is looked at next, or the
            # row belongs to somebody else: in both cases this transaction must not be committed.
            msg = f"step {operation.name!r} was recorded before, or is another executor's now"
            raise DurableError(msg)

    async def _recorded(self, operation: StepOperation) -> bytes | None:
        writer = self._run.services.writer
        try:
            recorded = await writer.recorded(self._run.record.id)
        except StorageError as error:
            _LOG.warning("cannot tell whether %s was recorded: %s", operation.name, error)
            self._lost()
            return None
        return recorded.get(transaction_name(operation.position))


def _final(error: Exception) -> bytes:
    return ErrorInfo.from_exception(error, retryable=False).encode()
