"""One more fault for each promise about wake-ups, cancellation and leases."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from broken_base import Broken, pause

from durable_core.storage import (
    UNFINISHED,
    Beat,
    Cancelled,
    CancelOutcome,
    Inserted,
    InsertOutcome,
    Lease,
    NewExecution,
    OnCancel,
    Page,
    Phase,
    PulseConnection,
    Reaped,
    Wake,
    WakeOutcome,
    Woken,
)
from durable_core.storage.kit import Message


class LosesPayload(Broken):
    promise, fault = "WAKE-1", "the payload of a wake-up is lost"

    async def wake(self, *, items: Sequence[Wake], now: int) -> Sequence[Woken]:
        return await super().wake(items=[replace(item, payload=None) for item in items], now=now)


class NamesNobody(Broken):
    promise, fault = "WAKE-4", "who decided before is not said"

    async def wake(self, *, items: Sequence[Wake], now: int) -> Sequence[Woken]:
        answers = await super().wake(items=items, now=now)
        return [replace(answer, first=None) for answer in answers]


class KeepsLate(Broken):
    promise, fault = "WAKE-5", "a late message is kept"

    async def wake(self, *, items: Sequence[Wake], now: int) -> Sequence[Woken]:
        answers = await super().wake(items=items, now=now)
        for item, answer in zip(items, answers, strict=True):
            if answer.outcome is WakeOutcome.LATE and item.wake_key and item.keep_until:
                box = self.tables().mailboxes[item.task, item.wake_key]
                box.message = Message(
                    phase=item.phase,
                    payload=item.payload,
                    until=item.keep_until,
                    request=item.request,
                )
        return answers


class KeepsForEver(Broken):
    promise, fault = "WAKE-6", "a message never expires"

    async def insert(self, *, items: Sequence[NewExecution], now: int) -> Sequence[Inserted]:
        for box in self.tables().mailboxes.values():
            if box.message is not None:
                box.message = replace(box.message, until=2**62)
        return await super().insert(items=items, now=now)


class KeysForEver(Broken):
    promise, fault = "WAKE-7", "a wake key is never free again"

    async def insert(self, *, items: Sequence[NewExecution], now: int) -> Sequence[Inserted]:
        answers: list[Inserted] = []
        for item in items:
            used = [
                row
                for row in self.tables().rows.values()
                if item.wake_key and (row.task, row.wake_key) == (item.task, item.wake_key)
            ]
            if used:
                outcome = InsertOutcome.EXISTING_WAKE_KEY
                answers.append(Inserted(outcome=outcome, record=used[0]))
            else:
                answers += await super().insert(items=[item], now=now)
        return answers


class OnlyMarks(Broken):
    promise, fault = "CANCEL-1", "nothing is ended, all is marked"

    async def cancel(self, *, ids: Sequence[str], request: str, now: int) -> Sequence[Cancelled]:
        for id_ in ids:
            row = self.tables().rows.get(id_)
            if row is not None and row.owner is None and row.phase in UNFINISHED:
                self.spoil(id_, on_cancel=OnCancel.DELIVER)
        return await super().cancel(ids=ids, request=request, now=now)


class EndsWhatIsHeld(Broken):
    promise, fault = "CANCEL-2", "what is held is ended"

    async def cancel(self, *, ids: Sequence[str], request: str, now: int) -> Sequence[Cancelled]:
        for id_ in ids:
            row = self.tables().rows.get(id_)
            if row is not None and row.owner is not None and row.phase in UNFINISHED:
                self.tables().finish(row, Phase.CANCELLED, request, now)
        return await super().cancel(ids=ids, request=request, now=now)


class DeliversNothing(Broken):
    promise, fault = "CANCEL-3", "what is to be told is ended"

    async def cancel(self, *, ids: Sequence[str], request: str, now: int) -> Sequence[Cancelled]:
        for id_ in ids:
            if id_ in self.tables().rows:
                self.spoil(id_, on_cancel=OnCancel.END)
        return await super().cancel(ids=ids, request=request, now=now)


class KnowsEverybody(Broken):
    promise, fault = "CANCEL-4", "an unknown id is called finished"

    async def cancel(self, *, ids: Sequence[str], request: str, now: int) -> Sequence[Cancelled]:
        answers = await super().cancel(ids=ids, request=request, now=now)
        return [
            replace(answer, outcome=CancelOutcome.FINISHED)
            if answer.outcome is CancelOutcome.MISSING
            else answer
            for answer in answers
        ]


class LooksThenCancels(Broken):
    promise, fault = "CANCEL-5", "a cancel looks first and ends later"

    async def cancel(self, *, ids: Sequence[str], request: str, now: int) -> Sequence[Cancelled]:
        rows = self.tables().rows
        free = [id_ for id_ in ids if rows[id_].owner is None and rows[id_].phase in UNFINISHED]
        await pause()
        if not free:
            return await super().cancel(ids=ids, request=request, now=now)
        for id_ in free:
            self.spoil(id_, phase=Phase.CANCELLED, owner=None, ended_by=request, finished_at=now)
        return [Cancelled(outcome=CancelOutcome.ENDED, head=rows[id_]) for id_ in ids]


class ForgetsWhoEnded(Broken):
    promise, fault = "CANCEL-6", "the same request does not know what it did"

    async def cancel(self, *, ids: Sequence[str], request: str, now: int) -> Sequence[Cancelled]:
        over = {id_ for id_ in ids if (row := self.tables().rows.get(id_)) and row.finished}
        answers = await super().cancel(ids=ids, request=request, now=now)
        return [
            replace(answer, outcome=CancelOutcome.FINISHED) if id_ in over else answer
            for id_, answer in zip(ids, answers, strict=True)
        ]


class ReapsTooEarly(Broken):
    promise, fault = "LEASE-1", "a lease that ends now has expired"

    async def reap(self, *, now: int, limit: int) -> Reaped:
        return await super().reap(now=now + 1, limit=limit)


class CountsNoCrash(Broken):
    promise, fault = "LEASE-2", "a death is not counted"

    async def reap(self, *, now: int, limit: int) -> Reaped:
        before = {id_: row.crashes for id_, row in self.tables().rows.items()}
        answer = await super().reap(now=now, limit=limit)
        for id_, crashes in before.items():
            self.spoil(id_, crashes=crashes)
        return answer


class BuriesTheExpired(Broken):
    promise, fault = "LEASE-6", "an expired lease cannot be renewed"

    async def heartbeat(
        self, *, executor: str, ttl: int, now: int, register: bool = False, info: bytes = b""
    ) -> Beat:
        lease = self.tables().leases.get(executor)
        if lease is not None and lease.expires_at < now:
            del self.tables().leases[executor]
        return await super().heartbeat(
            executor=executor, ttl=ttl, now=now, register=register, info=info
        )


class LooksThenReaps(Broken):
    promise, fault = "LEASE-7", "a reap looks first and frees later"

    async def reap(self, *, now: int, limit: int) -> Reaped:
        alive = self.tables().leases
        dead = [row for row in self.tables().rows.values() if row.owner and row.owner not in alive]
        await pause()
        for row in dead:
            self.spoil(row.id, owner=None, gen=row.gen + 1, crashes=row.crashes + 1, due=0)
        return Reaped(leases=0, rows=len(dead), more=False)


class ReapForgetsMarks(Broken):
    promise, fault = "LEASE-8", "a marked row of the dead goes on"

    async def reap(self, *, now: int, limit: int) -> Reaped:
        marked = [id_ for id_, row in self.tables().rows.items() if row.cancel_requested]
        for id_ in marked:
            self.spoil(id_, cancel_requested=False)
        answer = await super().reap(now=now, limit=limit)
        for id_ in marked:
            self.spoil(id_, cancel_requested=True)
        return answer


class TellsOnce(Broken):
    promise, fault = "LEASE-9", "an order is told once"

    async def heartbeat(self, **request: Any) -> Beat:
        beat = await super().heartbeat(**request)
        told: set[str] = getattr(self.tables(), "told", set())
        vars(self.tables())["told"] = told | {head.id for head in beat.orders}
        return replace(beat, orders=[head for head in beat.orders if head.id not in told])


class ReapsAll(Broken):
    promise, fault = "LEASE-10", "the limit of a reap is ignored"

    async def reap(self, *, now: int, limit: int) -> Reaped:
        return await super().reap(now=now, limit=1_000_000)


class NeverSignsOff(Broken):
    promise, fault = "LEASE-11", "a ttl of 0 is taken for a short one"

    async def heartbeat(
        self, *, executor: str, ttl: int, now: int, register: bool = False, info: bytes = b""
    ) -> Beat:
        return await super().heartbeat(
            executor=executor, ttl=max(ttl, 1), now=now, register=register, info=info
        )


class SilentPulse(Broken):
    promise, fault = "LEASE-12", "a pulse tells no orders"

    def pulse(self) -> PulseConnection:
        inner = super().pulse()

        class Silent:
            def beat(self, *, executor: str, ttl: int, now: int) -> Beat:
                return replace(inner.beat(executor=executor, ttl=ttl, now=now), orders=())

            def close(self) -> None:
                inner.close()

        return Silent()


class ForgetsInfo(Broken):
    promise, fault = "LEASE-13", "what an executor says of itself is lost"

    async def leases(self, *, limit: int, cursor: str | None = None) -> Page[Lease]:
        page = await super().leases(limit=limit, cursor=cursor)
        return replace(page, items=[replace(lease, info=b"") for lease in page.items])
