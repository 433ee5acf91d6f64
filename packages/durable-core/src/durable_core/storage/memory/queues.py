"""Un-held rows in the order in which they are claimed."""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..records import Record
from .rows import is_duty

_DUTIES = ("", "")


@dataclass(slots=True)
class _Lane:
    """The rows of one queue and task: those found due before, and those that were not."""

    ready: list[tuple[int, int, int, str]] = field(default_factory=list[tuple[int, int, int, str]])
    later: list[tuple[int, int, str]] = field(default_factory=list[tuple[int, int, str]])


class ClaimQueues:
    """Per queue and task two heaps, so that a claim meets only rows it may take.

    Entries are never removed from the middle: an entry whose stamp is not the row's latest is
    passed over when it comes to the top.
    """

    def __init__(self) -> None:
        self._lanes: defaultdict[tuple[str, str], _Lane] = defaultdict(_Lane)
        self._stamps: dict[str, int] = {}
        self._next = 0

    def update(self, record: Record) -> None:
        """Take note of a row's new state: offered if un-held with a due time, else withdrawn."""
        if record.owner is not None or record.due is None:
            self._stamps.pop(record.id, None)
            return
        self._next += 1
        self._stamps[record.id] = self._next
        lane = self._lanes[_DUTIES if is_duty(record) else (record.queue, record.task)]
        heapq.heappush(lane.later, (record.due, self._next, record.id))

    def forget(self, id: str) -> None:  # noqa: A002
        """Withdraw a row that was deleted."""
        self._stamps.pop(id, None)

    def take(
        self,
        rows: Mapping[str, Record],
        keys: Iterable[tuple[str, str]],
        limit: int,
        now: int,
    ) -> tuple[list[Record], bool, int | None]:
        """Choose due rows of these lanes and of the duties, by priority and then due time.

        Args:
            rows: All rows by id.
            keys: (queue, task) pairs.
            limit: At most so many.
            now: Decides what is due.

        Returns:
            The rows, whether none was left behind, and the earliest time of one not yet due.
            The caller must `update` what it takes.
        """
        lanes = [lane for key in {_DUTIES, *keys} if (lane := self._lanes.get(key)) is not None]
        heads: list[tuple[int, int, int, str, _Lane]] = []
        for lane in lanes:
            self._promote(rows, lane, now)
            self._push_head(rows, lane, heads, now)
        heapq.heapify(heads)
        taken: list[Record] = []
        while heads and len(taken) < limit:
            *_, id_, lane = heads[0]
            heapq.heappop(heads)
            heapq.heappop(lane.ready)
            taken.append(rows[id_])
            self._stamps.pop(id_)
            self._push_head(rows, lane, heads, now, heap=True)
        dues = [due for lane in lanes if (due := self._next_due(lane)) is not None]
        return taken, not heads, min(dues, default=None)

    def _promote(self, rows: Mapping[str, Record], lane: _Lane, now: int) -> None:
        while lane.later and lane.later[0][0] <= now:
            due, stamp, id_ = heapq.heappop(lane.later)
            if self._stamps.get(id_) == stamp:
                heapq.heappush(lane.ready, (-rows[id_].priority, due, stamp, id_))

    def _push_head(
        self,
        rows: Mapping[str, Record],
        lane: _Lane,
        heads: list[tuple[int, int, int, str, _Lane]],
        now: int,
        *,
        heap: bool = False,
    ) -> None:
        while lane.ready:
            priority, due, stamp, id_ = lane.ready[0]
            if self._stamps.get(id_) != stamp:
                heapq.heappop(lane.ready)
            elif due > now:
                heapq.heappop(lane.ready)
                heapq.heappush(lane.later, (due, stamp, id_))
            else:
                entry = (priority, due, stamp, id_, lane)
                if heap:
                    heapq.heappush(heads, entry)
                else:
                    heads.append(entry)
                return

    def _next_due(self, lane: _Lane) -> int | None:
        while lane.later:
            due, stamp, id_ = lane.later[0]
            if self._stamps.get(id_) == stamp:
                return due
            heapq.heappop(lane.later)
        return None
