"""The reference storage: everything in memory, one lock, every effect written plainly."""

import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path

from ..capabilities import PROTOCOL_VERSION, Capabilities
from ..errors import ClosedError
from ..hints import Hint
from ..kit import (
    Listeners,
    check_apply,
    check_cancel,
    check_claim,
    check_executor,
    check_insert,
    check_wake,
)
from ..protocol import PulseConnection
from ..records import FINISHED, Checkpoint, Head, Lease, Page, Record
from ..requests import (
    Applied,
    Beat,
    Cancelled,
    Claimed,
    CountBy,
    Inserted,
    InsertOutcome,
    Keep,
    NewExecution,
    Query,
    Reaped,
    Release,
    SchemaReport,
    Transition,
    Wake,
    Woken,
)
from .apply import apply_item
from .cancel import cancel_one
from .dump import from_json, readable, to_json, write
from .leases import claimable_by_id, claimed, purge_over, reap_dead, renew
from .messages import wake_item
from .reading import find_page, offset_page
from .rows import head_of, matches
from .tables import Tables

_CAPABILITIES = Capabilities(
    protocol=PROTOCOL_VERSION,
    push=True,
    pulse=True,
    leases=True,
    resolution_us=1,
    max_batch_rows=10_000,
    max_batch_bytes=256 * 1024 * 1024,
    max_payload=64 * 1024 * 1024,
    durability="none: the data lives and dies with the process",
)


def _machine_time() -> int:
    return time.time_ns() // 1_000


class _Namespace:
    """What all handles on one namespace share."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.tables = Tables()
        self.listeners = Listeners()


class MemoryStorage:
    """Keeps executions in this process's memory; the readable reference of the protocol.

    Safe to use from several threads, event loops and handles at once. Nothing survives the
    process, unless it is saved.

    Args:
        sharing: Another handle whose data to share; a namespace of its own by default.
        clock: Returns the time in microseconds since the Unix epoch; by default that of `sharing`,
            or the machine's.
    """

    def __init__(
        self,
        *,
        sharing: "MemoryStorage | None" = None,
        clock: Callable[[], int] | None = None,
    ) -> None:
        self._space: _Namespace = _Namespace() if sharing is None else sharing._space  # noqa: SLF001
        inherited = _machine_time if sharing is None else sharing._clock  # noqa: SLF001
        self._clock: Callable[[], int] = clock or inherited
        self._closed = False

    @property
    def capabilities(self) -> Capabilities:
        """What this storage can do."""
        return _CAPABILITIES

    async def setup(self, *, migrate: bool = True) -> SchemaReport:
        """See `Storage.setup`: there is nothing to create."""
        self._closed = False
        return SchemaReport(version=1)

    async def close(self) -> None:
        """Close this handle; the data stays for handles that share it, and for `setup`."""
        self._closed = True

    async def clock(self) -> int:
        """Return this machine's time, or that of the clock it was given."""
        return self._clock()

    async def insert(self, *, items: Sequence[NewExecution], now: int) -> Sequence[Inserted]:
        """See `Storage.insert`."""
        check_insert(items, _CAPABILITIES)
        answers: list[Inserted] = []
        with self._open() as tables:
            for item in items:
                if (there := tables.existing(item)) is not None:
                    answers.append(Inserted(outcome=there[0], record=there[1]))
                else:
                    row = tables.add(item, now)
                    answers.append(Inserted(outcome=InsertOutcome.CREATED, record=row))
        created = [a.record for a in answers if a.outcome is InsertOutcome.CREATED]
        self._tell(created)
        return answers

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
        """See `Storage.claim`."""
        check_claim(executor, limit, gates, _CAPABILITIES)
        with self._open() as tables:
            if ids is None:
                keys = ((queue, task) for queue in queues for task in tasks)
                rows, exhausted, due = tables.queues.take(tables.rows, keys, limit, now)
            else:
                found = [row for id_ in dict.fromkeys(ids) if (row := tables.rows.get(id_))]
                free = [row for row in found if claimable_by_id(row, now)]
                rows, exhausted, due = free[:limit], len(free) <= limit, None
            taken = [claimed(row, executor, now) for row in rows]
            for row in taken:
                tables.put(row)
        return Claimed(records=taken, exhausted=exhausted, next_due=due)

    async def apply(self, *, items: Sequence[Transition], now: int) -> Sequence[Applied]:
        """See `Storage.apply`."""
        check_apply(items, _CAPABILITIES)
        with self._open() as tables:
            answers = [apply_item(tables, item, now) for item in items]
            ids = {
                id_
                for item, answer in zip(items, answers, strict=True)
                for id_ in _near(item, answer)
            }
            rows = [tables.rows[id_] for id_ in ids if id_ in tables.rows]
        self._tell(rows)
        return answers

    async def wake(self, *, items: Sequence[Wake], now: int) -> Sequence[Woken]:
        """See `Storage.wake`."""
        check_wake(items, _CAPABILITIES)
        with self._open() as tables:
            answers = [wake_item(tables, item, now) for item in items]
            ids = {id_ for a in answers for id_ in (a.id, *a.woken) if id_ is not None}
            rows = [tables.rows[id_] for id_ in ids if id_ in tables.rows]
        self._tell(rows)
        return answers

    async def cancel(self, *, ids: Sequence[str], request: str, now: int) -> Sequence[Cancelled]:
        """See `Storage.cancel`."""
        check_cancel(ids, request, _CAPABILITIES)
        with self._open() as tables:
            answers = [cancel_one(tables, id_, request, now) for id_ in ids]
            touched = {id_ for id_, a in zip(ids, answers, strict=True) for id_ in (id_, *a.woken)}
            rows = [tables.rows[id_] for id_ in touched if id_ in tables.rows]
        self._tell(rows)
        return answers

    async def heartbeat(
        self, *, executor: str, ttl: int, now: int, register: bool = False, info: bytes = b""
    ) -> Beat:
        """See `Storage.heartbeat`."""
        return self._beat(executor, ttl, now, register=register, info=info)

    def _beat(
        self, executor: str, ttl: int, now: int, *, register: bool = False, info: bytes = b""
    ) -> Beat:
        check_executor(executor)
        with self._open() as tables:
            return renew(
                tables,
                Lease(executor=executor, started_at=now, expires_at=now + ttl, info=info),
                register=register,
                signs_off=ttl <= 0,
                clock=self._clock(),
            )

    async def reap(self, *, now: int, limit: int) -> Reaped:
        """See `Storage.reap`."""
        with self._open() as tables:
            reaped, rows = reap_dead(tables, now, limit)
        self._tell(rows)
        return reaped

    async def get(self, *, ids: Sequence[str], payload: bool = True) -> Sequence[Head | None]:
        """See `Storage.get`."""
        with self._open() as tables:
            found = [tables.rows.get(id_) for id_ in ids]
        return found if payload else [None if row is None else head_of(row) for row in found]

    async def find(
        self, *, query: Query, limit: int, cursor: str | None = None, payload: bool = False
    ) -> Page[Head]:
        """See `Storage.find`."""
        with self._open() as tables:
            return find_page(tables, query, limit, cursor, payload=payload)

    async def count(
        self, *, query: Query, by: CountBy | None = None, cap: int | None = None
    ) -> Mapping[str, int]:
        """See `Storage.count`."""
        with self._open() as tables:
            rows = [row for row in tables.rows.values() if matches(row, query)]
        if by is None:
            return {"*": len(rows[:cap])}
        return Counter(str(getattr(row, by.value)) for row in islice(rows, cap))

    async def checkpoints(
        self,
        *,
        execution_id: str,
        limit: int,
        cursor: str | None = None,
    ) -> Page[Checkpoint]:
        """See `Storage.checkpoints`."""
        with self._open() as tables:
            return offset_page(
                list(tables.checkpoints.get(execution_id, {}).values()), limit, cursor
            )

    async def purge(self, *, finished_before: int, now: int, limit: int) -> int:
        """See `Storage.purge`."""
        with self._open() as tables:
            return purge_over(tables, finished_before, now, limit)

    def listen(self, *, queues: Collection[str]) -> AsyncIterator[Hint]:
        """See `Listen.listen`."""
        return self._space.listeners.listen(queues)

    async def leases(self, *, limit: int, cursor: str | None = None) -> Page[Lease]:
        """See `Leases.leases`."""
        with self._open() as tables:
            return offset_page([tables.leases[id_] for id_ in sorted(tables.leases)], limit, cursor)

    def pulse(self) -> PulseConnection:
        """See `Pulse.pulse`."""
        return _Pulse(self._beat)

    def save(self, path: str | Path) -> None:
        """Write everything to a JSON file, atomically: the file is the old one or the new one.

        Works on a closed handle, too.

        Args:
            path: Where to; replaced if it exists.
        """
        with _Locked(self._space) as tables:
            text = to_json(tables)
        write(Path(path), text)

    def load(self, path: str | Path) -> None:
        """Replace everything by what `save` wrote.

        Raises:
            CorruptError: The file is not one that `save` wrote; nothing was changed.
        """
        tables = from_json(Path(path).read_bytes(), str(path))
        with _Locked(self._space):
            self._space.tables = tables

    def dump(self) -> str:
        """Return all executions as text, one line each, children below their parents."""
        with _Locked(self._space) as tables:
            return readable(tables)

    def _open(self) -> "_Locked":
        if self._closed:
            msg = "this MemoryStorage is closed"
            raise ClosedError(msg)
        return _Locked(self._space)

    def _tell(self, rows: Iterable[Record]) -> None:
        queues: set[str] = set()
        finished = False
        for row in rows:
            if row.phase in FINISHED:
                finished = True
            if row.due is not None and row.owner is None:
                queues.add(row.queue)
        self._space.listeners.tell(queues, finished=finished)


def _near(item: Transition, answer: Applied) -> Iterable[str]:
    """Yield the rows that a transition may have made claimable or finished."""
    yield item.id
    yield from answer.woken
    if isinstance(item, Keep | Release):
        for child in item.children:
            yield child.id


class _Locked:
    """The tables, while the namespace's lock is held."""

    def __init__(self, space: _Namespace) -> None:
        self._space = space

    def __enter__(self) -> Tables:
        self._space.lock.acquire()
        return self._space.tables

    def __exit__(self, *_: object) -> None:
        self._space.lock.release()


class _Pulse:
    """A blocking heartbeat; the lock is never held for long."""

    def __init__(self, beat: Callable[[str, int, int], Beat]) -> None:
        self._beat = beat

    def beat(self, *, executor: str, ttl: int, now: int) -> Beat:
        """See `PulseConnection.beat`."""
        return self._beat(executor, ttl, now)

    def close(self) -> None:
        """Nothing to release."""
