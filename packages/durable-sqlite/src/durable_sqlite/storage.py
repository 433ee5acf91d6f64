"""The public class: every method of the protocol, handed to the thread that carries it out."""

import os
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Self, TypeVar, Unpack

from durable_core.storage import (
    PROTOCOL_VERSION,
    Applied,
    Beat,
    BoundStorage,
    Cancelled,
    Capabilities,
    Checkpoint,
    Claimed,
    ClosedError,
    CountBy,
    Head,
    Hint,
    Inserted,
    InvalidArgumentError,
    Keep,
    Lease,
    NewExecution,
    Page,
    PulseConnection,
    Query,
    Reaped,
    Release,
    SchemaReport,
    Transition,
    Wake,
    Woken,
)
from durable_core.storage.kit import (
    check_apply,
    check_cancel,
    check_claim,
    check_executor,
    check_insert,
    check_wake,
)

from .applying import apply_all
from .binding import path_of_engine, transaction_of
from .bound import Bound
from .cancelling import cancel_all
from .claiming import claim_due, claim_ids
from .hints import Hints
from .inserting import insert_all
from .jobs import Job
from .leases import beat, lease_page
from .location import path_of_url
from .pulse import FilePulse, MemoryPulse
from .purging import delete_over, forget_messages, over
from .reading import checkpoint_page, count_all, find_page, get_all, is_slow
from .reaping import Reaping
from .session import Session
from .setting_up import set_up
from .settings import Options, Settings, Synchronous
from .statistics import Statistics, total
from .threads import Threads
from .waking import wake_all
from .writing import Writing

T = TypeVar("T")

_CHUNK = 500
"""Rows that one transaction reaps or purges at most, so that others are not kept waiting."""


def _machine_clock() -> int:
    return time.time_ns() // 1_000


class SQLiteStorage:
    """Keeps executions in an SQLite file, shared by several processes of one machine.

    Safe to use from several threads and event loops at once. All writes of one storage go through
    one thread: whatever waits when it becomes free shares a transaction.

    Beside the file lie SQLite's own ``-wal`` and ``-shm``, and ``-leases``, in which executors say
    that they are alive: a long transaction on the database does not keep them from that.

    Args:
        path: The file; ``":memory:"`` keeps everything in memory, for this object alone.
        prefix: Begins the names of all tables; another prefix is another namespace.
        synchronous: When SQLite waits for the disk: at every commit (FULL), or only now and then
            (NORMAL: the last commits may be lost when the machine, not the process, dies).
        busy_timeout: Seconds for which a write waits for another connection's transaction before
            it fails with `TemporaryError`.
        poll_interval: Seconds between two looks for commits of other processes, while somebody
            listens and nothing happens; after a commit the looks follow closely for a while.
        clock: The storage's time in µs since the Unix epoch; the machine's by default.

    Raises:
        InvalidArgumentError: An option is outside of what is allowed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        prefix: str = "durable_",
        synchronous: Synchronous = "FULL",
        busy_timeout: float = 5.0,
        poll_interval: float = 0.05,
        clock: Callable[[], int] = _machine_clock,
    ) -> None:
        text = os.fspath(path)
        self._settings = Settings(
            path=None if text == ":memory:" else str(Path(text).resolve()),
            prefix=prefix,
            synchronous=synchronous,
            busy_timeout=busy_timeout,
            poll_interval=poll_interval,
            clock=clock,
        )
        self._place = self._settings.path or "SQLite in memory"
        self._hints = Hints(self._settings, self._place)
        self._threads = Threads(self._settings, self._place, self._hints)
        self._open = True
        self._capabilities = self._describe("wal")

    @classmethod
    def from_url(cls, url: str, **options: Unpack[Options]) -> Self:
        """Open by a URL: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, ``sqlite://``.

        Args:
            url: Without options of its own.
            **options: Those of the class.

        Raises:
            InvalidArgumentError: It is no SQLite URL, or has options.
        """
        return cls(path_of_url(url), **options)

    @classmethod
    def from_engine(cls, engine: object, **options: Unpack[Options]) -> Self:
        """Open the file of an engine of SQLAlchemy.

        The storage takes the engine's URL and opens connections of its own; the engine itself is
        neither used nor closed. To write in the engine's transactions, see `bind`.

        Args:
            engine: An `Engine` or `AsyncEngine` on a file.
            **options: Those of the class.

        Raises:
            InvalidArgumentError: It is no engine, another database's, or one in memory.
        """
        return cls(path_of_engine(engine), **options)

    def _describe(self, journal: str) -> Capabilities:
        settings = self._settings
        in_file = settings.path is not None
        durability = f"journal_mode={journal}, synchronous={settings.synchronous}"
        return Capabilities(
            protocol=PROTOCOL_VERSION,
            push=True,
            bind=in_file,
            bind_checkpoint=in_file,
            pulse=True,
            leases=True,
            shared=in_file,
            durable=in_file and settings.synchronous != "OFF",
            resolution_us=1,
            max_batch_rows=1_000,
            max_batch_bytes=64 * 1024 * 1024,
            max_payload=16 * 1024 * 1024,
            durability=f"SQLite {sqlite3.sqlite_version}, "
            + (durability if in_file else "in memory: the data lives and dies with the process"),
        )

    async def _write(self, work: Callable[[Writing], T], weight: int = 1) -> T:
        return await self._threads.writer.ask(Job(work, weight=weight))

    async def _read(self, work: Callable[[Session], T], reader: str = "reader") -> T:
        if self._settings.path is None:
            return await self._threads.writer.ask(Job(work))
        return await self._threads.reader(reader).ask(Job(work))

    @property
    def path(self) -> str | None:
        """The file, absolute and with symbolic links resolved; None in memory."""
        return self._settings.path

    @property
    def capabilities(self) -> Capabilities:
        """What this storage can do."""
        return self._capabilities

    async def setup(self, *, migrate: bool = True) -> SchemaReport:
        """See `Storage.setup`. Also opens a storage again that was closed."""
        if not self._open:
            self._threads = Threads(self._settings, self._place, self._hints)
            self._open = True
        work = partial(set_up, settings=self._settings, migrate=migrate)
        return await self._threads.writer.ask(Job(work, alone=True))

    async def close(self) -> None:
        """Carry out what was called before, then close the file. Idempotent."""
        self._open = False
        await self._hints.close()
        await self._threads.close()

    async def clock(self) -> int:
        """Return this machine's time: all processes that share the file run on it."""
        return self._settings.clock()

    async def insert(self, *, items: Sequence[NewExecution], now: int) -> Sequence[Inserted]:
        """See `Storage.insert`."""
        check_insert(items, self._capabilities)
        return await self._write(lambda w: insert_all(w, items, now), len(items))

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
        check_claim(executor, limit, gates, self._capabilities)
        if ids is not None:
            return await self._write(lambda w: claim_ids(w, executor, ids, limit, now), limit)
        return await self._write(
            lambda w: claim_due(w, executor, tasks, queues, limit=limit, now=now), limit
        )

    async def apply(self, *, items: Sequence[Transition], now: int) -> Sequence[Applied]:
        """See `Storage.apply`."""
        check_apply(items, self._capabilities)
        weight = len(items) + sum(
            len(item.children) for item in items if isinstance(item, Keep | Release)
        )
        return await self._write(lambda w: apply_all(w, items, now), weight)

    async def wake(self, *, items: Sequence[Wake], now: int) -> Sequence[Woken]:
        """See `Storage.wake`."""
        check_wake(items, self._capabilities)
        return await self._write(lambda w: wake_all(w, items, now), len(items))

    async def cancel(self, *, ids: Sequence[str], request: str, now: int) -> Sequence[Cancelled]:
        """See `Storage.cancel`."""
        check_cancel(ids, request, self._capabilities)
        return await self._write(lambda w: cancel_all(w, ids, request, now), len(ids))

    async def heartbeat(
        self, *, executor: str, ttl: int, now: int, register: bool = False, info: bytes = b""
    ) -> Beat:
        """See `Storage.heartbeat`."""
        check_executor(executor)
        lease = Lease(executor=executor, started_at=now, expires_at=now + ttl, info=info)
        return await self._read(partial(self._beat, lease, register=register, signs_off=ttl <= 0))

    def _beat(self, lease: Lease, session: Session, *, register: bool, signs_off: bool) -> Beat:
        clock = self._settings.clock()
        return beat(session, lease, register=register, signs_off=signs_off, clock=clock)

    async def reap(self, *, now: int, limit: int) -> Reaped:
        """See `Storage.reap`."""
        removed = rows = 0
        while True:
            step = Reaping(now, min(limit - rows, _CHUNK))
            freed, more = await self._write(step, step.limit)
            removed += step.leases
            rows += freed
            if not more or rows >= limit:
                break
        return Reaped(leases=removed, rows=rows, more=more)

    async def get(self, *, ids: Sequence[str], payload: bool = True) -> Sequence[Head | None]:
        """See `Storage.get`."""
        return await self._read(lambda s: get_all(s, ids, payload=payload))

    async def find(
        self, *, query: Query, limit: int, cursor: str | None = None, payload: bool = False
    ) -> Page[Head]:
        """See `Storage.find`."""
        return await self._read(
            lambda s: find_page(s, query, limit, cursor, payload=payload),
            "searcher" if is_slow(query) else "reader",
        )

    async def count(
        self, *, query: Query, by: CountBy | None = None, cap: int | None = None
    ) -> Mapping[str, int]:
        """See `Storage.count`."""
        return await self._read(lambda s: count_all(s, query, by, cap), "searcher")

    async def checkpoints(
        self,
        *,
        execution_id: str,
        limit: int,
        cursor: str | None = None,
    ) -> Page[Checkpoint]:
        """See `Storage.checkpoints`."""
        return await self._read(lambda s: checkpoint_page(s, execution_id, limit, cursor))

    async def purge(self, *, finished_before: int, now: int, limit: int) -> int:
        """See `Storage.purge`. Several transactions, each of a bounded size."""
        gone = 0
        while gone < limit:
            wanted = min(limit - gone, _CHUNK)
            ids = await self._read(
                partial(over, finished_before=finished_before, limit=wanted), "searcher"
            )
            if ids:
                gone += await self._write(
                    partial(delete_over, ids=ids, finished_before=finished_before),
                    len(ids),
                )
            if len(ids) < wanted:
                break
        while await self._write(partial(forget_messages, now=now, limit=_CHUNK), _CHUNK):
            pass
        return gone

    def listen(self, *, queues: Collection[str]) -> AsyncGenerator[Hint]:
        """See `Listen.listen`."""
        if not self._open:
            msg = f"the SQLiteStorage on {self._place} is closed"
            raise ClosedError(msg)
        return self._hints.listen(queues)

    def bind(self, tx: object) -> BoundStorage:
        """See `Bind.bind`.

        Conflicts are answers and leave the transaction usable. Like every write to SQLite the
        first call locks the database for other writers until the transaction ends: keep it short.

        Args:
            tx: A `sqlite3.Connection`, an `aiosqlite.Connection`, or SQLAlchemy's `Connection`,
                `Session`, `AsyncConnection` or `AsyncSession`, on the same file as this storage.
                What is checked only when the transaction is first used raises then.
        """
        if self._settings.path is None:
            msg = "a storage in memory has its data for itself: nobody else has a transaction on it"
            raise InvalidArgumentError(msg)
        return Bound(transaction_of(tx, self._settings), self._settings, self._capabilities)

    async def leases(self, *, limit: int, cursor: str | None = None) -> Page[Lease]:
        """See `Leases.leases`."""
        return await self._read(lambda s: lease_page(s.leases, limit, cursor))

    def pulse(self) -> PulseConnection:
        """See `Pulse.pulse`."""
        if self._settings.path is not None:
            return FilePulse(self._settings, self._place)
        return MemoryPulse(self._threads.writer, self._pulse_job)

    def _pulse_job(self, executor: str, ttl: int, now: int) -> Job[Session, Beat]:
        check_executor(executor)
        lease = Lease(executor=executor, started_at=now, expires_at=now + ttl, info=b"")
        return Job(partial(self._beat, lease, register=False, signs_off=ttl <= 0))

    def statistics(self) -> Statistics:
        """Return what was sent to the database so far."""
        return total([*self._threads.tallies, self._hints.tally])
