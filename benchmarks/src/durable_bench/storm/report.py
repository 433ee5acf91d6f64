"""What a kill run has shown."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

_SECOND: Final = 1_000_000
_WINDOW: Final = 2 * _SECOND


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something was killed.

    Attributes:
        what: A worker's name, or the server.
        at: When, µs.
        held: How many executions it held.
        seconds: Until they were taken over; of a server, until it answered again.
    """

    what: str
    at: int
    held: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Report:
    """The figures, and what is wrong.

    Attributes:
        target: The storage.
        executions: How many there are.
        roots: How many of them were enqueued.
        seconds: From the first enqueued to the last ended.
        workers: Workers' kills.
        servers: Servers' kills.
        ends: When executions ended, µs, in order.
        loaded_until: When the last was enqueued, µs: afterwards rates mean nothing.
        audited: Whether the database itself wrote down every end.
        seen: How many ended executions were seen twice at least, to compare.
        faults: What is wrong, in words; empty if all is well.
    """

    target: str
    executions: int
    roots: int
    seconds: float
    workers: Sequence[Event]
    servers: Sequence[Event]
    ends: Sequence[int]
    loaded_until: int
    audited: bool
    seen: int
    faults: Sequence[str]

    def rate(self, start: int, end: int) -> float:
        """Return how many executions ended per second, from a time to another in µs."""
        count = bisect_right(self.ends, end) - bisect_left(self.ends, start)
        return count * _SECOND / max(end - start, 1)

    def recovery(self, event: Event) -> tuple[float, float, float] | None:
        """Return how a kill has slowed the others down; None if the run did not last long enough.

        Returns:
            The rate in the two seconds before the kill; that in the two seconds after what was
            killed is made good; and after how many seconds a rate of half of the former began.
        """
        before = self.rate(event.at - _WINDOW, event.at)
        good = event.at + round(event.seconds * _SECOND)
        if good + _WINDOW > self.loaded_until or not before:
            return None
        start = event.at
        while self.rate(start, start + _WINDOW) < before / 2 and start + _WINDOW < self.ends[-1]:
            start += _SECOND // 20
        return before, self.rate(good, good + _WINDOW), (start - event.at) / _SECOND

    def lines(self) -> Iterator[str]:
        """Yield the report for people."""
        yield (
            f"{self.target}: {self.executions:,} executions of {self.roots:,} roots in "
            f"{self.seconds:.1f} s, {len(self.workers)} workers killed, "
            f"{len(self.servers)} times the server"
        )
        yield from self._kills("worker", self.workers, "until its executions were taken over")
        yield from self._kills("server", self.servers, "until it answered again")
        by_whom = "the database's own audit" if self.audited else "looking at it again and again"
        yield f"each end once, by {by_whom}; {self.seen:,} ends seen before the last look"
        yield from (f"FAULT: {fault}" for fault in self.faults)
        yield "all well" if not self.faults else f"{len(self.faults)} FAULTS"

    def _kills(self, what: str, events: Sequence[Event], until: str) -> Iterator[str]:
        if not events:
            return
        seconds = [event.seconds for event in events]
        held = sum(event.held for event in events)
        yield (
            f"killed {what}: {until} median {median(seconds):.2f} s, at most {max(seconds):.2f} s"
            + (f" ({held} executions)" if what == "worker" else "")
        )
        rates = [found for event in events if (found := self.recovery(event)) is not None]
        if rates:
            ratios = [after / before for before, after, _ in rates]
            lags = [lag for _, _, lag in rates]
            yield (
                f"  the rate in the two seconds after that through the rate before: median "
                f"{median(ratios):.2f}, at least {min(ratios):.2f}; half of it again after "
                f"{max(lags):.2f} s at most ({len(rates)} kills under load)"
            )
