"""A memory storage that joins the caller's transaction, honest and broken on purpose."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import ClassVar, TypeAlias

from broken_base import Broken, InMemory

from durable_conformance import StorageConformance
from durable_core.storage import (
    Applied,
    Capabilities,
    Inserted,
    InsertOutcome,
    InvalidArgumentError,
    Lease,
    MemoryStorage,
    NewExecution,
    Reaped,
    Record,
    Storage,
    Token,
    Transition,
)
from durable_core.storage.kit import born
from durable_core.storage.records import Checkpoint

Existing: TypeAlias = tuple[InsertOutcome, Record] | None


class CallersTransaction:
    """What the caller has begun: inserts and checkpoints that wait for the commit."""

    def __init__(self, storage: "Bound") -> None:
        self.storage = storage
        self.rows: list[tuple[NewExecution, int]] = []
        self.points: list[tuple[str, Checkpoint]] = []
        self.tx = self

    async def write(self) -> None:
        """A row of the caller's own would not be seen by anybody here."""

    async def commit(self) -> None:
        tables = self.storage.tables()
        for item, now in self.rows:
            tables.add(item, now)
        for id_, point in self.points:
            tables.checkpoints.setdefault(id_, {}).setdefault(point.name, point)
        await self.rollback()

    async def rollback(self) -> None:
        for id_, _ in self.points:
            self.storage.pinned.discard(id_)
        self.storage.unlocked.set()
        self.rows.clear()
        self.points.clear()


class Bound(Broken):
    """Honest: the base of those that are not."""

    looks_at_names: ClassVar = True

    @classmethod
    def author(cls) -> type[StorageConformance]:
        class TestBound(InMemory):
            kind: ClassVar[type[MemoryStorage]] = cls

            @asynccontextmanager
            async def transaction(self, storage: Storage) -> AsyncGenerator[CallersTransaction]:
                assert isinstance(storage, Bound)
                caller = CallersTransaction(storage)
                yield caller
                await caller.rollback()

        return TestBound

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, bind=True, bind_checkpoint=True)

    @property
    def pinned(self) -> set[str]:
        """Rows that an open transaction has recorded something of."""
        found: set[str] = vars(self._space).setdefault("pinned", set())
        return found

    @property
    def unlocked(self) -> asyncio.Event:
        """Set while no transaction of the caller's keeps others waiting."""
        if "unlocked" not in vars(self._space):
            vars(self._space)["unlocked"] = asyncio.Event()
            vars(self._space)["unlocked"].set()
        found: asyncio.Event = vars(self._space)["unlocked"]
        return found

    def staged(self, caller: CallersTransaction, item: NewExecution, now: int) -> None:
        """Insert with the caller's commit."""
        caller.rows.append((item, now))

    def conflict(self, found: Existing) -> Existing:
        """Answer a conflict."""
        return found

    def lets_in(self, stored: Token | None, given: Token) -> bool:
        """Whether a token holds."""
        return stored == given

    def pin(self, execution_id: str) -> None:
        """Keep a row from being reaped."""
        self.pinned.add(execution_id)

    def bind(self, tx: object) -> "Inside":
        assert isinstance(tx, CallersTransaction)
        return Inside(self, tx)

    async def reap(self, *, now: int, limit: int) -> Reaped:
        leases = self.tables().leases
        owners = {self.tables().rows[id_].owner for id_ in self.pinned} - {None, *leases}
        for owner in owners:
            leases[str(owner)] = Lease(executor="", started_at=0, expires_at=now, info=b"")
        answer = await super().reap(now=now, limit=limit)
        for owner in owners:
            del leases[str(owner)]
        return answer


class Inside:
    """The storage inside the caller's transaction."""

    def __init__(self, storage: Bound, caller: CallersTransaction) -> None:
        self._storage = storage
        self._caller = caller

    async def insert(self, *, items: Sequence[NewExecution], now: int) -> Sequence[Inserted]:
        answers: list[Inserted] = []
        for item in items:
            there = self._existing(item)
            if there is None:
                free = replace(item, owner=None)
                self._storage.staged(self._caller, free, now)
                there = InsertOutcome.CREATED, born(free, now)
            answers.append(Inserted(outcome=there[0], record=there[1]))
        return answers

    def _existing(self, item: NewExecution) -> Existing:
        for staged, now in self._caller.rows:
            if staged.id == item.id:
                return InsertOutcome.EXISTING_ID, born(staged, now)
        return self._storage.conflict(self._storage.tables().existing(item))

    async def checkpoint(
        self, *, execution_id: str, token: Token, name: str, value: bytes, now: int
    ) -> bool:
        row = self._storage.tables().rows.get(execution_id)
        held = None if row is None or row.owner is None else row.token
        if not self._storage.lets_in(held, token):
            return False
        if self._storage.looks_at_names and self._recorded(execution_id, name):
            return False
        point = Checkpoint(name=name, value=value, created_at=now)
        self._caller.points.append((execution_id, point))
        self._storage.pin(execution_id)
        return True

    def _recorded(self, execution_id: str, name: str) -> bool:
        there = {point.name for id_, point in self._caller.points if id_ == execution_id}
        return name in there or name in self._storage.tables().checkpoints.get(execution_id, {})


class CommitsAtOnce(Bound):
    promise, fault = "BIND-1", "what is inserted is committed at once"

    def staged(self, caller: CallersTransaction, item: NewExecution, now: int) -> None:
        self.tables().add(item, now)


class ConflictsRaise(Bound):
    promise, fault = "BIND-2", "a conflict ends the caller's transaction"

    def conflict(self, found: Existing) -> Existing:
        if found is not None:
            raise InvalidArgumentError("duplicate key value violates unique constraint")
        return found


class LocksTheTable(Bound):
    promise, fault = "BIND-3", "a bound insert keeps all other writers waiting"

    def staged(self, caller: CallersTransaction, item: NewExecution, now: int) -> None:
        self.unlocked.clear()
        super().staged(caller, item, now)

    async def apply(self, *, items: Sequence[Transition], now: int) -> Sequence[Applied]:
        await self.unlocked.wait()
        return await super().apply(items=items, now=now)


class TakesAnyToken(Bound):
    promise, fault = "BIND-4", "a checkpoint is recorded under a stale token"

    def lets_in(self, stored: Token | None, given: Token) -> bool:
        return stored is not None


class PinsNothing(Bound):
    promise, fault = "BIND-4", "a row is reaped under the caller's transaction"

    def pin(self, execution_id: str) -> None:
        pass


class RecordsAgain(Bound):
    promise, fault = "BIND-4", "a name that is recorded already is no reason to refuse"
    looks_at_names: ClassVar = False
