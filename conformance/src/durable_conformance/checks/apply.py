"""APPLY-1 to APPLY-4: what a transition writes, for whom, and how wholly."""

import asyncio
from dataclasses import replace
from functools import partial
from typing import Any

from durable_core.storage import (
    UNFINISHED,
    ApplyOutcome,
    OnCancel,
    Phase,
    Query,
    Record,
    Token,
    Transition,
)

from ..author import Author
from ..checking import promises
from ..moves import child, children, finish, keep, new, release, settle, sleeper, wait
from ..promises import Hook, Level
from ..stage import ANNA, BELA, HOUR, NOW, SECOND, Stage

_LATER = NOW + SECOND
_VALUES: dict[str, Any] = {
    "state": b"state",
    "attempt": 3,
    "join_at": 2,
    "priority": -1000,
    "output": b"out",
    "error": b"err",
}


class ApplyChecks(Author):
    """APPLY-1 to APPLY-4."""

    @promises("APPLY-1")
    async def test_apply_1_values(self, stage: Stage) -> None:
        """Each value by itself, all together, and None where it is a value."""
        row = await stage.hold("a", on_cancel=OnCancel.DELIVER, group="g", state=b"old")
        for name, value in _VALUES.items():
            await stage.applied(keep(row, **{name: value}), now=_LATER)
            row = replace(row, **{name: value})
            assert await stage.row("a") == row, f"only {name} changes"
        for name in ("state", "output", "error"):
            await stage.applied(keep(row, **{name: None}))
            nothing: dict[str, Any] = {name: None}
            row = replace(row, **nothing)
            assert await stage.row("a") == row, f"only {name} changes"
        everything = {**_VALUES, "attempt": 0, "join_at": -1, "state": b""}
        await stage.applied(keep(row, **everything))
        assert await stage.row("a") == replace(row, **everything)

    @promises("APPLY-1")
    async def test_apply_1_crashes_are_forgotten_on_request(self, stage: Stage) -> None:
        """`reset_crashes` by keep and release; without it the count stays."""
        await stage.hold("a")
        await stage.reap()
        row = await stage.take("a")
        assert row.crashes == 1
        await stage.applied(keep(row, attempt=1))
        assert (await stage.row("a")).crashes == 1
        await stage.applied(keep(row, reset_crashes=True))
        assert await stage.row("a") == replace(row, attempt=1, crashes=0)
        await stage.reap()
        row = await stage.take("a")
        await stage.applied(release(row, reset_crashes=True))
        assert (await stage.row("a")).crashes == 0

    @promises("APPLY-1")
    async def test_apply_1_release(self, stage: Stage) -> None:
        """Into every unfinished phase, with a due and without."""
        for phase in sorted(UNFINISHED):
            for due in (None, 0, NOW, NOW + HOUR):
                row = await stage.hold(f"{phase}-{due}", priority=1)
                item = release(row, phase, due, join_at=-1, state=b"s", priority=4)
                await stage.applied(item, now=_LATER)
                expected = replace(
                    row, owner=None, phase=phase, due=due, join_at=-1, state=b"s", priority=4
                )
                assert await stage.row(row.id) == expected

    @promises("APPLY-1")
    async def test_apply_1_finish_and_settle(self, stage: Stage) -> None:
        """Into every final phase; then a duty, put off and done."""
        for phase in sorted(set(Phase) - UNFINISHED):
            row = await stage.hold(phase.value, state=b"s")
            await stage.applied(finish(row, phase, output=b"o", error=b"e", attempt=7), now=_LATER)
            expected = replace(
                row, owner=None, phase=phase, output=b"o", error=b"e", attempt=7,
                ended_by=str(row.token), finished_at=_LATER,
            )  # fmt: skip
            assert await stage.row(row.id) == expected
        parent = await stage.hold("p")
        await stage.applied(keep(parent, children=children(parent, 1, due=None)))
        await stage.applied(finish(parent))
        for due in (NOW, None):
            duty = await stage.take_duty("p", executor=BELA)
            await stage.applied(settle(duty, due), now=_LATER)
            assert await stage.row("p") == replace(duty, owner=None, due=due)

    @promises("APPLY-2")
    async def test_apply_2_wrong_tokens(self, stage: Stage) -> None:
        """Another owner, an older and a younger gen, by every kind, on a row of a family."""
        parent = await stage.hold("p")
        await stage.applied(wait(parent, children=children(parent, 1)))
        first = await stage.take("p.0")
        await stage.applied(release(first))
        row = await stage.take("p.0")
        assert row.gen == 2
        before = await stage.everything()
        values: dict[str, Any] = {"state": b"x", "checkpoints": {"step": b"x"}}
        for token in (
            Token(BELA, row.gen),
            Token(ANNA, row.gen - 1),
            Token(ANNA, row.gen + 1),
            Token(BELA, row.gen - 1),
        ):
            items: list[Transition] = [
                keep(row, children=children(row, 2), cancel_seen=True, **values),
                release(row, children=children(row, 2), cancel_seen=True, **values),
                finish(row, output=b"x", **values),
                settle(row),
            ]
            for item in items:
                outcome = await stage.outcome(replace(item, token=token))
                assert outcome is ApplyOutcome.SUPERSEDED, f"{token} does not hold {row.token}"
                assert await stage.everything() == before, "a wrong token changes nothing"

    @promises("APPLY-2")
    async def test_apply_2_of_rows_that_are_over(self, stage: Stage) -> None:
        """A released, a finished and a duty row under tokens that never held them."""
        released = await stage.hold("released")
        await stage.applied(release(released, due=NOW + HOUR))
        finished = await stage.hold("finished")
        await stage.applied(finish(finished, output=b"o"))
        parent = await stage.hold("duty")
        await stage.applied(keep(parent, children=children(parent, 1, due=NOW + HOUR)))
        await stage.applied(finish(parent, output=b"o"))
        duty = await stage.take_duty("duty")
        before = await stage.everything()
        for row in (released, finished, duty):
            for token in (Token(BELA, row.gen), Token(ANNA, row.gen + 1), Token(BELA, 99)):
                for item in (finish(row, output=b"x"), release(row), keep(row), settle(row)):
                    outcome = await stage.outcome(replace(item, token=token))
                    assert outcome is not ApplyOutcome.APPLIED
        assert await stage.everything() == before

    @promises("APPLY-3")
    async def test_apply_3_every_answer_in_one_batch(self, stage: Stage) -> None:
        """All outcomes in random order: each neighbour gets its own."""
        outcome = ApplyOutcome
        good = [await stage.hold(f"good-{n}") for n in range(3)]
        marked = await stage.hold("marked")
        await stage.storage.cancel(ids=["marked"], request="r", now=NOW)
        conflict = await stage.hold("conflict")
        again = await stage.hold("again")
        await stage.applied(release(again, due=NOW + HOUR))
        lost = await stage.hold("lost", owner=BELA)
        unfit = await stage.hold("unfit")
        cases: list[tuple[Transition, ApplyOutcome]] = [
            (finish(good[0], output=b"0"), outcome.APPLIED),
            (replace(finish(good[0]), id="nobody"), outcome.MISSING),
            (release(good[1], due=NOW + HOUR), outcome.APPLIED),
            (keep(marked), outcome.CANCEL_REQUESTED),
            (keep(conflict, children=[child(conflict, 0, id="again")]), outcome.CHILD_CONFLICT),
            (release(again, due=NOW + HOUR), outcome.ALREADY),
            (replace(finish(lost), token=Token(ANNA, 1)), outcome.SUPERSEDED),
            (settle(unfit), outcome.SUPERSEDED),
            (keep(good[2], state=b"2"), outcome.APPLIED),
        ]
        stage.random.shuffle(cases)
        answers = await stage.apply(*[item for item, _ in cases])
        assert [answer.outcome for answer in answers] == [expected for _, expected in cases]
        for (item, _), answer in zip(cases, answers, strict=True):
            if answer.outcome not in {outcome.APPLIED, outcome.MISSING}:
                (head,) = await stage.storage.get(ids=[item.id], payload=False)
                assert answer.head == head, "a refusal carries the head as it stands"
        rows = await stage.rows("good-0", "good-1", "good-2")
        assert [row.output for row in rows] == [b"0", None, None]
        assert [row.owner for row in rows] == [None, None, ANNA]

    @promises("APPLY-3")
    async def test_apply_3_random_batches(self, stage: Stage) -> None:
        """Good and stale transitions mixed, many times: each answer is its item's own."""
        rows = [await stage.hold(f"{n}") for n in range(12)]
        for turn in range(8):
            stage.random.shuffle(rows)
            stale = {row.id for row in stage.random.sample(rows, 5)}
            state = b"%d" % turn
            items = [
                replace(keep(row, state=state), token=Token(ANNA, 7))
                if row.id in stale
                else keep(row, state=state)
                for row in rows
            ]
            answers = await stage.apply(*items)
            refused = [
                item.id
                for item, answer in zip(items, answers, strict=True)
                if answer.outcome is ApplyOutcome.SUPERSEDED
            ]
            assert sorted(refused) == sorted(stale)
            written = {row.id for row in await stage.rows(*[row.id for row in rows])
                       if row.state == state}  # fmt: skip
            assert written == {row.id for row in rows} - stale

    @promises("APPLY-4")
    async def test_apply_4_readers_see_all_or_nothing(self, stage: Stage) -> None:
        """A reader on another handle, while items with many effects land."""
        reader = await stage.handle()

        async def write(item: Transition, done: asyncio.Event) -> None:
            await stage.applied(item)
            done.set()

        async def read(parent: Record, done: asyncio.Event) -> None:
            ended = False
            while not ended:
                ended = done.is_set()
                seen = await stage.row(parent.id, at=reader)
                (last,) = await reader.get(ids=[f"{parent.id}.39"])
                assert seen.pending in (0, 40), "half the children were counted"
                if seen.pending:
                    assert last is not None, "counted, but not there"
                    assert (seen.owner, seen.state) == (None, b"s")
                await asyncio.sleep(0)
            assert (await stage.row(parent.id, at=reader)).pending == 40

        for turn in range(4):
            parent = await stage.hold(f"p{turn}")
            done = asyncio.Event()
            item = wait(parent, state=b"s", children=children(parent, 40))
            await stage.race(partial(write, item, done), partial(read, parent, done))

    @promises("APPLY-4")
    async def test_apply_4_a_refused_item_leaves_nothing(self, stage: Stage) -> None:
        """The last of many children conflicts: no child, no value, no checkpoint stays."""
        await stage.insert(new("elsewhere"), sleeper("bell", "ring"))
        parent = await stage.hold("p")
        before = await stage.everything()
        kids = children(parent, 20)
        for last in (child(parent, 20, id="elsewhere"), child(parent, 20, phase=Phase.SLEEPING,
                                                              wake_key="ring")):  # fmt: skip
            for item in (
                keep(parent, state=b"x", children=[*kids, last], checkpoints={"a": b"x"}),
                wait(parent, error=b"x", children=[*kids, last], checkpoints={"a": b"x"}),
            ):
                assert await stage.outcome(item) is ApplyOutcome.CHILD_CONFLICT
                assert await stage.everything() == before

    @promises("APPLY-4", level=Level.CRASH_SAFE, hook=Hook.RESTART)
    async def test_apply_4_killed_in_the_middle(self, stage: Stage) -> None:
        """The server is killed while items land; each is there wholly or not at all."""
        for turn in range(3):
            parents = [await stage.hold(f"p{turn}-{n}") for n in range(10)]
            items = [wait(row, state=b"s", children=children(row, 5)) for row in parents]
            writing = asyncio.ensure_future(stage.storage.apply(items=items, now=NOW))
            for _ in range(stage.random.randrange(20)):
                await asyncio.sleep(0)
            await self.restart()
            await asyncio.gather(writing, return_exceptions=True)
            stage.storage = await stage.handle()
            for row in await stage.rows(*[row.id for row in parents]):
                found = await stage.ids(Query(parent_id=row.id))
                assert (row.pending, len(found), row.state) in ((0, 0, None), (5, 5, b"s"))
