"""APPLY-5 to APPLY-11: what is sent again, what is marked, and what is final."""

from dataclasses import replace
from functools import partial
from typing import Any

from durable_core.storage import ApplyOutcome, Phase, Record, Transition

from ..author import Author
from ..checking import promises
from ..moves import child, children, finish, keep, release, settle, wait
from ..stage import ANNA, BELA, HOUR, NOW, SECOND, Stage

_LATER = NOW + SECOND
_MUCH: dict[str, Any] = {"state": b"s", "checkpoints": {"step": b"1"}}


async def _member(stage: Stage, family: str) -> Record:
    """Return a held row that has a waiting parent, and a sibling."""
    parent = await stage.hold(family)
    await stage.applied(wait(parent, children=children(parent, 2, due=NOW + HOUR)))
    return await stage.take(f"{family}.0")


def _releasing(row: Record) -> list[Transition]:
    """Return transitions with many effects that each release the row."""
    kids = children(row, 2, due=NOW + HOUR)
    return [
        release(row, Phase.READY, NOW + HOUR, children=kids, **_MUCH),
        wait(row, children=kids, join_at=1, **_MUCH),
        finish(row, output=b"o", **_MUCH),
        finish(row, Phase.FAILED, error=b"e", **_MUCH),
    ]


class ApplyAgainChecks(Author):
    """APPLY-5 to APPLY-11."""

    @promises("APPLY-5")
    async def test_apply_5_sent_again(self, stage: Stage) -> None:
        """Every releasing kind, sent again at a later time, alone and twice in a row."""
        for number in range(len(_releasing(await _member(stage, "sample")))):
            row = await _member(stage, f"f{number}")
            item = _releasing(row)[number]
            await stage.applied(item)
            before = await stage.everything()
            for _ in range(2):
                assert await stage.outcome(item, now=_LATER) is ApplyOutcome.ALREADY
                assert await stage.everything() == before, "no second effect"

    @promises("APPLY-5")
    async def test_apply_5_a_settle_sent_again(self, stage: Stage) -> None:
        """A settle, with and without another due."""
        parent = await stage.hold("p")
        await stage.applied(keep(parent, children=children(parent, 1, due=NOW + HOUR)))
        await stage.applied(finish(parent))
        for due in (NOW, None):
            duty = await stage.take_duty("p")
            await stage.applied(settle(duty, due))
            before = await stage.everything()
            assert await stage.outcome(settle(duty, due)) is ApplyOutcome.ALREADY
            assert await stage.everything() == before

    @promises("APPLY-5")
    async def test_apply_5_a_finish_whose_duty_was_claimed(self, stage: Stage) -> None:
        """The row has a new holder, but the finish was this token's."""
        row = await _member(stage, "f")
        await stage.applied(keep(row, children=children(row, 1, due=NOW + HOUR)))
        item = finish(row, Phase.FAILED, error=b"e")
        await stage.applied(item)
        duty = await stage.take_duty(row.id, executor=BELA)
        before = await stage.everything()
        assert await stage.outcome(item) is ApplyOutcome.ALREADY
        assert await stage.everything() == before
        await stage.applied(settle(duty))
        assert await stage.outcome(item) is ApplyOutcome.ALREADY

    @promises("APPLY-5")
    async def test_apply_5_twice_at_the_same_time(self, stage: Stage) -> None:
        """The same batch from two handles at once: one applies it, the other finds it done."""
        first, second = await stage.handles(2)
        for turn in range(6):
            parent = await stage.hold(f"p{turn}")
            await stage.applied(wait(parent, children=children(parent, 8)))
            claimed = await stage.claim()
            items = [finish(row, output=b"o") for row in claimed.records]
            answers = await stage.race(
                *(partial(at.apply, items=items, now=NOW) for at in (first, second))
            )
            for pair in zip(*answers, strict=True):
                outcomes = {answer.outcome for answer in pair}
                assert outcomes == {ApplyOutcome.APPLIED, ApplyOutcome.ALREADY}
            parent = await stage.row(f"p{turn}")
            assert (parent.pending, parent.due) == (0, 0)
            await stage.applied(finish(await stage.take(parent.id)))

    @promises("APPLY-6")
    async def test_apply_6_after_a_reap(self, stage: Stage) -> None:
        """Every releasing kind and a keep, sent for the first time and again, after a reap."""
        row = await _member(stage, "f")
        await stage.reap()
        before = await stage.everything()
        for item in (*_releasing(row), keep(row, **_MUCH)):
            assert await stage.outcome(item) is ApplyOutcome.SUPERSEDED
            assert await stage.everything() == before
        row = await stage.take(row.id)
        item = release(row, children=children(row, 1), **_MUCH)
        await stage.applied(item)
        await stage.take(row.id, executor=BELA)
        await stage.reap()
        before = await stage.everything()
        assert await stage.outcome(item) is ApplyOutcome.SUPERSEDED
        assert await stage.everything() == before

    @promises("APPLY-6")
    async def test_apply_6_after_another_claim(self, stage: Stage) -> None:
        """Released, and claimed by somebody else, or by the same executor."""
        for executor in (BELA, ANNA):
            row = await _member(stage, f"f-{executor}")
            item = release(row, children=children(row, 2), **_MUCH)
            await stage.applied(item)
            await stage.take(row.id, executor=executor)
            before = await stage.everything()
            for late in (item, *_releasing(row), keep(row, **_MUCH)):
                assert await stage.outcome(late) is ApplyOutcome.SUPERSEDED
                assert await stage.everything() == before

    @promises("APPLY-7")
    async def test_apply_7_keep(self, stage: Stage) -> None:
        """A keep with many effects, sent three times: held under one gen, one effect."""
        row = await _member(stage, "f")
        item = keep(row, children=children(row, 3, due=NOW + HOUR), attempt=2, **_MUCH)
        await stage.applied(item)
        kept = await stage.row(row.id)
        assert kept == replace(row, state=b"s", attempt=2, pending=3)
        before = await stage.everything()
        for _ in range(2):
            await stage.applied(item)
            assert await stage.everything() == before
        await stage.applied(finish(row))

    @promises("APPLY-8")
    async def test_apply_8_marked(self, stage: Stage) -> None:
        """Keep and release are refused with all they carry, unless the mark was seen."""
        row = await _member(stage, "f")
        await stage.storage.cancel(ids=[row.id], request="r", now=NOW)
        before = await stage.everything()
        kids = children(row, 2, due=NOW + HOUR)
        for item in (
            keep(row, children=kids, **_MUCH),
            release(row, children=kids, **_MUCH),
            wait(row, children=kids, **_MUCH),
            keep(row),
        ):
            (answer,) = await stage.apply(item)
            assert answer.outcome is ApplyOutcome.CANCEL_REQUESTED
            assert answer.head is not None
            assert answer.head.cancel_requested
            assert await stage.everything() == before, "refused with all it carries"
        await stage.applied(keep(row, children=kids, cancel_seen=True, **_MUCH))
        kept = await stage.row(row.id)
        assert kept == replace(row, cancel_requested=True, pending=2, state=b"s")
        await stage.applied(release(row, due=NOW + HOUR, cancel_seen=True))
        released = await stage.row(row.id)
        assert released == replace(kept, owner=None, due=NOW + HOUR), "the mark stays"

    @promises("APPLY-9")
    async def test_apply_9_finish_of_a_marked_row(self, stage: Stage) -> None:
        """A result beats a request."""
        row = await _member(stage, "f")
        await stage.storage.cancel(ids=[row.id], request="r", now=NOW)
        await stage.applied(finish(row, output=b"o", **_MUCH))
        done = await stage.row(row.id)
        assert (done.phase, done.output, done.ended_by) == (
            Phase.COMPLETED, b"o", str(row.token),
        )  # fmt: skip
        assert (await stage.row("f")).pending == 1

    @promises("APPLY-10")
    async def test_apply_10_final(self, stage: Stage) -> None:
        """A duty's holder may settle; whatever else he sends changes nothing."""
        for phase in (Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED):
            row = await _member(stage, f"f-{phase}")
            await stage.applied(keep(row, children=children(row, 1, due=NOW + HOUR)))
            await stage.applied(finish(row, phase, output=b"o", error=b"e"))
            duty = await stage.take_duty(row.id, executor=BELA)
            before = await stage.everything()
            for item in _releasing(replace(duty, id=row.id)):
                assert await stage.outcome(item) is ApplyOutcome.SUPERSEDED
                assert await stage.everything() == before
            await stage.applied(settle(duty, NOW + HOUR))
            done = await stage.row(row.id)
            assert (done.phase, done.output, done.error) == (phase, b"o", b"e")
            assert done == replace(duty, owner=None, due=NOW + HOUR)

    @promises("APPLY-11")
    async def test_apply_11_checkpoints(self, stage: Stage) -> None:
        """With their item, in order of writing; the first value of a name stays."""
        row = await stage.hold("a")
        await stage.applied(keep(row, checkpoints={"b": b"1", "a": b"2"}))
        await stage.applied(keep(row, checkpoints={"c": b"", "a": b"other"}), now=_LATER)
        await stage.applied(finish(row, checkpoints={"b": b"other", "d": b"4"}), now=_LATER)
        found = [(one.name, one.value, one.created_at) for one in await stage.checkpoints("a")]
        assert found == [
            ("b", b"1", NOW), ("a", b"2", NOW), ("c", b"", _LATER), ("d", b"4", _LATER),
        ]  # fmt: skip

    @promises("APPLY-11")
    async def test_apply_11_not_without_their_item(self, stage: Stage) -> None:
        """Refused items leave no checkpoint; executions do not share names."""
        rows = [await stage.hold(name) for name in ("a", "b", "c")]
        conflict = keep(rows[0], children=[child(rows[0], 0, id="b")], checkpoints={"step": b"x"})
        await stage.storage.cancel(ids=["b"], request="r", now=NOW)
        good = keep(rows[2], checkpoints={"step": b"c"})
        await stage.apply(conflict, keep(rows[1], checkpoints={"step": b"x"}), good)
        assert [await stage.checkpoints(name) for name in ("a", "b")] == [[], []]
        assert [one.value for one in await stage.checkpoints("c")] == [b"c"]
        await stage.applied(keep(rows[0], checkpoints={"step": b"a"}))
        assert [one.value for one in await stage.checkpoints("a")] == [b"a"]
