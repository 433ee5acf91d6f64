"""What a check works with: handles on a namespace of its own, and a time of its own."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from importlib import metadata
from random import Random
from typing import Any, Final, TypeVar

from durable_core.storage import (
    Applied,
    ApplyOutcome,
    Checkpoint,
    Claimed,
    Head,
    Inserted,
    InsertOutcome,
    NewExecution,
    Query,
    Reaped,
    Record,
    Storage,
    Transition,
)
from durable_core.storage.kit import in_chunks

from .author import Author
from .moves import new
from .settings import Facts, current, facts

NOW: Final = 2_000_000_000_000_000
"""When most checks take place, in µs: far from every clock, so that one that is read is noticed."""

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE

ANNA: Final = "anna"
"""An executor."""
BELA: Final = "bela"
"""Another executor."""

T = TypeVar("T")
U = TypeVar("U")


class Stage:
    """Handles, a namespace, and the calls that checks make over and over.

    Attributes:
        author: The author's class, for its hooks.
        namespace: The check's own namespace.
        storage: A handle on it, set up.
        random: Seeded by the run's seed and the check's name.
    """

    def __init__(self, author: Author, check: str) -> None:
        self.author = author
        self.namespace = fresh_namespace(check)
        self.random = Random(f"{current().seed} {check}")  # noqa: S311 - for replays
        self.storage: Storage
        self._handles = AsyncExitStack()
        self._namespaces = [self.namespace]

    @classmethod
    @asynccontextmanager
    async def open(cls, author: Author, check: str) -> AsyncGenerator["Stage"]:
        """Open a stage for a check, and clear it away afterwards."""
        stage = cls(author, check)
        try:
            async with stage._handles:
                stage.storage = await stage.handle()
                yield stage
        finally:
            for namespace in stage._namespaces:
                await author.drop(namespace)

    async def handle(self, namespace: str | None = None, *, setup: bool = True) -> Storage:
        """Open one more handle, on the check's namespace or another; closed at the end."""
        if namespace is not None and namespace not in self._namespaces:
            self._namespaces.append(namespace)
        opened = self.author.open(namespace or self.namespace)
        storage = await self._handles.enter_async_context(opened)
        if setup:
            await storage.setup()
            await self._note(storage)
        return storage

    async def handles(self, number: int) -> list[Storage]:
        """Return so many handles on the check's namespace, the first one included."""
        return [self.storage, *[await self.handle() for _ in range(number - 1)]]

    async def _note(self, storage: Storage) -> None:
        kind = type(storage)
        known = facts.get(type(self.author))
        if known is None:
            known = Facts(storage=f"{kind.__module__}:{kind.__qualname__}")
            known.versions = {**_distribution(kind), **await self.author.versions(storage)}
            facts[type(self.author)] = known
        declared = asdict(storage.capabilities)
        if declared not in known.capabilities:
            known.capabilities.append(declared)

    def declares(self, capability: str) -> bool:
        """Whether the storage declares a capability."""
        return getattr(self.storage.capabilities, capability) is True

    def in_batches(self, items: Sequence[T]) -> list[Sequence[T]]:
        """Cut a list into batches that one call may carry."""
        return list(in_chunks(items, min(1_000, self.storage.capabilities.max_batch_rows)))

    async def insert(self, *items: NewExecution, now: int = NOW) -> list[Record]:
        """Insert new executions and return their rows; each must be created."""
        answers: list[Inserted] = []
        for batch in self.in_batches(items):
            answers.extend(await self.storage.insert(items=batch, now=now))
        assert [answer.outcome for answer in answers] == [InsertOutcome.CREATED] * len(items)
        return [answer.record for answer in answers]

    async def hold(
        self, execution_id: str, *, owner: str = ANNA, now: int = NOW, **fields: Any
    ) -> Record:
        """Insert an execution that its owner holds at once."""
        (row,) = await self.insert(new(execution_id, owner=owner, **fields), now=now)
        assert row.owner == owner, "a due row that asks for an owner is held"
        return row

    async def claim(
        self,
        *,
        executor: str = ANNA,
        tasks: Sequence[str] = ("work",),
        queues: Sequence[str] = ("default",),
        limit: int = 100,
        now: int = NOW,
        ids: Sequence[str] | None = None,
    ) -> Claimed:
        """Claim with the usual arguments."""
        return await self.storage.claim(
            executor=executor, tasks=tasks, queues=queues, limit=limit, now=now, ids=ids
        )

    async def take(self, execution_id: str, *, executor: str = ANNA, now: int = NOW) -> Record:
        """Claim one execution by its id; it must be there to be claimed."""
        claimed = await self.claim(executor=executor, ids=[execution_id], now=now)
        assert [row.id for row in claimed.records] == [execution_id]
        return claimed.records[0]

    async def take_duty(self, execution_id: str, *, executor: str = ANNA) -> Record:
        """Claim a finished row; no other row that any executor may claim must be due."""
        claimed = await self.claim(executor=executor, tasks=(), queues=())
        assert [row.id for row in claimed.records] == [execution_id]
        return claimed.records[0]

    async def apply(self, *items: Transition, now: int = NOW) -> list[Applied]:
        """Apply transitions in one call."""
        answers = await self.storage.apply(items=items, now=now)
        assert len(answers) == len(items)
        return list(answers)

    async def outcome(self, item: Transition, *, now: int = NOW) -> ApplyOutcome:
        """Apply one transition and return what became of it."""
        (answer,) = await self.apply(item, now=now)
        return answer.outcome

    async def applied(self, *items: Transition, now: int = NOW) -> list[Applied]:
        """Apply transitions that must all be applied."""
        answers = await self.apply(*items, now=now)
        assert [answer.outcome for answer in answers] == [ApplyOutcome.APPLIED] * len(items)
        return answers

    async def reap(self, *, now: int = NOW, limit: int = 100) -> Reaped:
        """Reap with the usual arguments."""
        return await self.storage.reap(now=now, limit=limit)

    async def register(self, executor: str, *, ttl: int = HOUR, now: int = NOW) -> None:
        """Give an executor a lease."""
        beat = await self.storage.heartbeat(executor=executor, ttl=ttl, now=now, register=True)
        assert beat.alive, "an executor that registers is alive"

    async def row(self, execution_id: str, *, at: Storage | None = None) -> Record:
        """Read one execution that must be there."""
        (row,) = await (at or self.storage).get(ids=[execution_id])
        assert isinstance(row, Record), f"get answers a Record for {execution_id!r}, not {row!r}"
        return row

    async def rows(self, *ids: str) -> list[Record]:
        """Read executions that must be there."""
        return [await self.row(id_) for id_ in ids]

    async def find(
        self, query: Query, *, limit: int = 100, at: Storage | None = None
    ) -> list[Head]:
        """Read all pages of a query, with payloads."""
        storage = at or self.storage
        page = await storage.find(query=query, limit=limit, payload=True)
        found = list(page.items)
        while page.cursor is not None:
            page = await storage.find(query=query, limit=limit, cursor=page.cursor, payload=True)
            found.extend(page.items)
        return found

    async def ids(self, query: Query, *, limit: int = 100) -> list[str]:
        """Read the ids of all that a query finds, in order."""
        return [row.id for row in await self.find(query, limit=limit)]

    async def held_by(self, executor: str) -> set[tuple[str, int]]:
        """Read what an executor holds: ids and gens."""
        return {(row.id, row.gen) for row in await self.find(Query(owner=executor))}

    async def checkpoints(self, execution_id: str, *, limit: int = 100) -> list[Checkpoint]:
        """Read all checkpoints of an execution."""
        page = await self.storage.checkpoints(execution_id=execution_id, limit=limit)
        found = list(page.items)
        while page.cursor is not None:
            page = await self.storage.checkpoints(
                execution_id=execution_id, limit=limit, cursor=page.cursor
            )
            found.extend(page.items)
        return found

    async def everything(self) -> dict[str, tuple[Head, list[Checkpoint]]]:
        """Read all executions of the namespace with their checkpoints, to compare."""
        rows = await self.find(Query())
        return {row.id: (row, await self.checkpoints(row.id)) for row in rows}

    async def race(self, *calls: Callable[[], Awaitable[T]]) -> list[T]:
        """Make calls at the same time, begun in random order; answers come as the calls did."""
        order = list(range(len(calls)))
        self.random.shuffle(order)
        async with _single_error(), asyncio.TaskGroup() as group:
            tasks = {place: group.create_task(self._later(calls[place])) for place in order}
        return [tasks[place].result() for place in range(len(calls))]

    async def duel(
        self, first: Callable[[], Awaitable[T]], second: Callable[[], Awaitable[U]]
    ) -> tuple[T, U]:
        """Make two calls of different kinds at the same time; either may begin."""
        async with _single_error(), asyncio.TaskGroup() as group:
            if self.random.randrange(2):
                one = group.create_task(self._later(first))
                two = group.create_task(self._later(second))
            else:
                two = group.create_task(self._later(second))
                one = group.create_task(self._later(first))
        return one.result(), two.result()

    async def _later(self, call: Callable[[], Awaitable[T]]) -> T:
        for _ in range(self.random.randrange(3)):
            await asyncio.sleep(0)
        return await call()


@asynccontextmanager
async def _single_error() -> AsyncGenerator[None]:
    """Raise the first error of a group by itself: that is the one to read."""
    try:
        yield
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from group


def fresh_namespace(check: str) -> str:
    """Return a namespace that was never used before, named after the check."""
    area, _, rest = check.partition("_")
    return f"{area[:10]}_{rest.partition('_')[0]}_{secrets.token_hex(6)}"


def _distribution(kind: type) -> dict[str, str]:
    package = kind.__module__.partition(".")[0]
    names = metadata.packages_distributions().get(package, [])
    return {name: metadata.version(name) for name in names}
