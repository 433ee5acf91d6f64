"""LEASE: who is alive, what the dead held, and what the living are told."""

import asyncio
from dataclasses import replace
from functools import partial

from durable_core.storage import (
    ApplyOutcome,
    Beat,
    Head,
    Leases,
    OnCancel,
    Phase,
    Pulse,
    Query,
    Record,
)

from ..author import Author
from ..checking import promises
from ..families import WAITS, exact, family
from ..moves import children, finish, keep, new, release, sleeper
from ..stage import ANNA, BELA, HOUR, MINUTE, NOW, SECOND, Stage
from ..zoo import fill_zoo

_TTL = 10 * SECOND
_END = NOW + _TTL


async def beat(stage: Stage, executor: str = ANNA, *, ttl: int = _TTL, now: int = NOW) -> Beat:
    """Beat without registering."""
    return await stage.storage.heartbeat(executor=executor, ttl=ttl, now=now)


def reaped(row: Record) -> Record:
    """Return a row of the dead as a reap leaves it."""
    return replace(row, owner=None, gen=row.gen + 1, crashes=row.crashes + 1, due=0)


class LeaseChecks(Author):
    """LEASE-1 to LEASE-11."""

    @promises("LEASE-1")
    async def test_lease_1_renewed_in_time(self, stage: Stage) -> None:
        """Through many beats, to the last microsecond of the lease."""
        await stage.register(ANNA, ttl=_TTL)
        row = await stage.hold("a")
        now = NOW
        for _ in range(4):
            now += _TTL
            done = await stage.reap(now=now)
            assert (done.leases, done.rows, done.more) == (0, 0, False)
            assert (await beat(stage, now=now)).alive
        assert await stage.row("a") == row
        await stage.applied(finish(row), now=now)

    @promises("LEASE-1")
    async def test_lease_1_registered_again(self, stage: Stage) -> None:
        """Registering an executor that is registered renews it, too."""
        await stage.register(ANNA, ttl=_TTL)
        row = await stage.hold("a")
        await stage.register(ANNA, ttl=_TTL, now=_END)
        assert (await stage.reap(now=_END + _TTL)).rows == 0
        assert await stage.row("a") == row

    @promises("LEASE-2")
    async def test_lease_2_rows_of_the_dead(self, stage: Stage) -> None:
        """Held rows of every phase, duties included; the living keep theirs."""
        await stage.register(ANNA, ttl=_TTL)
        await stage.register(BELA, ttl=_TTL + MINUTE)
        # A duty first, while nothing else is due.
        parent = await stage.hold("duty")
        await stage.applied(keep(parent, children=children(parent, 1, due=None)))
        await stage.applied(finish(parent, output=b"o"))
        rows = [await stage.take_duty("duty")]
        await stage.insert(sleeper("asleep", "bell", due=NOW), new("nap", phase=Phase.SLEEPING))
        rows += [await stage.take("asleep"), await stage.take("nap")]
        for phase in WAITS:
            await family(stage, phase.value, 1, phase=phase)
            rows.append(await stage.take(phase.value))
        rows.append(await stage.hold("ready", state=b"s"))
        alive = await stage.hold("alive", owner=BELA)
        done = await stage.reap(now=_END + SECOND)
        assert (done.leases, done.rows, done.more) == (1, len(rows), False)
        assert await stage.rows(*[row.id for row in rows]) == [reaped(row) for row in rows]
        assert await stage.row("alive") == alive
        claimed = await stage.claim(executor=BELA)
        assert {row.id for row in rows} <= {row.id for row in claimed.records}
        assert (await stage.reap(now=_END + 2 * SECOND)).leases == 0

    @promises("LEASE-2")
    async def test_lease_2_crashes_add_up(self, stage: Stage) -> None:
        """Every death counts, a release does not."""
        row = await stage.hold("a")
        for crashes in range(3):
            assert row.crashes == crashes
            await stage.reap()
            row = await stage.take("a")
            await stage.applied(release(row))
            row = await stage.take("a")

    @promises("LEASE-3")
    async def test_lease_3_owners_without_a_lease(self, stage: Stage) -> None:
        """Never registered, and writing after the death: a claim, an insert, a child."""
        row = await stage.hold("never", owner="ghost")
        assert (await stage.reap()).rows == 1
        assert await stage.row("never") == reaped(row)
        await stage.register(ANNA, ttl=_TTL)
        await stage.register(BELA)
        assert (await stage.reap(now=_END + SECOND)).leases == 1
        # The lease is gone, and here are the late commits of its owner.
        rows = [await stage.take("never"), await stage.hold("late")]
        parent = await stage.hold("p", owner=BELA)
        await stage.applied(keep(parent, children=children(parent, 1, owner=ANNA)))
        rows.append(await stage.row("p.0"))
        assert [one.owner for one in rows] == [ANNA] * 3
        done = await stage.reap(now=_END + SECOND)
        assert (done.leases, done.rows) == (0, 3)
        assert await stage.rows("never", "late", "p.0") == [reaped(one) for one in rows]

    @promises("LEASE-4")
    async def test_lease_4_unheld_rows(self, stage: Stage) -> None:
        """A zoo of states: only what is held is touched."""
        await fill_zoo(stage)
        before = await stage.everything()
        assert (await stage.reap(now=NOW + HOUR)).rows == 3
        after = await stage.everything()
        changed = {id_ for id_, was in before.items() if after[id_] != was}
        assert changed == {"held", "marked", "held-duty"}

    @promises("LEASE-5")
    async def test_lease_5_dead_until_it_registers(self, stage: Stage) -> None:
        """A reaped executor and an unknown one beat in vain, and hold nothing by it."""
        await stage.register(ANNA, ttl=_TTL)
        await stage.reap(now=_END + SECOND)
        row = await stage.hold("a")
        for executor in (ANNA, "nobody"):
            for turn in range(3):
                answer = await beat(stage, executor, ttl=HOUR, now=_END + turn * SECOND)
                assert not answer.alive
        assert (await stage.reap(now=_END + SECOND)).rows == 1, "a vain beat made no lease"
        assert await stage.row("a") == reaped(row)
        await stage.register(ANNA, ttl=_TTL, now=_END)
        assert (await beat(stage, now=_END)).alive
        await stage.hold("b")
        assert (await stage.reap(now=_END + _TTL)).rows == 0

    @promises("LEASE-6")
    async def test_lease_6_expired_but_not_reaped(self, stage: Stage) -> None:
        """Nobody declared it dead, so it is alive."""
        await stage.register(ANNA, ttl=_TTL)
        row = await stage.hold("a")
        assert (await beat(stage, now=_END + HOUR)).alive
        done = await stage.reap(now=_END + HOUR + _TTL)
        assert (done.leases, done.rows) == (0, 0)
        assert await stage.row("a") == row

    @promises("LEASE-7")
    async def test_lease_7_apply_against_reap(self, stage: Stage) -> None:
        """Children end while they are reaped: each is finished or claimable, and counted so."""
        first, second = await stage.handles(2)
        for turn in range(10):
            _, kids = await family(stage, f"p{turn}", 6, held=True)
            items = [finish(kid) for kid in kids]
            answers, done = await stage.duel(
                partial(first.apply, items=items, now=NOW),
                partial(second.reap, now=NOW, limit=100),
            )
            rows = await stage.rows(*[kid.id for kid in kids])
            applied = 0
            for kid, row, answer in zip(kids, rows, answers, strict=True):
                if answer.outcome is ApplyOutcome.APPLIED:
                    applied += 1
                    assert (row.phase, row.gen) == (Phase.COMPLETED, kid.gen)
                else:
                    assert answer.outcome is ApplyOutcome.SUPERSEDED
                    assert row == reaped(kid)
            assert applied + done.rows == len(kids)
            parent = await exact(stage, f"p{turn}")
            assert parent.due == (0 if applied == len(kids) else None)

    @promises("LEASE-8")
    async def test_lease_8_marked_rows_of_the_dead(self, stage: Stage) -> None:
        """To be ended: cancelled, its parent counted; to be told: marked still, and due."""
        await family(stage, "p", 1, held=True)
        told = await stage.hold("told", on_cancel=OnCancel.DELIVER)
        busy = await stage.hold("busy")
        await stage.applied(keep(busy, children=children(busy, 1, due=None)))
        await stage.storage.cancel(ids=["p.0", "told", "busy"], request="r", now=NOW)
        assert (await stage.reap(now=NOW + SECOND)).rows == 3
        ended, busy, told_now = await stage.rows("p.0", "busy", "told")
        assert (ended.phase, ended.owner, ended.due) == (Phase.CANCELLED, None, None)
        assert (ended.gen, ended.finished_at) == (2, NOW + SECOND)
        assert (busy.phase, busy.owner, busy.due) == (Phase.CANCELLED, None, 0)
        assert told_now == reaped(replace(told, cancel_requested=True))
        parent = await exact(stage, "p")
        assert (parent.pending, parent.due) == (0, 0)

    @promises("LEASE-8")
    async def test_lease_8_a_marked_row_that_is_finished(self, stage: Stage) -> None:
        """A duty whose row was marked once stays what it is."""
        row = await stage.hold("a")
        await stage.applied(keep(row, children=children(row, 1, due=None)))
        await stage.storage.cancel(ids=["a"], request="r", now=NOW)
        await stage.applied(finish(row, output=b"o"))
        duty = await stage.take_duty("a")
        await stage.reap()
        assert await stage.row("a") == reaped(duty)

    @promises("LEASE-9")
    async def test_lease_9_orders(self, stage: Stage) -> None:
        """In every beat until the row is released; never another's, never a finished row."""
        await stage.register(ANNA)
        await stage.register(BELA)
        rows = {name: await stage.hold(name, on_cancel=OnCancel.DELIVER) for name in "abc"}
        await stage.hold("d", owner=BELA)
        assert list((await beat(stage)).orders) == []
        await stage.storage.cancel(ids=["a", "b", "d"], request="r", now=NOW)
        for _ in range(3):
            answer = await beat(stage)
            expected: list[Head | None] = list(
                await stage.storage.get(ids=["a", "b"], payload=False)
            )
            assert sorted(answer.orders, key=lambda head: head.id) == expected
            assert not answer.more_orders
        await stage.applied(keep(rows["a"], cancel_seen=True))
        assert {head.id for head in (await beat(stage)).orders} == {"a", "b"}
        await stage.applied(release(rows["a"], cancel_seen=True), finish(rows["b"]))
        assert list((await beat(stage)).orders) == []
        # Claimed again with its mark, it is an order again.
        await stage.take("a")
        assert [head.id for head in (await beat(stage)).orders] == ["a"]
        await stage.applied(finish(await stage.row("a")))
        assert [head.id for head in (await beat(stage, BELA)).orders] == ["d"]

    @promises("LEASE-9")
    async def test_lease_9_at_most_500(self, stage: Stage) -> None:
        """More orders than a beat may carry are announced, and come when there is room."""
        await stage.register(ANNA)
        rows = await stage.insert(*[new(f"{n}", owner=ANNA) for n in range(520)])
        for batch in stage.in_batches(rows):
            await stage.storage.cancel(ids=[row.id for row in batch], request="r", now=NOW)
        answer = await beat(stage)
        assert 0 < len(answer.orders) <= 500
        assert answer.more_orders
        seen = {head.id for head in answer.orders}
        gone = [row for row in rows if row.id in seen]
        for batch in stage.in_batches(gone):
            await stage.applied(*[finish(row) for row in batch])
        answer = await beat(stage)
        assert {head.id for head in answer.orders} == {row.id for row in rows} - seen
        assert not answer.more_orders

    @promises("LEASE-10")
    async def test_lease_10_limit(self, stage: Stage) -> None:
        """Several dead, one alive: so many rows a call, until no more are left."""
        await stage.register(BELA)
        rows = await stage.insert(*[new(f"d{n}", owner=f"dead-{n % 3}") for n in range(10)])
        alive = await stage.insert(*[new(f"a{n}", owner=BELA) for n in range(10)])
        sizes: list[int] = []
        more = True
        while more:
            done = await stage.reap(limit=4)
            sizes.append(done.rows)
            more = done.more
            assert len(sizes) < 10
            left = await stage.find(Query())
            assert sum(row.crashes for row in left) == sum(sizes)
            assert more is (sum(sizes) < 10)
        assert max(sizes) <= 4
        assert sum(sizes) == len(rows)
        assert await stage.rows(*[row.id for row in alive]) == alive
        done = await stage.reap(limit=4)
        assert (done.rows, done.more) == (0, False)

    @promises("LEASE-11")
    async def test_lease_11_signing_off(self, stage: Stage) -> None:
        """With a ttl of 0 or less; without having registered, too."""
        for ttl in (0, -1):
            await stage.register(ANNA)
            row = await stage.hold(f"a{ttl}")
            handed_back = await stage.hold(f"b{ttl}")
            await stage.applied(release(handed_back))
            await beat(stage, ttl=ttl)
            assert not (await beat(stage)).alive
            done = await stage.reap()
            assert done.rows == 1
            assert await stage.row(row.id) == reaped(row)
            assert (await stage.row(handed_back.id)).crashes == 0
            await beat(stage, "never-registered", ttl=ttl)


class LeaseMoreChecks(Author):
    """LEASE-12 and LEASE-13."""

    @promises("LEASE-12")
    async def test_lease_12_pulse(self, stage: Stage) -> None:
        """From a thread: alive or not, the lease renewed, orders told."""
        storage = stage.storage
        assert isinstance(storage, Pulse), "`pulse` is declared, but there is no method of it"
        await stage.register(ANNA, ttl=_TTL)
        row = await stage.hold("a")
        await stage.storage.cancel(ids=["a"], request="r", now=NOW)
        beats: list[Beat] = []

        def run() -> None:
            connection = storage.pulse()
            beats.append(connection.beat(executor=ANNA, ttl=HOUR, now=NOW + SECOND))
            beats.append(connection.beat(executor="nobody", ttl=HOUR, now=NOW))
            connection.close()
            connection.close()

        await asyncio.to_thread(run)
        asked = await beat(stage, ttl=HOUR, now=NOW + SECOND)
        assert [one.alive for one in beats] == [True, False]
        assert list(beats[0].orders) == list(asked.orders)
        assert abs(beats[0].clock - asked.clock) < MINUTE
        assert (await stage.reap(now=NOW + HOUR)).rows == 0
        await stage.reap(now=NOW + 2 * HOUR)
        beats.clear()
        await asyncio.to_thread(run)
        assert not beats[0].alive, "reaped, and a pulse does not raise the dead"
        assert (await stage.row("a")).gen == row.gen + 1

    @promises("LEASE-13")
    async def test_lease_13_listed(self, stage: Stage) -> None:
        """By executor, across pages, with what they said of themselves."""
        storage = stage.storage
        assert isinstance(storage, Leases), "`leases` is declared, but there is no method of it"
        names = [f"executor-{n}" for n in range(7)]
        for name in stage.random.sample(names, len(names)):
            await storage.heartbeat(
                executor=name, ttl=_TTL, now=NOW, register=True, info=name.encode() + b"\0"
            )
        await beat(stage, names[3], ttl=HOUR, now=NOW + SECOND)
        await beat(stage, names[5], ttl=0)
        listed = list((await storage.leases(limit=3)).items)
        page = await storage.leases(limit=3)
        while page.cursor is not None:
            page = await storage.leases(limit=3, cursor=page.cursor)
            listed.extend(page.items)
        del names[5]
        assert [one.executor for one in listed] == names
        assert [one.info for one in listed] == [name.encode() + b"\0" for name in names]
        assert {one.started_at for one in listed} == {NOW}
        ends = {one.executor: one.expires_at for one in listed}
        assert ends.pop(names[3]) == NOW + SECOND + HOUR
        assert set(ends.values()) == {_END}
        await stage.reap(now=_END + SECOND)
        left = (await storage.leases(limit=10)).items
        assert [one.executor for one in left] == [names[3]]
