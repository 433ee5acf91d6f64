"""TIME: the caller's clock decides, exactly, in whatever direction it runs."""

import os
import time

from durable_core.storage import OnCancel, Phase, Query, Wake, WakeOutcome

from ..author import Author
from ..checking import promises
from ..families import family
from ..moves import children, finish, keep, new, release, sleeper
from ..stage import ANNA, BELA, HOUR, MINUTE, NOW, SECOND, Stage

_AGES = (10 * SECOND, 4_000_000_000 * SECOND, 1_000_000_000 * SECOND)
"""Seconds after the epoch, in 2096, and in 2001: in this order, so that time runs backwards."""


class TimeChecks(Author):
    """TIME-1 to TIME-5."""

    @promises("TIME-1")
    async def test_time_1_the_claims_now(self, stage: Stage) -> None:
        """What is due is a matter of the `now` given, in any age."""
        for age in _AGES:
            name = f"{age}"
            await stage.insert(
                new(f"past-{name}", due=age - 1),
                new(f"now-{name}", due=age),
                new(f"future-{name}", due=age + SECOND),
                new(f"held-{name}", due=age, owner=BELA),
                now=age,
            )
            claimed = await stage.claim(now=age)
            assert {row.id for row in claimed.records} == {f"past-{name}", f"now-{name}"}
            assert {row.started_at for row in claimed.records} == {age}
            claimed = await stage.claim(now=age + SECOND)
            assert {row.id for row in claimed.records} == {f"future-{name}"}
            assert (await stage.row(f"held-{name}")).created_at == age

    @promises("TIME-1")
    async def test_time_1_leases_messages_and_purges(self, stage: Stage) -> None:
        """Leases end, messages expire and rows age by the `now` given."""
        for turn, age in enumerate(_AGES):
            await stage.register(ANNA, ttl=MINUTE, now=age)
            row = await stage.hold(f"a{turn}", now=age)
            assert (await stage.reap(now=age + MINUTE)).rows == 0
            assert (await stage.reap(now=age + MINUTE + SECOND)).rows == 1
            item = Wake(task="work", wake_key="k", request=f"{turn}", keep_until=age + HOUR)
            (answer,) = await stage.storage.wake(items=[item], now=age)
            assert answer.outcome is WakeOutcome.KEPT
            (born,) = await stage.insert(sleeper(f"s{turn}", "k"), now=age + MINUTE)
            assert born.phase is Phase.COMPLETED
            await stage.applied(finish(await stage.take(row.id, now=age)), now=age)
            gone = await stage.storage.purge(finished_before=age + SECOND, now=age, limit=9)
            assert gone == 1, "of the two that finished here and now one is old enough"
            gone = await stage.storage.purge(finished_before=age + HOUR, now=age, limit=9)
            assert gone == 1

    @promises("TIME-1")
    async def test_time_1_whatever_the_time_zone(self, stage: Stage) -> None:
        """Moments around a change of summer time, on machines all over the world."""
        # 2023-03-26 01:00 UTC, the European change of that year.
        change = 1_679_792_400 * SECOND
        moments = [change + n * 30 * MINUTE + 1 for n in range(-3, 4)]
        kept = os.environ.get("TZ")
        try:
            for zone in ("Europe/Berlin", "Pacific/Kiritimati", "America/St_Johns"):
                os.environ["TZ"] = zone
                time.tzset()
                items = [new(f"{zone}{n}".replace("/", "."), due=n) for n in moments]
                rows = await stage.insert(*items, now=change)
                assert [row.due for row in await stage.rows(*[row.id for row in rows])] == moments
                for moment, row in zip(moments, rows, strict=True):
                    resolution = stage.storage.capabilities.resolution_us
                    assert list((await stage.claim(now=moment - 1)).records) == []
                    claimed = await stage.claim(now=moment + resolution)
                    assert [one.id for one in claimed.records] == [row.id]
        finally:
            os.environ.pop("TZ")
            if kept is not None:
                os.environ["TZ"] = kept
            time.tzset()

    @promises("TIME-2")
    async def test_time_2_never_early_and_not_late(self, stage: Stage) -> None:
        """Dues between two ticks of the declared resolution are rounded up, and stored exactly."""
        tick = stage.storage.capabilities.resolution_us
        parts = sorted({0, 1, tick // 3, tick // 2, max(tick - 1, 0), tick})
        for part in parts:
            due = NOW + part
            (row,) = await stage.insert(new(f"{part}", due=due), now=NOW - 7)
            assert (row.due, row.created_at) == (due, NOW - 7)
            assert await stage.row(row.id) == row, "stored to the microsecond"
            before = [NOW - tick, *(NOW + one for one in parts if one < part), due - 1]
            for now in before:
                assert list((await stage.claim(now=now)).records) == [], "claimed too early"
            rounded = -(-due // tick) * tick
            claimed = await stage.claim(now=rounded)
            assert [one.id for one in claimed.records] == [row.id], "due = now is due"

    @promises("TIME-2")
    async def test_time_2_exact_everywhere(self, stage: Stage) -> None:
        """Odd microseconds in every field that holds a time."""
        odd = NOW + 123_457
        row = await stage.hold("a", now=odd)
        assert (row.created_at, row.started_at) == (odd, odd)
        await stage.applied(release(row, due=odd + 1, checkpoints={"c": b""}), now=odd + 2)
        row = await stage.row("a")
        assert row.due == odd + 1
        (point,) = await stage.checkpoints("a")
        assert point.created_at == odd + 2
        row = await stage.take("a", now=odd + 3)
        assert row.started_at == odd + 3
        await stage.applied(finish(row), now=odd + 5)
        assert (await stage.row("a")).finished_at == odd + 5

    @promises("TIME-3")
    async def test_time_3_zero_is_always_due(self, stage: Stage) -> None:
        """For a clock that is decades behind."""
        await stage.insert(new("a", due=0), new("b", due=1))
        assert [row.id for row in (await stage.claim(now=0)).records] == ["a"]

    @promises("TIME-3")
    async def test_time_3_what_the_storage_makes_due(self, stage: Stage) -> None:
        """Joins, duties, deliveries and reaped rows: made due by a clock that is hours ahead."""
        ahead = NOW + 5 * HOUR
        ids = ["by-finish", "by-cancel", "by-wake"]
        kids = [(await family(stage, id_, 1))[1][0] for id_ in ids]
        await stage.applied(finish(await stage.take(kids[0].id)), now=ahead)
        await stage.storage.cancel(ids=[kids[1].id], request="r", now=ahead)
        await stage.storage.cancel(ids=[kids[2].id], request="r", now=ahead)
        released = await stage.hold("by-release")
        await stage.applied(release(released, Phase.WAITING_FOR_CHILDREN, ahead), now=ahead)
        duty = await stage.hold("duty")
        await stage.applied(keep(duty, children=children(duty, 1, due=None)))
        await stage.applied(finish(duty), now=ahead)
        await stage.insert(new("told", on_cancel=OnCancel.DELIVER, due=None))
        await stage.storage.cancel(ids=["told"], request="r", now=ahead)
        await stage.hold("reaped")
        await stage.reap(now=ahead)
        ids += ["by-release", "duty", "told", "reaped"]
        assert [(row.id, row.due) for row in await stage.rows(*ids)] == [(id_, 0) for id_ in ids]
        claimed = await stage.claim(now=NOW - 5 * HOUR)
        assert {row.id for row in claimed.records} == set(ids)

    @promises("TIME-4")
    async def test_time_4_a_clock_that_runs_backwards(self, stage: Stage) -> None:
        """Every method, each an hour before the one that came before it."""
        await stage.insert(new("soon", due=NOW + SECOND), new("early", due=NOW - 3 * HOUR))
        # Met while its time had come, but not taken, it waits for that time again.
        assert len((await stage.claim(limit=1, now=NOW + SECOND)).records) == 1
        assert list((await stage.claim(now=NOW - HOUR)).records) == []
        await stage.register(ANNA, ttl=HOUR, now=NOW - 2 * HOUR)
        row = await stage.row("early")
        await stage.applied(keep(row, checkpoints={"b": b""}), now=NOW - 2 * HOUR)
        await stage.applied(keep(row, checkpoints={"a": b""}), now=NOW - 3 * HOUR)
        assert [point.name for point in await stage.checkpoints("early")] == ["b", "a"]
        await stage.insert(new("older"), now=NOW - 4 * HOUR)
        assert await stage.ids(Query()) == ["older", "early", "soon"]
        assert (await stage.storage.heartbeat(executor=ANNA, ttl=HOUR, now=NOW - 5 * HOUR)).alive
        assert (await stage.reap(now=NOW - 6 * HOUR)).rows == 0
        await stage.applied(finish(row), now=NOW - 7 * HOUR)
        done = await stage.row("early")
        assert (done.phase, done.finished_at) == (Phase.COMPLETED, NOW - 7 * HOUR)
        (answer,) = await stage.storage.cancel(ids=["older"], request="r", now=NOW - 8 * HOUR)
        assert answer.head is not None
        assert answer.head.finished_at == NOW - 8 * HOUR
        claimed = await stage.claim(now=NOW + SECOND)
        assert [row.id for row in claimed.records] == ["soon"]

    @promises("TIME-5")
    async def test_time_5_the_clock(self, stage: Stage) -> None:
        """Microseconds, of our time, and the same from `clock` and from a beat."""
        before = await stage.storage.clock()
        beat = await stage.storage.heartbeat(executor=ANNA, ttl=HOUR, now=NOW, register=True)
        after = await stage.storage.clock()
        year = 365 * 24 * HOUR
        assert 50 * year < before < 150 * year, "not microseconds since 1970"
        assert abs(after - before) < HOUR
        assert abs(beat.clock - before) < HOUR
        assert isinstance(before, int)
        assert isinstance(beat.clock, int)
