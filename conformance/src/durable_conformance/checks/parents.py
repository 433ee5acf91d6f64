"""PARENT-1 to PARENT-6: the count of unfinished children, and when a parent goes on."""

from dataclasses import replace
from functools import partial

from durable_core.storage import (
    ApplyOutcome,
    Phase,
    Query,
    Record,
    Token,
    Transition,
    Wake,
)

from ..author import Author
from ..checking import promises
from ..families import WAITS, exact, family, unfinished
from ..moves import child, children, finish, keep, new, release, sleeping_child, wait
from ..stage import ANNA, BELA, HOUR, NOW, Stage


class ParentChecks(Author):
    """PARENT-1 to PARENT-6."""

    @promises("PARENT-1")
    async def test_parent_1_exact_after_every_commit(self, stage: Stage) -> None:
        """A random life of a family: the count is compared after each call."""
        random = stage.random
        await stage.insert(new("stranger"))
        parent = await stage.hold("p")
        born = 0
        past: list[Transition] = []
        for _ in range(60):
            ids = await unfinished(stage, "p")
            some = random.sample(ids, min(len(ids), 2))
            match random.randrange(7):
                case 0 | 1:
                    kids = [child(parent, born + n) for n in range(random.randrange(1, 4))]
                    again = [child(parent, random.randrange(born))] if born else []
                    born += len(kids)
                    await stage.applied(keep(parent, children=[*kids, *again]))
                case 2:
                    kids = [child(parent, born), child(parent, born + 1, id="stranger")]
                    outcome = await stage.outcome(keep(parent, children=kids))
                    assert outcome is ApplyOutcome.CHILD_CONFLICT
                case 3:
                    held = await stage.claim(ids=some)
                    past = [finish(row) for row in held.records]
                    await stage.apply(*past)
                case 4:
                    held = await stage.claim(ids=some)
                    wrong = Token(BELA, 1)
                    await stage.apply(*[replace(finish(row), token=wrong) for row in held.records])
                    await exact(stage, "p")
                    await stage.applied(*[release(row) for row in held.records])
                case 5:
                    await stage.storage.cancel(ids=[*some, "nobody"], request="r", now=NOW)
                case _:
                    await stage.apply(*past)
            await exact(stage, "p")

    @promises("PARENT-1")
    async def test_parent_1_by_every_way_to_end(self, stage: Stage) -> None:
        """Finished, woken, cancelled and reaped children, and refused attempts at it."""
        parent = await stage.hold("p")
        kids = [
            child(parent, 0),
            sleeping_child(parent, 1, "bell"),
            child(parent, 2),
            child(parent, 3, owner=BELA),
            child(parent, 4),
        ]
        await stage.applied(wait(parent, children=kids))
        assert (await exact(stage, "p")).pending == 5
        row = await stage.take("p.0")
        for token in (Token(BELA, row.gen), Token(ANNA, row.gen + 1)):
            await stage.apply(replace(finish(row), token=token))
            assert (await exact(stage, "p")).pending == 5, "refused, so nothing ended"
        await stage.applied(finish(row))
        assert (await exact(stage, "p")).pending == 4
        for request in ("one", "two"):
            item = Wake(task="work", wake_key="bell", request=request)
            await stage.storage.wake(items=[item], now=NOW)
            assert (await exact(stage, "p")).pending == 3
        for request in ("one", "two"):
            await stage.storage.cancel(ids=["p.2"], request=request, now=NOW)
            assert (await exact(stage, "p")).pending == 2
        await stage.storage.cancel(ids=["p.3"], request="r", now=NOW)
        assert (await exact(stage, "p")).pending == 2, "marked only"
        for _ in range(2):
            await stage.reap()
            assert (await exact(stage, "p")).pending == 1
        last = await stage.take("p.4")
        await stage.applied(release(last, Phase.WAITING_FOR_FINALIZE, None))
        assert (await exact(stage, "p")).pending == 1, "waiting is unfinished"

    @promises("PARENT-2")
    async def test_parent_2_counted_once_each(self, stage: Stage) -> None:
        """In one batch, in batches one after the other, each sent twice."""
        _, kids = await family(stage, "p", 12, held=True)
        left = 12
        for size in (5, 1, 4, 2):
            batch = [finish(row, output=b"o") for row in kids[:size]]
            kids = kids[size:]
            left -= size
            await stage.applied(*batch)
            assert (await exact(stage, "p")).pending == left
            answers = await stage.apply(*batch)
            assert {answer.outcome for answer in answers} == {ApplyOutcome.ALREADY}
            assert (await exact(stage, "p")).pending == left, "sent again, counted again"
        assert (await stage.row("p")).due == 0

    @promises("PARENT-2")
    async def test_parent_2_in_concurrent_batches(self, stage: Stage) -> None:
        """Random overlapping batches of two families from four handles, each sent twice."""
        handles = await stage.handles(4)
        for turn in range(5):
            rows: list[Record] = []
            for name in (f"p{turn}", f"q{turn}"):
                rows += (await family(stage, name, 15, held=True))[1]
            batches = [[finish(row) for row in stage.random.sample(rows, 12)] for _ in range(6)] + [
                [finish(row) for row in rows]
            ]
            await stage.race(
                *(
                    partial(handles[number % 4].apply, items=batch, now=NOW)
                    for number, batch in enumerate(batches * 2)
                )
            )
            for name in (f"p{turn}", f"q{turn}"):
                parent = await exact(stage, name)
                assert (parent.pending, parent.due) == (0, 0)
                await stage.applied(finish(await stage.take(name)))

    @promises("PARENT-3")
    async def test_parent_3_due_with_the_last_needed_end(self, stage: Stage) -> None:
        """For both kinds of waiting, all children or the first few."""
        for phase in WAITS:
            for join_at in (0, 2):
                name = f"{phase}-{join_at}"
                _, kids = await family(stage, name, 4, phase=phase, join_at=join_at, held=True)
                for left, kid in zip(range(3, -1, -1), kids, strict=True):
                    await stage.applied(finish(kid, Phase.FAILED))
                    parent = await stage.row(name)
                    assert parent.due == (0 if left <= join_at else None)
                    assert (parent.owner, parent.phase, parent.pending) == (None, phase, left)

    @promises("PARENT-3")
    async def test_parent_3_by_every_way_to_end(self, stage: Stage) -> None:
        """The last child is woken, cancelled, or reaped with a mark."""
        parent = await stage.hold("wake")
        kid = sleeping_child(parent, 0, "bell")
        await stage.applied(wait(parent, children=[kid]))
        await stage.storage.wake(items=[Wake(task="work", wake_key="bell", request="r")], now=NOW)
        assert (await stage.row("wake")).due == 0
        await family(stage, "cancel", 1)
        await stage.storage.cancel(ids=["cancel.0"], request="r", now=NOW)
        assert (await stage.row("cancel")).due == 0
        await family(stage, "reap", 1, held=True)
        await stage.storage.cancel(ids=["reap.0"], request="r", now=NOW)
        assert (await stage.row("reap")).due is None
        await stage.reap()
        assert (await stage.row("reap")).due == 0
        claimed = await stage.claim()
        assert sorted(row.id for row in claimed.records) == ["cancel", "reap", "wake"]

    @promises("PARENT-3")
    async def test_parent_3_in_one_batch(self, stage: Stage) -> None:
        """Children of several parents end in one call; a due that was set gives way."""
        kids: list[Record] = []
        for name in ("p", "q", "r"):
            kids += (await family(stage, name, 3, held=True, due=NOW + HOUR))[1]
        stage.random.shuffle(kids)
        last = next(row for row in kids if row.parent_id == "r")
        await stage.applied(*[finish(row) for row in kids if row is not last])
        assert [row.due for row in await stage.rows("p", "q", "r")] == [0, 0, NOW + HOUR]

    @promises("PARENT-4")
    async def test_parent_4_children_ended_before(self, stage: Stage) -> None:
        """All children, or enough of them, end while the parent is held."""
        for phase in WAITS:
            for join_at, ends in ((0, 2), (1, 1)):
                name = f"{phase}-{join_at}"
                parent = await stage.hold(name)
                await stage.applied(keep(parent, children=children(parent, 2, owner=BELA)))
                kids = await stage.rows(f"{name}.0", f"{name}.1")
                await stage.applied(*[finish(kid) for kid in kids[:ends]])
                await stage.applied(release(parent, phase, NOW + HOUR, join_at=join_at))
                assert (await stage.row(name)).due == 0

    @promises("PARENT-4")
    async def test_parent_4_no_child_at_all(self, stage: Stage) -> None:
        """Nothing to wait for, and a child that was born finished."""
        await stage.applied(wait(await stage.hold("none")))
        message = Wake(task="work", wake_key="bell", request="r", keep_until=NOW + HOUR)
        await stage.storage.wake(items=[message], now=NOW)
        parent = await stage.hold("born")
        kid = sleeping_child(parent, 0, "bell")
        await stage.applied(wait(parent, children=[kid]))
        assert [row.due for row in await stage.rows("none", "born")] == [0, 0]

    @promises("PARENT-4")
    async def test_parent_4_ends_at_the_same_time(self, stage: Stage) -> None:
        """The last children end while the parent is being released."""
        first, second = await stage.handles(2)
        for turn in range(12):
            parent = await stage.hold(f"p{turn}")
            await stage.applied(keep(parent, children=children(parent, 2, owner=BELA)))
            kids = await stage.rows(f"p{turn}.0", f"p{turn}.1")
            await stage.race(
                partial(first.apply, items=[wait(parent)], now=NOW),
                *(partial(second.apply, items=[finish(kid)], now=NOW) for kid in kids),
            )
            after = await exact(stage, parent.id)
            assert (after.pending, after.due, after.owner) == (0, 0, None)

    @promises("PARENT-5")
    async def test_parent_5_a_held_parent(self, stage: Stage) -> None:
        """Children end by every way while the parent is held, waiting or not."""
        for name, phase in (("ready", Phase.READY), ("waits", Phase.WAITING_FOR_CHILDREN)):
            row = await stage.hold(name)
            kids = [
                child(row, 0, owner=BELA),
                child(row, 1),
                sleeping_child(row, 2, f"bell {name}"),
            ]
            await stage.applied(release(row, phase, None, children=kids))
            row = await stage.take(name)
            await stage.applied(finish(await stage.row(f"{name}.0")))
            await stage.storage.cancel(ids=[f"{name}.1"], request="r", now=NOW)
            wake = Wake(task="work", wake_key=f"bell {name}", request="r")
            await stage.storage.wake(items=[wake], now=NOW)
            assert await stage.row(name) == replace(row, pending=0)
            await stage.applied(finish(row))

    @promises("PARENT-6")
    async def test_parent_6_already_there(self, stage: Stage) -> None:
        """Children sent again with new ones, unfinished and finished, and twice in one item."""
        parent = await stage.hold("p")
        await stage.applied(keep(parent, children=children(parent, 3, owner=BELA)))
        await stage.applied(finish(await stage.row("p.0"), output=b"o"))
        before = await stage.everything()
        kids = [child(parent, n, input=b"other", priority=9) for n in range(3)]
        await stage.applied(keep(parent, children=kids))
        assert await stage.everything() == before
        twice = [child(parent, 3), *kids, child(parent, 3, input=b"other")]
        await stage.applied(wait(parent, children=twice))
        after = await stage.everything()
        assert sorted(set(after) - set(before)) == ["p.3"]
        assert (await exact(stage, "p")).pending == 3
        assert (await stage.row("p.3")).input == b""
        found = await stage.ids(Query(parent_id="p"))
        assert found == ["p.0", "p.1", "p.2", "p.3"]

    @promises("PARENT-6")
    async def test_parent_6_a_sleeper_that_is_there(self, stage: Stage) -> None:
        """Its own wake key is no conflict."""
        parent = await stage.hold("p")
        for _ in range(2):
            await stage.applied(keep(parent, children=[sleeping_child(parent, 0, "bell")]))
            assert (await exact(stage, "p")).pending == 1
