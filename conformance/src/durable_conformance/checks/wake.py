"""WAKE: sleepers ended from outside, and messages that wait for their sleeper."""

from dataclasses import replace
from functools import partial
from typing import Any

from durable_core.storage import (
    InsertOutcome,
    Phase,
    Record,
    Wake,
    WakeOutcome,
    Woken,
)

from ..author import Author
from ..checking import promises
from ..families import exact
from ..moves import finish, keep, sleeper, sleeping_child, wait
from ..stage import BELA, HOUR, MINUTE, NOW, Stage

_ROUNDS = 25


def message(request: str, *, wake_key: str | None = "bell", **fields: Any) -> Wake:
    """Return a wake-up by key; kept for an hour if nobody sleeps there yet."""
    values: dict[str, Any] = {"task": "work", "keep_until": NOW + HOUR, **fields}
    return Wake(wake_key=wake_key, request=request, **values)


async def wake(stage: Stage, *items: Wake, now: int = NOW) -> list[Woken]:
    """Send wake-ups in one call."""
    answers = await stage.storage.wake(items=items, now=now)
    assert len(answers) == len(items)
    return list(answers)


async def asleep(stage: Stage, execution_id: str, wake_key: str = "bell", **fields: Any) -> Record:
    """Insert a sleeper, and return it as it was born."""
    (row,) = await stage.insert(sleeper(execution_id, wake_key, **fields))
    return row


def said(answers: list[Woken]) -> list[tuple[WakeOutcome, str | None, str | None]]:
    """Return what must be the same when a request is sent again; `woken` is but a hint."""
    return [(answer.outcome, answer.id, answer.first) for answer in answers]


def winners(items: list[Wake], answers: list[Woken], outcome: WakeOutcome) -> list[str]:
    """Return the requests that were answered so."""
    pairs = zip(items, answers, strict=True)
    return [item.request for item, answer in pairs if answer.outcome is outcome]


class WakeChecks(Author):
    """WAKE-1 to WAKE-8."""

    @promises("WAKE-1")
    async def test_wake_1_ends_the_sleeper(self, stage: Stage) -> None:
        """By key and by id, completed and failed, with a payload, an empty one and none."""
        cases: list[tuple[Phase, bytes | None, bool]] = [
            (phase, payload, by_id)
            for phase in (Phase.COMPLETED, Phase.FAILED)
            for payload in (b"p", b"", None)
            for by_id in (False, True)
        ]
        for number, (phase, payload, by_id) in enumerate(cases):
            name, key = f"s{number}", f"key {number}"
            born = await asleep(stage, name, key, due=NOW + HOUR, state=b"s")
            target: dict[str, Any] = {"id": name, "wake_key": None} if by_id else {"wake_key": key}
            item = message(f"r{number}", phase=phase, payload=payload, **target)
            (answer,) = await wake(stage, item, now=NOW + MINUTE)
            assert said([answer]) == [(WakeOutcome.WOKEN, name, None)]
            completed = phase is Phase.COMPLETED
            assert await stage.row(name) == replace(
                born,
                phase=phase,
                due=None,
                output=payload if completed else None,
                error=None if completed else payload,
                ended_by=f"r{number}",
                finished_at=NOW + MINUTE,
            )

    @promises("WAKE-1")
    async def test_wake_1_only_its_own(self, stage: Stage) -> None:
        """Other keys, other tasks, and ids of another task or of no sleeper are left alone."""
        await asleep(stage, "a", "one")
        await asleep(stage, "b", "two", task="other")
        await stage.hold("c")
        before = await stage.everything()
        answers = await wake(
            stage,
            message("r1", wake_key="two", keep_until=None),
            message("r2", wake_key="one", task="other", keep_until=None),
            message("r3", wake_key=None, id="b", keep_until=None),
            message("r4", wake_key=None, id="c", keep_until=None),
            message("r5", wake_key=None, id="nobody", keep_until=None),
        )
        assert {answer.outcome for answer in answers} == {WakeOutcome.NOBODY}
        assert await stage.everything() == before

    @promises("WAKE-1")
    async def test_wake_1_counts_at_the_parent(self, stage: Stage) -> None:
        """Several sleepers in one call, of one parent; it goes on with the last."""
        parent = await stage.hold("p")
        kids = [sleeping_child(parent, n, f"key {n}") for n in range(5)]
        await stage.applied(wait(parent, children=kids))
        await wake(stage, *[message(f"r{n}", wake_key=f"key {n}") for n in range(4)])
        after = await exact(stage, "p")
        assert (after.pending, after.due) == (1, None)
        await wake(stage, message("last", wake_key=None, id="p.4"))
        after = await exact(stage, "p")
        assert (after.pending, after.due) == (0, 0)

    @promises("WAKE-2")
    async def test_wake_2_a_kept_message(self, stage: Stage) -> None:
        """The next sleeper is born finished, the one after it sleeps."""
        for phase, key in ((Phase.COMPLETED, "one"), (Phase.FAILED, "two")):
            item = message(f"r-{key}", wake_key=key, phase=phase, payload=b"p")
            (answer,) = await wake(stage, item)
            assert answer.outcome is WakeOutcome.KEPT
            born = sleeper(f"first-{key}", key, due=NOW + HOUR)
            (inserted,) = await stage.storage.insert(items=[born], now=NOW + 1)
            assert inserted.outcome is InsertOutcome.CREATED
            row = inserted.record
            assert (row.phase, row.due, row.owner) == (phase, None, None)
            completed = phase is Phase.COMPLETED
            assert (row.output, row.error) == ((b"p", None) if completed else (None, b"p"))
            assert (row.ended_by, row.finished_at) == (f"r-{key}", NOW + 1)
            assert await stage.row(row.id) == row
            second = await asleep(stage, f"second-{key}", key)
            assert second.phase is Phase.SLEEPING, "a message is delivered once"

    @promises("WAKE-2")
    async def test_wake_2_for_a_child(self, stage: Stage) -> None:
        """A child that is born finished is not counted; its sibling of that key sleeps."""
        await wake(stage, message("r", payload=b"p"))
        parent = await stage.hold("p")
        await stage.applied(keep(parent, children=[sleeping_child(parent, 0, "bell")]))
        assert (await exact(stage, "p")).pending == 0
        assert (await stage.row("p.0")).output == b"p"
        await stage.applied(keep(parent, children=[sleeping_child(parent, 1, "bell")]))
        assert (await exact(stage, "p")).pending == 1

    @promises("WAKE-2")
    async def test_wake_2_two_sleepers_in_one_batch(self, stage: Stage) -> None:
        """The first gets the message; the second sleeps."""
        await wake(stage, message("r"))
        rows = await stage.insert(sleeper("a", "bell"), sleeper("b", "bell"))
        assert [row.phase for row in rows] == [Phase.COMPLETED, Phase.SLEEPING]

    @promises("WAKE-3")
    async def test_wake_3_never_miss_each_other(self, stage: Stage) -> None:
        """A wake-up from one handle, its sleeper from another, as root and as child."""
        first, second = await stage.handles(2)
        parent = await stage.hold("p")

        async def send(item: Wake) -> None:
            await first.wake(items=[item], now=NOW)

        async def insert(number: int) -> None:
            await second.insert(items=[sleeper(f"s{number}", f"root {number}")], now=NOW)

        async def spawn(number: int) -> None:
            kid = sleeping_child(parent, number, f"child {number}")
            await second.apply(items=[keep(parent, children=[kid])], now=NOW)

        for turn in range(_ROUNDS):
            await stage.race(
                partial(send, message(f"root-{turn}", wake_key=f"root {turn}", payload=b"p")),
                partial(insert, turn),
            )
            await stage.race(
                partial(send, message(f"child-{turn}", wake_key=f"child {turn}", payload=b"p")),
                partial(spawn, turn),
            )
            for row in await stage.rows(f"s{turn}", f"p.{turn}"):
                assert row.phase is Phase.COMPLETED, "kept and asleep: they missed each other"
                assert row.output == b"p"
        assert (await exact(stage, "p")).pending == 0

    @promises("WAKE-4")
    async def test_wake_4_one_winner(self, stage: Stage) -> None:
        """Many wake-ups at once: with a sleeper and without, kept and not kept."""
        handles = await stage.handles(3)

        async def send(number: int, item: Wake) -> Woken:
            (answer,) = await handles[number % 3].wake(items=[item], now=NOW)
            return answer

        for turn in range(10):
            for sleeps, kept in ((True, True), (True, False), (False, True)):
                key = f"{turn} {sleeps} {kept}"
                if sleeps:
                    await asleep(stage, f"{turn}-{kept}", key)
                until = NOW + HOUR if kept else None
                items = [
                    message(f"{turn}-{sleeps}-{kept}-{n}", wake_key=key, keep_until=until)
                    for n in range(6)
                ]
                answers = await stage.race(*(partial(send, n, one) for n, one in enumerate(items)))
                by = {outcome: winners(items, answers, outcome) for outcome in WakeOutcome}
                assert len(by[WakeOutcome.WOKEN]) == int(sleeps)
                assert len(by[WakeOutcome.KEPT]) == int(kept)
                assert not by[WakeOutcome.LATE]
                for answer in answers:
                    if answer.outcome is WakeOutcome.ALREADY_KEPT:
                        assert [answer.first] == by[WakeOutcome.KEPT]
                    if answer.outcome is WakeOutcome.NOBODY:
                        assert [answer.first] == by[WakeOutcome.WOKEN]
                        assert answer.id == f"{turn}-{kept}"
                if sleeps:
                    row = await stage.row(f"{turn}-{kept}")
                    assert [row.ended_by] == by[WakeOutcome.WOKEN]

    @promises("WAKE-5")
    async def test_wake_5_late(self, stage: Stage) -> None:
        """The time-out was claimed: by key and by id `LATE`, and nothing is kept."""
        await asleep(stage, "s", due=NOW)
        row = await stage.take("s")
        answers = await wake(stage, message("r1"), message("r2", wake_key=None, id="s"))
        assert said(answers) == [(WakeOutcome.LATE, "s", None)] * 2
        assert await stage.row("s") == row
        await stage.applied(finish(row, Phase.TIMED_OUT))
        assert (await asleep(stage, "next")).phase is Phase.SLEEPING, "nothing was kept"

    @promises("WAKE-6")
    async def test_wake_6_until_when(self, stage: Stage) -> None:
        """Delivered up to the moment before, not at `keep_until`, nor after."""
        until = NOW + HOUR
        for when, delivered in ((until - 1_000_000, True), (until, False), (until + HOUR, False)):
            key = f"{when}"
            (answer,) = await wake(stage, message(f"r{when}", wake_key=key, keep_until=until))
            assert answer.outcome is WakeOutcome.KEPT
            items = [sleeper(f"s{when}", key)]
            (born,) = await stage.storage.insert(items=items, now=when)
            assert born.record.finished is delivered
        (answer,) = await wake(stage, message("kept", wake_key="k", keep_until=until))
        late = message("late", wake_key="k", keep_until=until + HOUR)
        (answer,) = await wake(stage, late, now=until)
        assert answer.outcome is WakeOutcome.KEPT, "an expired message makes room"

    @promises("WAKE-6")
    async def test_wake_6_not_kept(self, stage: Stage) -> None:
        """Without `keep_until`, with one that is past, and by id."""
        row = await asleep(stage, "s", "used")
        await wake(stage, message("first", wake_key="used"))
        answers = await wake(
            stage,
            message("r1", wake_key="a", keep_until=None),
            message("r2", wake_key="a", keep_until=NOW),
            message("r3", wake_key="a", keep_until=NOW - 1),
            message("r4", wake_key=None, id="nobody"),
            message("r5", wake_key=None, id=row.id),
            message("r6", wake_key="used", keep_until=None),
        )
        nobody = WakeOutcome.NOBODY
        assert said(answers) == [
            *[(nobody, None, None)] * 4,
            (nobody, "s", "first"),
            (nobody, "s", "first"),
        ]
        assert (await asleep(stage, "next", "a")).phase is Phase.SLEEPING
        assert (await asleep(stage, "again", "used")).phase is Phase.SLEEPING

    @promises("WAKE-7")
    async def test_wake_7_a_key_is_free_again(self, stage: Stage) -> None:
        """After a wake-up, a time-out, a cancellation and a reap with a mark."""
        await asleep(stage, "woken")
        await wake(stage, message("r"))
        await asleep(stage, "timed-out", due=NOW)
        row = await stage.take("timed-out")
        (taken,) = await stage.storage.insert(items=[sleeper("x", "bell")], now=NOW)
        assert taken.outcome is InsertOutcome.EXISTING_WAKE_KEY, "held is not over"
        await stage.applied(finish(row, Phase.TIMED_OUT))
        await asleep(stage, "cancelled")
        await stage.storage.cancel(ids=["cancelled"], request="r", now=NOW)
        await asleep(stage, "reaped", due=NOW)
        await stage.take("reaped", executor=BELA)
        await stage.storage.cancel(ids=["reaped"], request="r", now=NOW)
        await stage.reap()
        await asleep(stage, "last")
        answers = await wake(stage, message("end", payload=b"p"))
        assert said(answers) == [(WakeOutcome.WOKEN, "last", None)]
        phases = [row.phase for row in await stage.rows("woken", "timed-out", "cancelled", "last")]
        assert phases == [Phase.COMPLETED, Phase.TIMED_OUT, Phase.CANCELLED, Phase.COMPLETED]

    @promises("WAKE-7")
    async def test_wake_7_keys_of_other_tasks(self, stage: Stage) -> None:
        """One key in two tasks: two sleepers, two messages."""
        await asleep(stage, "a")
        await asleep(stage, "b", task="other")
        answers = await wake(stage, message("r1", task="other"), message("r2"))
        assert [answer.id for answer in answers] == ["b", "a"]
        answers = await wake(stage, message("r3", payload=b"3"), message("r4", task="other"))
        assert {answer.outcome for answer in answers} == {WakeOutcome.KEPT}
        assert (await asleep(stage, "c")).output == b"3"

    @promises("WAKE-8")
    async def test_wake_8_the_same_answer(self, stage: Stage) -> None:
        """Every answer, sent again after the world went on: the same, without a second effect."""
        await asleep(stage, "s", "woken", due=NOW + HOUR)
        await asleep(stage, "d", "late", due=NOW)
        held = await stage.take("d")
        await wake(stage, message("before", wake_key="already kept"))
        items = [
            message("r1", wake_key="woken", payload=b"1"),
            message("r2", wake_key="kept", payload=b"2"),
            message("r3", wake_key="already kept", payload=b"3"),
            message("r4", wake_key="late", payload=b"4"),
            message("r5", wake_key="nobody", payload=b"5", keep_until=None),
        ]
        answers = await wake(stage, *items)
        outcome = WakeOutcome
        assert [answer.outcome for answer in answers] == [
            outcome.WOKEN, outcome.KEPT, outcome.ALREADY_KEPT, outcome.LATE, outcome.NOBODY,
        ]  # fmt: skip
        assert said(await wake(stage, *items)) == said(answers)
        # The world goes on: the key is used again, messages are delivered, time-outs end.
        await asleep(stage, "s2", "woken")
        assert (await asleep(stage, "k", "kept")).output == b"2"
        await asleep(stage, "a", "already kept")
        await stage.applied(finish(held, Phase.TIMED_OUT))
        await asleep(stage, "n", "nobody")
        before = await stage.everything()
        assert said(await wake(stage, *items, now=NOW + 1)) == said(answers)
        assert await stage.everything() == before, "sent again, but with an effect"
        for key in ("kept", "already kept", "late"):
            row = await asleep(stage, f"next-{key[:4]}", key)
            assert row.phase is Phase.SLEEPING, f"{key}: sent again and kept"

    @promises("WAKE-8")
    async def test_wake_8_by_id_and_in_one_batch(self, stage: Stage) -> None:
        """The same request twice in one call, and by id, with its parent counted once."""
        parent = await stage.hold("p")
        kids = [sleeping_child(parent, 0, "a"), sleeping_child(parent, 1, "b")]
        await stage.applied(keep(parent, children=kids))
        item = message("r1", wake_key=None, id="p.0", payload=b"1")
        answers = await wake(stage, item, item)
        assert said(answers) == [(WakeOutcome.WOKEN, "p.0", None)] * 2
        assert (await exact(stage, "p")).pending == 1
        item = message("r2", wake_key="b", payload=b"2")
        answers = await wake(stage, item, item)
        assert said(answers) == [(WakeOutcome.WOKEN, "p.1", None)] * 2
        assert (await exact(stage, "p")).pending == 0
        assert (await asleep(stage, "next", "b")).phase is Phase.SLEEPING

    @promises("WAKE-8")
    async def test_wake_8_twice_at_the_same_time(self, stage: Stage) -> None:
        """One request from two handles at once: one answer, one effect."""
        handles = await stage.handles(2)
        for turn in range(8):
            for sleeps in (True, False):
                key = f"{turn} {sleeps}"
                if sleeps:
                    await asleep(stage, f"s{turn}", key)
                item = message(f"{turn}-{sleeps}", wake_key=key)
                answers = await stage.race(
                    *(partial(at.wake, items=[item], now=NOW) for at in handles)
                )
                assert said(list(answers[0])) == said(list(answers[1]))
                rows = [await asleep(stage, f"{turn}-{sleeps}-{n}", key) for n in range(2 - sleeps)]
                assert rows[-1].phase is Phase.SLEEPING, "one message, kept twice"
