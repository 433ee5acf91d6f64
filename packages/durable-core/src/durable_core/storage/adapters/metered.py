"""How often the methods of a storage are called, how long they take, and how they fail."""

import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sized
from dataclasses import dataclass
from typing import ParamSpec, TypeVar, cast

from ..protocol import Storage
from ..records import Page
from ..requests import Claimed, Reaped
from .forwarding import Forwarding
from .histogram import Histogram
from .wrapper import METHODS, MethodName

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodMetrics:
    """What was measured of one method; durations in seconds, as the caller saw them.

    Attributes:
        count: Calls that came back, failed ones included.
        errors: Failed calls by the name of the exception's class.
        rows: Rows answered, or for `reap` and `purge` freed and deleted.
        total: All durations together.
        min: The shortest.
        max: The longest.
        p50: Half of the calls took at most so long; this and the next three are at most 1 % off.
        p90: Likewise nine tenths.
        p95: Likewise 95 of a hundred.
        p99: Likewise 99 of a hundred.
    """

    count: int
    errors: Mapping[str, int]
    rows: int
    total: float
    min: float
    max: float
    p50: float
    p90: float
    p95: float
    p99: float


class Metered(Forwarding):
    """Measures every call of the inner storage; safe for several threads and event loops.

    The memory is bounded: about 10 kB for each method that was called. Hints are not measured.

    Args:
        storage: The storage to measure.
        timer: Returns seconds; only differences matter.
    """

    def __init__(self, storage: Storage, *, timer: Callable[[], float] = time.perf_counter) -> None:
        super().__init__(storage)
        self._timer = timer
        self._lock = threading.Lock()
        self._methods: dict[MethodName, _Measured] = {}

    def metrics(self) -> dict[str, MethodMetrics]:
        """Return what was measured so far, by method in the protocol's order.

        Methods that were never called are left out.
        """
        with self._lock:
            return {
                name: measured.snapshot()
                for name in METHODS
                if (measured := self._methods.get(name)) is not None
            }

    async def around(
        self,
        method: MethodName,
        function: Callable[P, Awaitable[T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Carry out one call and note how long it took."""
        started = self._timer()
        try:
            answer = await function(*args, **kwargs)
        except BaseException as error:
            self._note(method, self._timer() - started, error=error)
            raise
        self._note(method, self._timer() - started, answer)
        return answer

    def around_blocking(
        self,
        method: MethodName,
        function: Callable[P, T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Carry out one heartbeat of a thread and note how long it took."""
        started = self._timer()
        try:
            answer = function(*args, **kwargs)
        except BaseException as error:
            self._note(method, self._timer() - started, error=error)
            raise
        self._note(method, self._timer() - started, answer)
        return answer

    def _note(
        self,
        method: MethodName,
        seconds: float,
        answer: object = None,
        error: BaseException | None = None,
    ) -> None:
        with self._lock:
            measured = self._methods.get(method)
            if measured is None:
                measured = self._methods[method] = _Measured()
            measured.durations.add(seconds)
            measured.rows += _rows(method, answer)
            if error is not None:
                measured.errors[type(error).__name__] += 1


class _Measured:
    def __init__(self) -> None:
        self.durations = Histogram()
        self.errors: Counter[str] = Counter()
        self.rows = 0

    def snapshot(self) -> MethodMetrics:
        durations = self.durations
        p50, p90, p95, p99 = durations.quantiles(0.5, 0.9, 0.95, 0.99)
        return MethodMetrics(
            count=durations.count,
            errors=dict(self.errors),
            rows=self.rows,
            total=durations.total,
            min=durations.min,
            max=durations.max,
            p50=p50,
            p90=p90,
            p95=p95,
            p99=p99,
        )


def _rows(method: MethodName, answer: object) -> int:
    match answer:
        case Claimed():
            return len(answer.records)
        case Page():
            return len(cast("Page[object]", answer).items)
        case Reaped():
            return answer.rows
        case int():
            return answer if method == "purge" else 0
        case Sized():
            return len(answer)
        case _:
            return 0
