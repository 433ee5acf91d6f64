"""PURGE: what goes when it is old, and what stays."""

from durable_core.storage import Phase, Query, Wake, WakeOutcome

from ..author import Author
from ..checking import promises
from ..families import family
from ..moves import children, finish, keep, new, settle, sleeper
from ..stage import ANNA, HOUR, MINUTE, NOW, SECOND, Stage
from ..zoo import DONE, fill_zoo


async def purge(stage: Stage, before: int = NOW + HOUR, *, limit: int = 100) -> int:
    """Purge what finished before a time."""
    return await stage.storage.purge(finished_before=before, now=before, limit=limit)


class PurgeChecks(Author):
    """PURGE-1 to PURGE-3."""

    @promises("PURGE-1")
    async def test_purge_1_only_what_is_over(self, stage: Stage) -> None:
        """Of a zoo of states only finished rows without duty; not even one whose duty is done."""
        await fill_zoo(stage)
        (duty,) = (await stage.claim(tasks=(), queues=())).records
        await stage.applied(settle(duty))
        before = await stage.everything()
        assert await purge(stage) == len(DONE)
        after = await stage.everything()
        assert set(before) - set(after) == set(DONE)
        assert all(after[id_] == before[id_] for id_ in after)
        assert await purge(stage) == 0

    @promises("PURGE-1")
    async def test_purge_1_age_and_limit(self, stage: Stage) -> None:
        """Finished before the limit, not at it; so many a call."""
        for number in range(10):
            row = await stage.hold(f"{number}")
            await stage.applied(finish(row), now=NOW + number * SECOND)
        assert await purge(stage, NOW) == 0
        assert await purge(stage, NOW + 4 * SECOND, limit=3) == 3
        assert await purge(stage, NOW + 4 * SECOND, limit=3) == 1
        assert await purge(stage, NOW + 4 * SECOND, limit=3) == 0
        left = {row.id for row in await stage.find(Query())}
        assert left == {f"{number}" for number in range(4, 10)}
        assert await purge(stage, limit=0) == 0
        assert await purge(stage) == 6

    @promises("PURGE-1")
    async def test_purge_1_past_those_that_stay(self, stage: Stage) -> None:
        """Old finished rows that must stay do not keep younger ones from going."""
        for number in range(6):
            await family(stage, f"busy{number}", 1, held=True)
            kid = await stage.row(f"busy{number}.0")
            await stage.applied(finish(kid), now=NOW - HOUR)
        for number in range(4):
            await stage.applied(finish(await stage.hold(f"old{number}")))
        gone: list[int] = []
        while gone[-1:] != [0]:
            gone.append(await purge(stage, limit=2))
        assert sum(gone) == 4

    @promises("PURGE-2")
    async def test_purge_2_children_of_the_unfinished(self, stage: Stage) -> None:
        """Whatever the parent does; they go when it has finished, or is gone."""
        _, kids = await family(stage, "waits", 2, held=True, join_at=-1)
        held = await stage.hold("held")
        await stage.applied(keep(held, children=children(held, 2, owner=ANNA)))
        kids += await stage.rows("held.0", "held.1")
        await stage.applied(*[finish(kid) for kid in kids], now=NOW - HOUR)
        assert await purge(stage) == 0, "children of an unfinished parent"
        await stage.applied(finish(held))
        assert await purge(stage, NOW) == 2
        assert await stage.ids(Query(parent_id="held")) == []
        await stage.applied(finish(await stage.take("waits")), now=NOW - 2 * HOUR)
        for _ in range(3):
            await purge(stage, limit=1)
        assert [row.id for row in await stage.find(Query())] == ["held"]

    @promises("PURGE-2")
    async def test_purge_2_no_count_is_lost(self, stage: Stage) -> None:
        """A purge between the end of one child and the other's."""
        _, (first, second) = await family(stage, "p", 2, held=True)
        await stage.applied(finish(first, output=b"o"), now=NOW - HOUR)
        await purge(stage)
        await stage.applied(finish(second), now=NOW - HOUR)
        await purge(stage)
        parent = await stage.take("p")
        assert (parent.pending, parent.phase) == (0, Phase.WAITING_FOR_CHILDREN)
        found = await stage.find(Query(parent_id="p"))
        assert [kid.id for kid in found] == ["p.0", "p.1"]

    @promises("PURGE-3")
    async def test_purge_3_what_goes_along(self, stage: Stage) -> None:
        """Checkpoints go, id and key are free again; the old token opens nothing."""
        row = await stage.hold("a", key="k")
        item = finish(row, checkpoints={"step": b"1"})
        await stage.applied(item)
        other = await stage.hold("b", key="l")
        await stage.applied(keep(other, checkpoints={"step": b"2"}))
        assert await purge(stage) == 1
        assert list(await stage.storage.get(ids=["a"])) == [None]
        assert await stage.checkpoints("a") == []
        assert [point.value for point in await stage.checkpoints("b")] == [b"2"]
        (again,) = await stage.insert(new("a", key="k", due=NOW + HOUR))
        assert await stage.checkpoints("a") == []
        await stage.apply(item)
        assert await stage.row("a") == again

    @promises("PURGE-3")
    async def test_purge_3_messages(self, stage: Stage) -> None:
        """Fresh messages stay, whatever became of the sleepers before them."""
        await stage.insert(sleeper("old", "used"))

        def message(request: str, key: str, until: int) -> Wake:
            return Wake(task="work", wake_key=key, request=request, keep_until=until)

        await stage.storage.wake(items=[message("r0", "used", NOW + MINUTE)], now=NOW)
        items = [
            message("r1", "used", NOW + 2 * HOUR),
            message("r2", "fresh", NOW + 2 * HOUR),
            message("r3", "expired", NOW + MINUTE),
        ]
        answers = await stage.storage.wake(items=items, now=NOW)
        assert [answer.outcome for answer in answers] == [WakeOutcome.KEPT] * 3
        assert await purge(stage) == 1, "the old sleeper; messages are no executions"
        rows = await stage.insert(
            *[sleeper(key, key) for key in ("used", "fresh", "expired")], now=NOW + HOUR
        )
        assert [row.phase for row in rows] == [
            Phase.COMPLETED,
            Phase.COMPLETED,
            Phase.SLEEPING,
        ]
