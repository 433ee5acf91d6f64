"""PARENT-7 to PARENT-12: conflicts, duties, the finding of children, and locks."""

from collections.abc import Sequence
from functools import partial

from durable_core.storage import (
    ApplyOutcome,
    Phase,
    Query,
    Storage,
    Transition,
    Wake,
)

from ..author import Author
from ..checking import promises
from ..families import WAITS, exact, family
from ..moves import child, children, finish, keep, new, release, settle, sleeper, sleeping_child
from ..stage import BELA, HOUR, NOW, Stage


class ParentMoreChecks(Author):
    """PARENT-7 to PARENT-12."""

    @promises("PARENT-7")
    async def test_parent_7_conflicts(self, stage: Stage) -> None:
        """Ids of a root and of another's child, a wake key of a root and of another's child."""
        await stage.insert(new("root"), sleeper("s", "bell"))
        other, _ = await family(stage, "other", 1)
        other = await stage.take("other")
        await stage.applied(keep(other, children=[sleeping_child(other, 1, "gong")]))
        parent = await stage.hold("p")
        before = await stage.everything()
        fresh = children(parent, 3)
        for bad in (
            child(parent, 3, id="root"),
            child(parent, 3, id="other.0"),
            child(parent, 3, id="p"),
            sleeping_child(parent, 3, "bell"),
            sleeping_child(parent, 3, "gong"),
        ):
            for place in (0, 2, 3):
                kids = [*fresh[:place], bad, *fresh[place:]]
                for item in (
                    keep(parent, children=kids, state=b"x", checkpoints={"a": b"x"}),
                    release(parent, WAITS[0], None, children=kids, attempt=9),
                ):
                    (answer,) = await stage.apply(item)
                    assert answer.outcome is ApplyOutcome.CHILD_CONFLICT
                    assert answer.conflict == place
                    assert await stage.everything() == before, "the whole item is refused"
        await stage.applied(keep(parent, children=fresh))

    @promises("PARENT-7")
    async def test_parent_7_one_wake_key_twice(self, stage: Stage) -> None:
        """Two children of one item that share a wake key; a finished sleeper's key is free."""
        parent = await stage.hold("p")
        twins = [child(parent, 0), sleeping_child(parent, 1, "k"), sleeping_child(parent, 2, "k")]
        (answer,) = await stage.apply(keep(parent, children=twins))
        assert (answer.outcome, answer.conflict) == (ApplyOutcome.CHILD_CONFLICT, 2)
        assert await stage.ids(Query(parent_id="p")) == []
        await stage.insert(sleeper("s", "k"))
        await stage.storage.cancel(ids=["s"], request="r", now=NOW)
        await stage.applied(keep(parent, children=twins[:2]))
        assert (await exact(stage, "p")).pending == 2

    @promises("PARENT-8")
    async def test_parent_8_a_duty_by_finish(self, stage: Stage) -> None:
        """Every final phase, with unfinished children and without."""
        for phase in sorted(set(Phase) - {Phase.READY, Phase.SLEEPING, *WAITS}):
            row = await stage.hold(f"with-{phase}")
            await stage.applied(keep(row, children=children(row, 2, due=None)))
            await stage.applied(finish(row, phase))
            done = await stage.row(row.id)
            assert (done.phase, done.owner, done.due, done.pending) == (phase, None, 0, 2)
            duty = await stage.take_duty(row.id, executor=BELA)
            await stage.applied(settle(duty))
            row = await stage.hold(f"without-{phase}")
            await stage.applied(keep(row, children=children(row, 1, owner=BELA)))
            await stage.applied(finish(await stage.row(f"without-{phase}.0")))
            await stage.applied(finish(row, phase))
            assert (await stage.row(row.id)).due is None
        assert list((await stage.claim()).records) == []

    @promises("PARENT-8")
    async def test_parent_8_a_duty_by_other_methods(self, stage: Stage) -> None:
        """A parent that is cancelled, woken, or reaped with a mark."""
        for suffix, number, due in (("with", 1, 0), ("without", 0, None)):
            await family(stage, f"cancel-{suffix}", number, join_at=-1)
            await stage.storage.cancel(ids=[f"cancel-{suffix}"], request="r", now=NOW)

            await stage.insert(sleeper(f"wake-{suffix}", suffix, due=NOW))
            row = await stage.take(f"wake-{suffix}")
            kids = children(row, number, due=None)
            await stage.applied(release(row, Phase.SLEEPING, NOW + HOUR, children=kids))
            wake = Wake(task="work", wake_key=suffix, request="r")
            await stage.storage.wake(items=[wake], now=NOW)

            row = await stage.hold(f"reap-{suffix}")
            await stage.applied(keep(row, children=children(row, number, due=None)))
            await stage.storage.cancel(ids=[row.id], request="r", now=NOW)
            await stage.reap()
            for way in ("cancel", "wake", "reap"):
                done = await stage.row(f"{way}-{suffix}")
                assert done.finished, f"{way} finishes the parent"
                assert done.due == due, f"{way} {suffix} unfinished children"

    @promises("PARENT-9")
    async def test_parent_9_children_of_the_finished(self, stage: Stage) -> None:
        """They end by every way; the parent's count goes down and nothing else."""
        for settled in (True, False):
            name = f"p-{settled}"
            parent = await stage.hold(name)
            kids = [
                child(parent, 0, owner=BELA),
                child(parent, 1, due=None),
                sleeping_child(parent, 2, f"bell {settled}"),
            ]
            await stage.applied(keep(parent, children=kids))
            await stage.applied(finish(parent, Phase.FAILED, error=b"e"))
            if settled:
                await stage.applied(settle(await stage.take_duty(name)))
            before = await stage.row(name)
            await stage.applied(finish(await stage.row(f"{name}.0")))
            await stage.storage.cancel(ids=[f"{name}.1"], request="r", now=NOW)
            wake = Wake(task="work", wake_key=f"bell {settled}", request="r")
            await stage.storage.wake(items=[wake], now=NOW)
            after = await exact(stage, name)
            assert after.pending == 0
            assert (after.phase, after.due, after.gen) == (before.phase, before.due, before.gen)
            if not settled:
                await stage.applied(settle(await stage.take_duty(name)))
        assert list((await stage.claim()).records) == []

    @promises("PARENT-10")
    async def test_parent_10_all_children_by_index(self, stage: Stage) -> None:
        """Children inserted in random order by several items, the finalizer among them."""
        parent = await stage.hold("p")
        places = [-1, *range(60)]
        stage.random.shuffle(places)
        for start in range(0, len(places), 20):
            kids = [
                child(parent, n, id=f"kid-{(n * 7919) % 61}", owner=BELA)
                for n in places[start : start + 20]
            ]
            await stage.applied(keep(parent, children=kids))
        await stage.applied(release(parent, WAITS[0], None))
        kids_held = await stage.find(Query(parent_id="p"))
        await stage.applied(*[finish(row, output=b"%d" % row.child_index) for row in kids_held])
        claimed = await stage.claim()
        assert [row.id for row in claimed.records] == ["p"]
        for limit in (7, 20, 61):
            found = await stage.find(Query(parent_id="p"), limit=limit)
            assert [row.child_index for row in found] == sorted(places)
            assert all(row.finished for row in found)

    @promises("PARENT-11")
    async def test_parent_11_no_deadlock(self, stage: Stage) -> None:
        """Ends and cancels of two families in random orders from four handles."""
        handles = await stage.handles(4)

        async def write(at: Storage, batch: Sequence[Transition]) -> None:
            await at.apply(items=batch, now=NOW)

        async def cancel(at: Storage, ids: Sequence[str]) -> None:
            await at.cancel(ids=ids, request="r", now=NOW)

        for turn in range(6):
            names = [f"p{turn}", f"q{turn}"]
            items: list[Transition] = []
            for name in names:
                _, kids = await family(stage, name, 16, held=True)
                items += [finish(kid) for kid in kids]
            stage.random.shuffle(items)
            ids = [*[item.id for item in items[:10]], *names]
            stage.random.shuffle(ids)
            await stage.race(
                partial(write, handles[0], items[:20]),
                partial(write, handles[1], items[10:]),
                partial(write, handles[2], items[::-1]),
                partial(cancel, handles[3], ids),
                partial(cancel, handles[0], ids[::-1]),
            )
            for name in names:
                parent = await exact(stage, name)
                assert parent.pending == 0
                assert (parent.phase, parent.cancel_requested) == (Phase.CANCELLED, False)

    @promises("PARENT-12")
    async def test_parent_12_never_by_the_count(self, stage: Stage) -> None:
        """With ``join_at = -1`` the due given holds, with children and without."""
        for due in (None, NOW + HOUR):
            parent = await stage.hold(f"none-{due}")
            await stage.applied(release(parent, WAITS[0], due, join_at=-1))
            assert (await stage.row(parent.id)).due == due
            _, kids = await family(stage, f"some-{due}", 2, join_at=-1, due=due, held=True)
            for kid in kids:
                await stage.applied(finish(kid))
                assert (await stage.row(f"some-{due}")).due == due
        assert list((await stage.claim(now=NOW + HOUR - 1)).records) == []
        late = await stage.claim(now=NOW + HOUR)
        assert len(late.records) == 2
