"""The memory storage with one of its rules switched off."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from durable_core.storage import (
    FINISHED,
    WAITING,
    Applied,
    ApplyOutcome,
    Claimed,
    Keep,
    Lease,
    MemoryStorage,
    Phase,
    Reaped,
    Record,
    Release,
    Transition,
    Wake,
    WakeOutcome,
    Woken,
)
from durable_core.storage.kit import Message, changed
from durable_core.storage.memory.tables import Tables

from .weakness import Weakness


class WeakMemory(MemoryStorage):
    """Carries each call out as it should, and then undoes what the missing rule is about.

    Args:
        weakness: What is done wrong; None for the storage as it is.
    """

    def __init__(self, weakness: Weakness | None) -> None:
        super().__init__()
        self._weakness = weakness
        self._late: list[tuple[tuple[str, str], Message]] = []

    @property
    def tables(self) -> Tables:
        """The data itself."""
        return self._space.tables

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
        """Claim; a message that was being kept meanwhile becomes visible only now."""
        for key, message in self._late:
            box = self.tables.mailboxes[key]
            box.message = box.message or message
        self._late.clear()
        claimed = await super().claim(
            executor=executor, tasks=tasks, queues=queues, limit=limit, now=now, ids=ids
        )
        if self._weakness is not Weakness.CLAIM_WRITES_PHASE:
            return claimed
        return replace(claimed, records=[self._running(record) for record in claimed.records])

    def _running(self, record: Record) -> Record:
        if record.phase in FINISHED:
            return record
        return self._put(record, phase=Phase.READY)

    async def apply(self, *, items: Sequence[Transition], now: int) -> Sequence[Applied]:
        """Apply."""
        if self._weakness is Weakness.RELEASE_IGNORES_MARK:
            items = [
                replace(item, cancel_seen=True) if isinstance(item, Keep | Release) else item
                for item in items
            ]
        if self._weakness is Weakness.NO_FENCING:
            items = [self._with_any_token(item) for item in items]
        before = dict(self.tables.rows)
        answers = await super().apply(items=items, now=now)
        if self._weakness is Weakness.RELEASE_FORGETS_COUNT:
            for item, answer in zip(items, answers, strict=True):
                if isinstance(item, Release) and answer.outcome is ApplyOutcome.APPLIED:
                    self._forget_count(item)
        self._spoil(before, now)
        return answers

    async def apply_in_one_statement(
        self, *, items: Sequence[Transition], now: int
    ) -> Sequence[Applied]:
        """Apply a batch as a statement would that updates each of its rows once."""
        ids = {item.id for item in items}
        answers: list[Applied] = []
        for item in items:
            parent = self.tables.rows.get(item.parent_id or "")
            answers += await self.apply(items=[item], now=now)
            if parent is not None and parent.id in ids:
                self.tables.put(parent)
        return answers

    async def wake(self, *, items: Sequence[Wake], now: int) -> Sequence[Woken]:
        """Wake; what is kept becomes visible late."""
        before = dict(self.tables.rows)
        answers = await super().wake(items=items, now=now)
        if self._weakness is Weakness.WAKE_SKEW:
            for item, answer in zip(items, answers, strict=True):
                key = (item.task, item.wake_key or "")
                box = self.tables.mailboxes.get(key)
                if answer.outcome is WakeOutcome.KEPT and box is not None and box.message:
                    self._late.append((key, box.message))
                    box.message = None
        self._spoil(before, now)
        return answers

    async def reap(self, *, now: int, limit: int) -> Reaped:
        """Reap."""
        leases = self.tables.leases
        before = dict(self.tables.rows)
        spared: set[str] = set()
        if self._weakness is Weakness.REAP_BY_LIST_OF_DEAD:
            spared = set(self.tables.held) - set(leases)
            for owner in spared:
                leases[owner] = Lease(executor=owner, started_at=now, expires_at=now, info=b"")
        reaped = await super().reap(now=now, limit=limit)
        for owner in spared:
            leases.pop(owner, None)
        if self._weakness is Weakness.SLEEPERS_ARE_REAPED:
            for row in list(self.tables.rows.values()):
                if row.phase is Phase.SLEEPING and row.owner is None:
                    self._put(
                        row, phase=Phase.READY, gen=row.gen + 1, crashes=row.crashes + 1, due=0
                    )
        self._spoil(before, now)
        return reaped

    def _put(self, row: Record, **values: object) -> Record:
        row = changed(row, **values)
        self.tables.put(row)
        return row

    def _with_any_token(self, item: Transition) -> Transition:
        row = self.tables.rows.get(item.id)
        if row is None or row.owner is None:
            return item
        return replace(item, token=row.token)

    def _forget_count(self, item: Release) -> None:
        row = self.tables.rows[item.id]
        if row.phase in WAITING and row.owner is None:
            self._put(row, due=item.due)

    def _spoil(self, before: Mapping[str, Record], now: int) -> None:
        """Change what this call has made due at once."""
        if self._weakness not in (Weakness.DUE_AT_CALLERS_NOW, Weakness.NO_DUTY):
            return
        for row in list(self.tables.rows.values()):
            old = before.get(row.id)
            if row.due != 0 or old is None or old.due == 0:
                continue
            if self._weakness is Weakness.DUE_AT_CALLERS_NOW:
                self._put(row, due=now)
            elif row.phase in FINISHED and old.phase not in FINISHED:
                self._put(row, due=None)
