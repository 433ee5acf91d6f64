"""CANCEL: what ends at once, what is marked, and who wins."""

from dataclasses import replace
from functools import partial

from durable_core.storage import (
    ApplyOutcome,
    CancelOutcome,
    Head,
    OnCancel,
    Phase,
    Query,
    Wake,
    WakeOutcome,
)

from ..author import Author
from ..checking import promises
from ..families import WAITS, exact, family
from ..moves import child, children, finish, keep, new, release, sleeper, wait
from ..stage import ANNA, BELA, HOUR, MINUTE, NOW, Stage
from ..zoo import DONE, DUTIES, UNHELD, fill_zoo

_ROUNDS = 12


async def cancel(
    stage: Stage, *ids: str, request: str = "req", now: int = NOW
) -> list[tuple[CancelOutcome, Head | None]]:
    """Cancel rows that are no relatives; every answer's head must be the row as it stands."""
    answers = await stage.storage.cancel(ids=ids, request=request, now=now)
    heads = await stage.storage.get(ids=ids, payload=False)
    assert [answer.head for answer in answers] == list(heads)
    return [(answer.outcome, answer.head) for answer in answers]


def outcomes(answers: list[tuple[CancelOutcome, Head | None]]) -> list[CancelOutcome]:
    """Return the outcomes alone."""
    return [outcome for outcome, _ in answers]


class CancelChecks(Author):
    """CANCEL-1 to CANCEL-7."""

    @promises("CANCEL-1")
    async def test_cancel_1_ends_at_once(self, stage: Stage) -> None:
        """Every un-held phase, due or not."""
        await fill_zoo(stage)
        before = dict(zip(UNHELD, await stage.rows(*UNHELD), strict=True))
        answers = await cancel(stage, *UNHELD, now=NOW + MINUTE)
        assert set(outcomes(answers)) == {CancelOutcome.ENDED}
        for id_, row in before.items():
            assert await stage.row(id_) == replace(
                row,
                phase=Phase.CANCELLED,
                due=0 if row.pending else None,
                ended_by="req",
                finished_at=NOW + MINUTE,
            )

    @promises("CANCEL-1")
    async def test_cancel_1_counts_at_the_parent(self, stage: Stage) -> None:
        """Several children in one call; the parent goes on with the last."""
        await family(stage, "p", 4)
        await cancel(stage, "p.0", "p.2", "p.1")
        parent = await exact(stage, "p")
        assert (parent.pending, parent.due) == (1, None)
        await cancel(stage, "p.3")
        parent = await exact(stage, "p")
        assert (parent.pending, parent.due) == (0, 0)

    @promises("CANCEL-2")
    async def test_cancel_2_marks_what_is_held(self, stage: Stage) -> None:
        """In every phase, whatever `on_cancel` says."""
        await stage.insert(sleeper("asleep", "bell", due=NOW))
        await family(stage, "waits", 1, join_at=1, due=NOW)
        await stage.insert(new("ready"), new("told", on_cancel=OnCancel.DELIVER))
        claimed = await stage.claim()
        rows = {row.id: row for row in claimed.records}
        assert set(rows) == {"asleep", "waits", "ready", "told", "waits.0"}
        answers = await cancel(stage, *rows)
        assert set(outcomes(answers)) == {CancelOutcome.MARKED}
        for row in rows.values():
            assert await stage.row(row.id) == replace(row, cancel_requested=True)
        await stage.applied(finish(rows["ready"]))

    @promises("CANCEL-3")
    async def test_cancel_3_delivers(self, stage: Stage) -> None:
        """Un-held rows that are to be told: marked, due, in their phase."""
        await stage.insert(
            new("later", on_cancel=OnCancel.DELIVER, due=NOW + HOUR),
            sleeper("asleep", "bell", on_cancel=OnCancel.DELIVER),
        )
        for phase in WAITS:
            row = await stage.hold(phase.value, on_cancel=OnCancel.DELIVER)
            kids = children(row, 1, due=None)
            await stage.applied(release(row, phase, None, join_at=-1, children=kids))
        ids = ("later", "asleep", *(phase.value for phase in WAITS))
        before = await stage.rows(*ids)
        assert set(outcomes(await cancel(stage, *ids))) == {CancelOutcome.MARKED}
        after = await stage.rows(*ids)
        assert after == [replace(row, cancel_requested=True, due=0) for row in before]
        claimed = await stage.claim(now=1)
        assert {row.id for row in claimed.records} == set(ids)
        assert {row.phase for row in claimed.records} == {row.phase for row in before}
        # Its owner cleans up, and ends it.
        (row,) = (row for row in claimed.records if row.id == "later")
        await stage.applied(release(row, cancel_seen=True))
        await stage.applied(finish(await stage.take("later"), Phase.CANCELLED))

    @promises("CANCEL-4")
    async def test_cancel_4_finished_and_missing(self, stage: Stage) -> None:
        """Among others, in request order; finished rows stay, duties too."""
        await fill_zoo(stage)
        over = (*DONE, *DUTIES)
        before = await stage.rows(*over)
        ids = [*over, "nobody", "ready", "held"]
        stage.random.shuffle(ids)
        expected = {
            **dict.fromkeys(over, CancelOutcome.FINISHED),
            "nobody": CancelOutcome.MISSING,
            "ready": CancelOutcome.ENDED,
            "held": CancelOutcome.MARKED,
        }
        assert outcomes(await cancel(stage, *ids)) == [expected[id_] for id_ in ids]
        assert await stage.rows(*over) == before

    @promises("CANCEL-5")
    async def test_cancel_5_against_finish(self, stage: Stage) -> None:
        """A held row: the finish is applied, and the request hears of it or was before it."""
        first, second = await stage.handles(2)
        for turn in range(_ROUNDS):
            _, (row,) = await family(stage, f"p{turn}", 1, held=True)
            request = partial(first.cancel, ids=[row.id], request="r", now=NOW)
            end = partial(second.apply, items=[finish(row, output=b"o")], now=NOW)
            (cancelled,), (applied,) = await stage.duel(request, end)
            assert applied.outcome is ApplyOutcome.APPLIED
            done = await stage.row(row.id)
            assert (done.phase, done.output) == (Phase.COMPLETED, b"o")
            marked = cancelled.outcome is CancelOutcome.MARKED
            assert marked or cancelled.outcome is CancelOutcome.FINISHED
            assert done.cancel_requested is marked
            assert (await exact(stage, f"p{turn}")).due == 0

    @promises("CANCEL-5")
    async def test_cancel_5_against_wake(self, stage: Stage) -> None:
        """A sleeper ends once, by the one who is told so."""
        first, second = await stage.handles(2)
        parent = await stage.hold("p")
        for turn in range(_ROUNDS):
            kid = child(parent, turn, phase=Phase.SLEEPING, wake_key=f"{turn}", due=None)
            await stage.applied(keep(parent, children=[kid]))
            item = Wake(task="work", wake_key=f"{turn}", request="w")
            request = partial(first.cancel, ids=[kid.id], request="c", now=NOW)
            (cancelled,), (woken,) = await stage.duel(
                request, partial(second.wake, items=[item], now=NOW)
            )
            ended = cancelled.outcome is CancelOutcome.ENDED
            assert ended or cancelled.outcome is CancelOutcome.FINISHED
            assert woken.outcome is (WakeOutcome.NOBODY if ended else WakeOutcome.WOKEN)
            done = await stage.row(kid.id)
            assert (done.phase, done.ended_by) == (
                (Phase.CANCELLED, "c") if ended else (Phase.COMPLETED, "w")
            )
            assert (await exact(stage, "p")).pending == 0

    @promises("CANCEL-5")
    async def test_cancel_5_against_claim(self, stage: Stage) -> None:
        """A sleeper whose time is up: ended and not claimed, or claimed and marked."""
        first, second = await stage.handles(2)
        for turn in range(_ROUNDS):
            await stage.insert(sleeper(f"s{turn}", f"{turn}", due=NOW))
            request = partial(first.cancel, ids=[f"s{turn}"], request="r", now=NOW)
            (cancelled,), claimed = await stage.duel(
                request,
                partial(
                    second.claim,
                    executor=BELA,
                    tasks=["work"],
                    queues=["default"],
                    limit=9,
                    now=NOW,
                ),
            )
            row = await stage.row(f"s{turn}")
            if cancelled.outcome is CancelOutcome.ENDED:
                assert list(claimed.records) == []
                assert (row.phase, row.owner) == (Phase.CANCELLED, None)
            else:
                assert cancelled.outcome is CancelOutcome.MARKED
                assert [one.id for one in claimed.records] == [row.id]
                assert (row.phase, row.owner, row.cancel_requested) == (Phase.SLEEPING, BELA, True)
                await stage.applied(finish(row, Phase.CANCELLED))

    @promises("CANCEL-5")
    async def test_cancel_5_against_reap(self, stage: Stage) -> None:
        """A row of the dead: cancelled in the end, whoever comes first, and counted once."""
        first, second = await stage.handles(2)
        for turn in range(_ROUNDS):
            _, (row,) = await family(stage, f"p{turn}", 1, held=True)
            request = partial(first.cancel, ids=[row.id], request="r", now=NOW)
            (cancelled,), _ = await stage.duel(request, partial(second.reap, now=NOW, limit=9))
            done = await stage.row(row.id)
            if done.phase is Phase.READY:
                # The reap left it, because it was being marked: the next one meets it.
                assert (cancelled.outcome, done.owner) == (CancelOutcome.MARKED, ANNA)
                await stage.reap()
                done = await stage.row(row.id)
            assert (done.phase, done.owner, done.gen) == (Phase.CANCELLED, None, row.gen + 1)
            assert cancelled.outcome in {CancelOutcome.ENDED, CancelOutcome.MARKED}
            assert (done.ended_by == "r") is (cancelled.outcome is CancelOutcome.ENDED)
            parent = await exact(stage, f"p{turn}")
            assert (parent.pending, parent.due) == (0, 0)
            await stage.applied(finish(await stage.take(parent.id)))

    @promises("CANCEL-6")
    async def test_cancel_6_sent_again(self, stage: Stage) -> None:
        """Ended by this request, by another, marked, delivered, finished since, and missing."""
        await family(stage, "p", 2)
        held = await stage.hold("held")
        await stage.insert(new("told", on_cancel=OnCancel.DELIVER, due=None))
        ids = ("p.0", "held", "told", "nobody")
        ended, marked = CancelOutcome.ENDED, CancelOutcome.MARKED
        first = [ended, marked, marked, CancelOutcome.MISSING]
        assert outcomes(await cancel(stage, *ids)) == first
        before = await stage.everything()
        for later in (0, MINUTE):
            assert outcomes(await cancel(stage, *ids, now=NOW + later)) == first
            assert await stage.everything() == before, "no second effect"
        assert outcomes(await cancel(stage, "p.0", request="other")) == [CancelOutcome.FINISHED]
        assert await stage.everything() == before
        await stage.applied(finish(held))
        assert outcomes(await cancel(stage, "held")) == [CancelOutcome.FINISHED]
        assert outcomes(await cancel(stage, "p.1", "p.1")) == [ended, ended]
        parent = await exact(stage, "p")
        assert (parent.pending, parent.due) == (0, 0)

    @promises("CANCEL-7")
    async def test_cancel_7_a_child_and_its_parent(self, stage: Stage) -> None:
        """Three generations in one call, in every order of parent and child."""
        for turn, order in enumerate(("012", "210", "102", "021")):
            parent = await stage.hold(f"p{turn}")
            await stage.applied(wait(parent, children=children(parent, 2)))
            middle = await stage.take(f"p{turn}.0")
            await stage.applied(wait(middle, children=children(middle, 2)))
            ids = [parent.id, middle.id, f"{middle.id}.0"]
            answers = await stage.storage.cancel(
                ids=[ids[int(place)] for place in order], request="r", now=NOW
            )
            assert [answer.outcome for answer in answers] == [CancelOutcome.ENDED] * 3
            assert [row.phase for row in await stage.rows(*ids)] == [Phase.CANCELLED] * 3
            above, below = await exact(stage, parent.id), await exact(stage, middle.id)
            assert (above.pending, above.due) == (1, 0)
            assert (below.pending, below.due) == (1, 0)

    @promises("CANCEL-7")
    async def test_cancel_7_a_whole_family(self, stage: Stage) -> None:
        """A parent and all its children, held, waiting and ready, in random order."""
        for turn in range(5):
            parent = await stage.hold(f"p{turn}")
            kids = [child(parent, n, owner=ANNA if n % 3 == 0 else None) for n in range(9)]
            await stage.applied(wait(parent, children=kids))
            ids = [parent.id, *[kid.id for kid in kids]]
            stage.random.shuffle(ids)
            await stage.storage.cancel(ids=ids, request="r", now=NOW)
            after = await exact(stage, parent.id)
            assert (after.phase, after.pending, after.due) == (Phase.CANCELLED, 3, 0)
            found = await stage.find(Query(parent_id=parent.id))
            assert [row.finished for row in found] == [n % 3 != 0 for n in range(9)]
