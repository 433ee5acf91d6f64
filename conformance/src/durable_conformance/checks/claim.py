"""CLAIM: what may be taken hold of, by whom, in which order, and what is left."""

from functools import partial
from itertools import count

from durable_core.storage import Phase, Query, Record, Storage

from ..author import Author
from ..checking import promises
from ..moves import children, finish, keep, new, release, sleeper, wait
from ..promises import Hook, Level
from ..settings import current
from ..stage import ANNA, BELA, HOUR, NOW, SECOND, Stage
from ..zoo import DUTIES, HELD, ZOO, ZOO_CHILDREN, fill_zoo


class ClaimChecks(Author):
    """CLAIM-1 to CLAIM-10."""

    @promises("CLAIM-1")
    async def test_claim_1_only_unheld_and_due(self, stage: Stage) -> None:
        """Of a zoo of states only what is un-held and due."""
        await fill_zoo(stage)
        claimed = await stage.claim()
        assert sorted(row.id for row in claimed.records) == ["duty", "ready"]
        again = await stage.claim(executor=BELA)
        assert list(again.records) == [], "what is held is not claimed"
        later = await stage.claim(now=NOW + HOUR)
        expected = {"later", "napping", "sleeping", *ZOO_CHILDREN}
        assert {row.id for row in later.records} == expected

    @promises("CLAIM-1")
    async def test_claim_1_limit(self, stage: Stage) -> None:
        """At most so many, and none for 0."""
        await stage.insert(*[new(f"{n}") for n in range(7)])
        assert list((await stage.claim(limit=0)).records) == []
        assert await stage.held_by(ANNA) == set()
        sizes = [len((await stage.claim(limit=3)).records) for _ in range(4)]
        assert sizes == [3, 3, 1, 0]

    @promises("CLAIM-2")
    async def test_claim_2_only_what_was_asked_for(self, stage: Stage) -> None:
        """Tasks and queues both have to fit, but for built-in tasks."""
        await stage.insert(
            new("a", task="one", queue="q"),
            new("b", task="one", queue="r"),
            new("c", task="two", queue="q"),
            new("d", task="two", queue="r"),
            new("e", task="three", queue="q"),
            new("$", task="$wake", queue="unheard of"),
        )
        claimed = await stage.claim(tasks=["one", "two"], queues=["q"])
        assert {row.id for row in claimed.records} == {"a", "c", "$"}
        claimed = await stage.claim(tasks=["one"], queues=["q", "r"])
        assert {row.id for row in claimed.records} == {"b"}
        assert list((await stage.claim(tasks=["four"], queues=["q"])).records) == []
        claimed = await stage.claim(tasks=["two", "three"], queues=["r", "q"])
        assert {row.id for row in claimed.records} == {"d", "e"}

    @promises("CLAIM-2")
    async def test_claim_2_duties_for_everybody(self, stage: Stage) -> None:
        """A finished row with unfinished children goes to whoever claims first."""
        parent = await stage.hold("p", task="forgotten", queue="far away")
        await stage.applied(release(parent, children=children(parent, 1, task="unknown")))
        parent = await stage.take("p")
        await stage.applied(finish(parent, Phase.FAILED))
        claimed = await stage.claim(executor=BELA, tasks=["something"], queues=["else"])
        assert [row.id for row in claimed.records] == ["p"]

    @promises("CLAIM-3")
    async def test_claim_3_no_row_twice(self, stage: Stage) -> None:
        """Six claimers on three handles take everything, again and again, and share nothing."""
        handles = await stage.handles(3)
        size = 40
        await stage.insert(*[new(f"{n}") for n in range(size)])
        tokens: set[tuple[str, int]] = set()
        for _ in range(8):
            answers = await stage.race(
                *(
                    partial(
                        handles[n % 3].claim,
                        executor=f"claimer-{n}",
                        tasks=["work"],
                        queues=["default"],
                        limit=10,
                        now=NOW,
                    )
                    for n in range(6)
                )
            )
            rows = [row for answer in answers for row in answer.records]
            assert len({row.id for row in rows}) == len(rows), "a row was given to two claims"
            new_tokens = {(row.id, row.gen) for row in rows}
            assert not tokens & new_tokens, "a gen was given twice"
            tokens |= new_tokens
            held = await stage.rows(*[row.id for row in rows])
            assert [row.token for row in held] == [row.token for row in rows]
            await stage.applied(*[release(row) for row in rows])
        assert len(tokens) >= size

    @promises("CLAIM-4")
    async def test_claim_4_the_record_after_the_claim(self, stage: Stage) -> None:
        """Every phase, claimed: a new token and no due, and everything else as it was."""
        await fill_zoo(stage)
        before = {id_: (await stage.row(id_)) for id_ in (*ZOO, *ZOO_CHILDREN)}
        by_time = await stage.claim(now=NOW + HOUR)
        by_id = await stage.claim(ids=["never", "waiting", "finalizing"], now=NOW + HOUR)
        claimed = [*by_time.records, *by_id.records]
        assert len({row.phase for row in claimed}) == 5
        for row in claimed:
            old = before[row.id]
            started = NOW + HOUR if old.phase is Phase.READY else old.started_at
            expected = {"owner": ANNA, "gen": old.gen + 1, "due": None, "started_at": started}
            changed = {
                name: getattr(row, name)
                for name in old.__dataclass_fields__
                if getattr(row, name) != getattr(old, name)
            }
            assert row.token == (ANNA, old.gen + 1)
            assert changed.items() <= expected.items(), f"{row.id} ({old.phase}) was changed"
            assert row.due is None
            assert row.started_at == started
            assert await stage.row(row.id) == row, "the answer is what is stored"

    @promises("CLAIM-5")
    async def test_claim_5_order(self, stage: Stage) -> None:
        """Rows of random priority and due, claimed in pieces."""
        random = stage.random
        resolution = stage.storage.capabilities.resolution_us
        dues = [0, 0, 1, NOW, *[NOW - random.randrange(100 * SECOND) for _ in range(8)]]
        items = [
            new(f"{n}", priority=random.choice([-1000, -1, 0, 1, 1000]), due=random.choice(dues))
            for n in range(60)
        ]
        await stage.insert(*items)
        given = {item.id: item for item in items}
        order: list[tuple[int, int]] = []
        while claimed := (await stage.claim(limit=random.randrange(1, 9))).records:
            for row in claimed:
                due = given[row.id].due
                assert due is not None
                order.append((-row.priority, -(-due // resolution)))
        assert len(order) == len(items)
        assert order == sorted(order)

    @promises("CLAIM-5")
    async def test_claim_5_order_across_queues_and_tasks(self, stage: Stage) -> None:
        """Priority and due count more than the task or queue that is named first."""
        await stage.insert(
            new("3", task="a", queue="x", priority=1, due=NOW - 2 * SECOND),
            new("5", task="a", queue="y", due=NOW - 3 * SECOND),
            new("1", task="b", queue="y", priority=2),
            new("2", task="b", queue="x", priority=1, due=NOW - 3 * SECOND),
            new("4", task="$c", queue="z", priority=1, due=NOW - 1 * SECOND),
        )
        claimed = await stage.claim(tasks=["a", "b"], queues=["x", "y"])
        assert [row.id for row in claimed.records] == ["1", "2", "3", "4", "5"]

    @promises("CLAIM-6")
    async def test_claim_6_beside_writers(self, stage: Stage) -> None:
        """Claims beside writers of the same rows answer, and take no row that is held."""
        writer, *claimers = await stage.handles(3)

        async def claims(at: Storage) -> list[Record]:
            taken: list[Record] = []
            for _ in range(3):
                claimed = await at.claim(
                    executor=BELA, tasks=["work"], queues=["default"], limit=9, now=NOW
                )
                taken.extend(claimed.records)
            return taken

        async def write(rows: list[Record]) -> list[Record]:
            await writer.apply(items=[release(row) for row in rows], now=NOW)
            return []

        rows = await stage.insert(*[new(f"{n}", owner=ANNA) for n in range(30)])
        for _ in range(6):
            stage.random.shuffle(rows)
            released = rows[:20]
            answers = await stage.race(
                partial(write, released), *(partial(claims, at) for at in claimers)
            )
            answers.append([*(await stage.claim(executor=BELA)).records])
            back = [row for rows in answers for row in rows]
            assert sorted(row.id for row in back) == sorted(row.id for row in released)
            await stage.applied(*[release(row, due=None) for row in back])
            rows = [*rows[20:], *[await stage.take(row.id) for row in back]]

    @promises("CLAIM-6", level=Level.CONCURRENT, hook=Hook.LOCK)
    async def test_claim_6_past_a_lock(self, stage: Stage) -> None:
        """A row that somebody else's transaction has locked."""
        await stage.insert(new("locked", priority=1), new("free"))
        async with self.lock(stage.namespace, "locked"):
            claimed = await stage.claim()
            assert [row.id for row in claimed.records] == ["free"]
            assert not claimed.exhausted, "a due row was left behind"
        assert [row.id for row in (await stage.claim()).records] == ["locked"]

    @promises("CLAIM-7")
    async def test_claim_7_not_hidden_by_the_unknown(self, stage: Stage) -> None:
        """Due rows behind many ready rows of unknown tasks and many scheduled ones."""
        number = current().rows
        await stage.insert(
            *[new(f"u{n}", task=f"unknown-{n % 3}", priority=1000) for n in range(number)],
            *[new(f"f{n}", priority=n % 1000, due=NOW + 1 + n) for n in range(number)],
            *[new(f"k{n}", priority=-1000, due=NOW) for n in range(10)],
        )
        first = await stage.claim(limit=4)
        assert len(first.records) == 4
        assert not first.exhausted
        second = await stage.claim(limit=100)
        known = {row.id for row in (*first.records, *second.records)}
        assert known == {f"k{n}" for n in range(10)}

    @promises("CLAIM-8")
    async def test_claim_8_by_ids(self, stage: Stage) -> None:
        """All of a zoo of states by id: what is un-held and unfinished, due or not."""
        await fill_zoo(stage)
        ids = [*ZOO, *ZOO_CHILDREN, "nobody"]
        claimed = await stage.claim(tasks=[], queues=[], ids=ids)
        expected = {"ready", "later", "never", "napping", "waiting", "finalizing", *ZOO_CHILDREN}
        assert {row.id for row in claimed.records} == expected
        assert len(claimed.records) == len(expected)
        untouched = await stage.rows(*HELD, *DUTIES, "sleeping")
        assert [row.owner for row in untouched] == [BELA, BELA, None, BELA, None]

    @promises("CLAIM-8")
    async def test_claim_8_sleepers_and_limit(self, stage: Stage) -> None:
        """A sleeper with a wake key when it is due; at most `limit`; an id named twice."""
        await stage.insert(sleeper("s", "bell", due=NOW), new("a"), new("b", due=None))
        assert list((await stage.claim(ids=["s"], now=NOW - 1)).records) == []
        assert [row.id for row in (await stage.claim(ids=["s", "s"])).records] == ["s"]
        assert len((await stage.claim(ids=["a", "b"], limit=1)).records) == 1
        assert list((await stage.claim(ids=[])).records) == []
        assert len(await stage.held_by(ANNA)) == 2

    @promises("CLAIM-9")
    async def test_claim_9_find_what_is_held(self, stage: Stage) -> None:
        """After claims, inserts, applies and reaps, seen from another handle."""
        other = await stage.handle()

        async def held() -> set[tuple[str, int]]:
            found = await stage.find(Query(owner=ANNA), at=other)
            return {(row.id, row.gen) for row in found}

        await stage.insert(*[new(f"{n}") for n in range(4)], new("x", owner=BELA))
        claimed = await stage.storage.claim(
            executor=ANNA, tasks=["work"], queues=["default"], limit=3, now=NOW, claim_id="c"
        )
        rows = {row.id: row for row in claimed.records}
        assert await held() == {(row.id, row.gen) for row in rows.values()}
        again = await stage.storage.claim(
            executor=ANNA, tasks=["work"], queues=["default"], limit=3, now=NOW, claim_id="c"
        )
        # The same claim sent again may answer the same rows, under the same tokens, or go on.
        rows |= {row.id: row for row in again.records}
        assert await held() == {(row.id, row.gen) for row in rows.values()}
        rows["h"] = await stage.hold("h")
        assert await held() == {(row.id, row.gen) for row in rows.values()}
        kept, released, finished = [rows.pop(id_) for id_ in sorted(rows)[:3]]
        await stage.applied(keep(kept), release(released), finish(finished))
        rows[kept.id] = kept
        assert await held() == {(row.id, row.gen) for row in rows.values()}
        await stage.reap()
        assert await held() == set()

    @promises("CLAIM-10")
    async def test_claim_10_exhausted(self, stage: Stage) -> None:
        """False while a row was left behind; True in the end."""
        await stage.insert(
            *[new(f"{n}", queue=f"q{n % 3}") for n in range(30)],
            new("future", priority=1, due=NOW + 1),
            new("unknown", task="unknown", priority=1),
        )
        left = 30
        for calls in count():
            assert calls < 100, "a caller without competitors gets to the end"
            claimed = await stage.claim(queues=["q0", "q1", "q2"], limit=4)
            left -= len(claimed.records)
            if claimed.exhausted:
                break
        assert left == 0, "exhausted, but rows were left behind"

    @promises("CLAIM-10")
    async def test_claim_10_exhausted_by_ids(self, stage: Stage) -> None:
        """A limit that leaves named rows behind."""
        await stage.insert(new("a"), new("b"))
        claimed = await stage.claim(ids=["a", "b"], limit=1)
        assert (len(claimed.records), claimed.exhausted) == (1, False)

    @promises("CLAIM-10")
    async def test_claim_10_joined_and_duties_count(self, stage: Stage) -> None:
        """A join and a duty that are left behind are rows that are left behind."""
        parent = await stage.hold("p")
        await stage.applied(wait(parent))
        await stage.insert(new("other", due=1))
        claimed = await stage.claim(limit=1)
        assert (len(claimed.records), claimed.exhausted) == (1, False)
