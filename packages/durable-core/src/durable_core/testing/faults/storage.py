"""The storage that lets plans spoil some of its calls."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Mapping
from math import prod
from typing import ParamSpec, TypeVar

from ...storage import Hint, Storage
from ...storage.adapters import Forwarding, MethodName
from .fault import Fault
from .plans import LoggedCall, Plan

P = ParamSpec("P")
T = TypeVar("T")


class FaultyStorage(Forwarding):
    """Hands every call to a storage, and lets plans spoil some of them.

    Several wrappers around handles of one namespace are several processes; each may fail and
    die for itself.

    Args:
        storage: The storage that does the work.
        plans: Asked in this order; the first that has something in mind for a call decides.
        sleep: Waits for so many seconds.
        blocking_sleep: Likewise, for the blocking heartbeat.

    Attributes:
        log: All calls so far, in order of their beginning.
    """

    def __init__(
        self,
        storage: Storage,
        *plans: Plan,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        blocking_sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(storage)
        self.log: list[LoggedCall] = []
        self._plans = list(plans)
        self._sleep = sleep
        self._blocking_sleep = blocking_sleep
        self._dead: Callable[[], BaseException] | None = None

    def inject(self, *plans: Plan) -> None:
        """Ask these plans from now on, before all others."""
        self._plans[:0] = plans

    def heal(self) -> None:
        """Forget all plans, and let a stopped wrapper work again."""
        self._plans.clear()
        self._dead = None

    @property
    def stopped(self) -> bool:
        """Whether all calls fail since `Fault.stop`."""
        return self._dead is not None

    def calls(self, *methods: MethodName) -> list[LoggedCall]:
        """Return the logged calls of these methods, in order of their beginning."""
        return [call for call in self.log if call.method in methods]

    async def around(
        self,
        method: MethodName,
        function: Callable[P, Awaitable[T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Carry out one call as the plans have it."""
        call, fault = self._begin(method, kwargs)
        try:
            if fault.delay_before:
                await self._sleep(fault.delay_before)
            if fault.gate_before is not None:
                await fault.gate_before.passed()
            self._raise(fault, fault.error_before)
            answer = await function(*args, **kwargs)
            call.landed = 1
            for _ in range(fault.deliveries - 1):
                answer = await function(*args, **kwargs)
                call.landed += 1
            if fault.delay_after:
                await self._sleep(fault.delay_after)
            if fault.gate_after is not None:
                await fault.gate_after.passed()
            self._raise(fault, fault.error_after)
        except BaseException as error:
            call.error = error
            raise
        call.answer = answer
        return answer

    def around_blocking(
        self,
        method: MethodName,
        function: Callable[P, T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Carry out one heartbeat of a thread as the plans have it; gates are left open."""
        call, fault = self._begin(method, kwargs)
        try:
            if fault.delay_before:
                self._blocking_sleep(fault.delay_before)
            self._raise(fault, fault.error_before)
            answer = function(*args, **kwargs)
            call.landed = 1
            for _ in range(fault.deliveries - 1):
                answer = function(*args, **kwargs)
                call.landed += 1
            if fault.delay_after:
                self._blocking_sleep(fault.delay_after)
            self._raise(fault, fault.error_after)
        except BaseException as error:
            call.error = error
            raise
        call.answer = answer
        return answer

    async def listen(self, *, queues: Collection[str]) -> AsyncIterator[Hint]:
        """Yield hints as often as the plans have it; the first `Reconnected` always comes."""
        hints = super().listen(queues=queues)
        first = True
        try:
            async for hint in hints:
                times = 1 if first else prod(plan.deliveries(hint) for plan in self._plans)
                first = False
                for _ in range(times):
                    yield hint
        finally:
            if isinstance(hints, AsyncGenerator):
                await hints.aclose()

    def _begin(
        self, method: MethodName, arguments: Mapping[str, object]
    ) -> tuple[LoggedCall, Fault]:
        call = LoggedCall(number=len(self.log) + 1, method=method, arguments=dict(arguments))
        self.log.append(call)
        if self._dead is not None:
            call.fault = Fault(error_before=self._dead)
        else:
            faults = (plan.fault(call) for plan in self._plans)
            call.fault = next((fault for fault in faults if fault is not None), None)
        return call, call.fault or Fault()

    def _raise(self, fault: Fault, error: Callable[[], BaseException] | None) -> None:
        if error is None:
            # What was under way when the process died is answered to nobody.
            error = self._dead
        elif fault.stops:
            self._dead = error
        if error is not None:
            raise error()
