"""READ-1, READ-2, READ-5 and READ-6: what is found, in which order, across pages."""

from collections import Counter
from collections.abc import Iterable
from itertools import chain
from typing import Any

from durable_core.storage import CountBy, Head, Phase, Query, Record, Status

from ..author import Author
from ..checking import promises
from ..families import WAITS
from ..moves import child, children, finish, keep, new, release, sleeper
from ..stage import ANNA, BELA, HOUR, NOW, SECOND, Stage
from ..zoo import ZOO, fill_zoo


def head_of(record: Record) -> Head:
    """Return the record without its payloads."""
    return Head(**{name: getattr(record, name) for name in Head.__dataclass_fields__})


async def fill_archive(stage: Stage) -> list[Record]:
    """Insert rows that differ in everything a query may ask for; return them in order."""
    random = stage.random
    for number in range(48):
        name = f"{random.choice(['a', 'b', 'a.', 'A'])}{number:02}"
        item = new(
            name,
            task=random.choice(["one", "two", "three"]),
            queue=random.choice(["q", "r"]),
            group=random.choice([None, "g", "h"]),
            tags=frozenset(random.sample(["red", "green", "blue"], random.randrange(4))),
            owner=random.choice([None, None, ANNA, BELA]),
            due=random.choice([0, NOW + HOUR]),
        )
        now = NOW + random.randrange(6) * SECOND
        (row,) = await stage.insert(item, now=now)
        if row.owner is not None:
            match random.randrange(4):
                case 0:
                    kids = children(row, 2, task="two", queue="r", due=None)
                    phase = random.choice(WAITS)
                    await stage.applied(release(row, phase, None, children=kids), now=now)
                case 1:
                    phase = random.choice([Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED])
                    when = NOW + random.randrange(6) * SECOND
                    await stage.applied(finish(row, phase), now=when)
                case _:
                    pass
    rows = [row for row in await stage.find(Query()) if isinstance(row, Record)]
    assert len({row.id for row in rows}) == len(rows) >= 48
    return rows


def asked_for(row: Record, query: Query) -> bool:
    """Whether a query asks for a row: each filter that is given must agree."""
    exact = ("queue", "group", "parent_id", "root_id", "owner")
    wanted = [getattr(row, name) == getattr(query, name)
              for name in exact if getattr(query, name) is not None]  # fmt: skip
    if query.statuses is not None:
        wanted.append(row.status in query.statuses)
    if query.tasks is not None:
        wanted.append(row.task in query.tasks)
    if query.id_prefix is not None:
        wanted.append(row.id.startswith(query.id_prefix))
    wanted.append(query.tags <= row.tags)
    wanted.append(query.created_from is None or row.created_at >= query.created_from)
    wanted.append(query.created_before is None or row.created_at < query.created_before)
    ended = row.finished_at
    if query.finished_from is not None:
        wanted.append(ended is not None and ended >= query.finished_from)
    if query.finished_before is not None:
        wanted.append(ended is not None and ended < query.finished_before)
    return all(wanted)


def queries(stage: Stage, rows: list[Record]) -> Iterable[Query]:
    """Yield queries: every filter by itself, and random combinations."""
    two = SECOND * 2
    parents = {row.parent_id for row in rows if row.parent_id is not None}
    single: list[dict[str, Any]] = [
        {"statuses": frozenset({Status.RUNNING, Status.READY, Status.FAILED})},
        {"statuses": frozenset[Status]()},
        {"tasks": frozenset({"one"})},
        {"tasks": frozenset({"one", "three", "four"})},
        {"tasks": frozenset[str]()},
        {"queue": "q"},
        {"group": "g"},
        {"owner": ANNA},
        {"owner": "nobody"},
        {"tags": frozenset({"red"})},
        {"tags": frozenset({"red", "blue"})},
        {"created_from": NOW + two},
        {"created_before": NOW + two},
        {"finished_from": NOW + two},
        {"finished_before": NOW + two},
        {"id_prefix": "a"},
        {"id_prefix": "a."},
        {"id_prefix": ""},
    ]
    single += [{"statuses": frozenset({status})} for status in Status]
    for parent in sorted(parents)[:2]:
        single += [{"parent_id": parent}, {"root_id": parent}]
    for fields in single:
        yield Query(**fields)
    for _ in range(40):
        some = stage.random.sample(single, 2)
        yield Query(**dict(chain.from_iterable(fields.items() for fields in some)))


class ReadChecks(Author):
    """READ-1, READ-2, READ-5 and READ-6."""

    @promises("READ-1")
    async def test_read_1_get(self, stage: Stage) -> None:
        """In request order, with unknown and repeated ids; heads without payloads."""
        await fill_zoo(stage)
        ids = [*ZOO, "nobody", "ready", "neither", *ZOO]
        stage.random.shuffle(ids)
        rows = await stage.storage.get(ids=ids)
        heads = await stage.storage.get(ids=ids, payload=False)
        for id_, row, head in zip(ids, rows, heads, strict=True):
            if id_ in ZOO:
                assert isinstance(row, Record)
                assert row.id == id_
                assert not isinstance(head, Record)
                assert head == head_of(row)
            else:
                assert (row, head) == (None, None)
        assert list(await stage.storage.get(ids=[])) == []

    @promises("READ-1")
    async def test_read_1_every_answered_commit(self, stage: Stage) -> None:
        """What one handle was answered, another one sees at once, by every read."""
        other = await stage.handle()
        parent = await stage.hold("p")
        for turn in range(15):
            await stage.applied(
                keep(parent, attempt=turn, children=[child(parent, turn, owner=BELA)])
            )
            assert (await stage.row("p", at=other)).attempt == turn
            kids = await stage.find(Query(parent_id="p"), at=other)
            assert [kid.child_index for kid in kids] == list(range(turn + 1))
            held = await stage.find(Query(owner=BELA), at=other)
            assert [row.id for row in held] == [f"p.{turn}"]
            await stage.applied(finish(await stage.row(f"p.{turn}")))
            assert (await stage.row(f"p.{turn}", at=other)).finished
            assert await stage.find(Query(owner=BELA), at=other) == []

    @promises("READ-2")
    async def test_read_2_filters(self, stage: Stage) -> None:
        """Every filter by itself, and combined by AND, against the plain reading of them."""
        rows = await fill_archive(stage)
        for query in queries(stage, rows):
            expected = [row for row in rows if asked_for(row, query)]
            if query.parent_id is not None:
                expected.sort(key=lambda row: row.child_index)
            assert await stage.find(query, limit=7) == expected, f"{query}"
            page = await stage.storage.find(query=query, limit=100)
            heads = [head_of(row) for row in expected]
            assert list(page.items) == heads[: len(page.items)]
            assert not any(isinstance(head, Record) for head in page.items)

    @promises("READ-2")
    async def test_read_2_order(self, stage: Stage) -> None:
        """By (created_at, id), byte by byte; the children of a parent by their index."""
        ids = ["b", "B", "a~", "a", "_", "a1", "Z", "10", "9", "a_", "a!"]
        stage.random.shuffle(ids)
        for id_ in ids:
            await stage.insert(new(id_), now=NOW + SECOND)
        await stage.insert(new("last"), now=NOW + 2 * SECOND)
        await stage.insert(new("zero"), now=NOW)
        for limit in (1, 2, 100):
            found = await stage.ids(Query(), limit=limit)
            assert found == ["zero", *sorted(ids), "last"]

    @promises("READ-2")
    async def test_read_2_pages_while_others_write(self, stage: Stage) -> None:
        """What does not change while one turns the pages is there once."""
        still = [f"m{n:02}" for n in range(20)]
        busy = [f"{letter}{n:02}" for letter in "az" for n in range(10)]
        await stage.insert(*[new(id_, due=None) for id_ in stage.random.sample(still, 20)])
        await stage.insert(*[new(id_, owner=ANNA) for id_ in stage.random.sample(busy, 20)])
        rows = {row.id: row for row in await stage.rows(*busy)}
        seen: list[str] = []
        cursor: str | None = None
        turn = 0
        while turn == 0 or cursor is not None:
            page = await stage.storage.find(query=Query(), limit=3, cursor=cursor)
            assert len(page.items) <= 3
            seen += [head.id for head in page.items]
            cursor = page.cursor
            if busy:
                await stage.applied(finish(rows[busy.pop(0)]), keep(rows[busy.pop()], attempt=9))
            await stage.insert(new(f"n{turn:02}"), new(f"b{turn:02}"))
            turn += 1
            assert turn < 200, "the pages never end"
        counts = Counter(seen)
        assert [counts[id_] for id_ in still] == [1] * len(still)
        assert max(counts.values()) == 1

    @promises("READ-5")
    async def test_read_5_count(self, stage: Stage) -> None:
        """What find finds, in all and split; no further than the cap."""
        rows = await fill_archive(stage)
        for query in queries(stage, rows):
            found = [row for row in rows if asked_for(row, query)]
            assert await self._counted(stage, query) == {"*": len(found)}
            for by in CountBy:
                expected = Counter(str(getattr(row, by.value)) for row in found)
                assert await self._counted(stage, query, by) == expected
        for cap in (1, 5, len(rows), len(rows) + 1):
            counted = await stage.storage.count(query=Query(), cap=cap)
            assert counted["*"] == min(cap, len(rows)), f"exact up to the cap of {cap}"

    async def _counted(
        self, stage: Stage, query: Query, by: CountBy | None = None
    ) -> dict[str, int]:
        counts = await stage.storage.count(query=query, by=by)
        return {str(name): number for name, number in counts.items() if number or by is None}

    @promises("READ-6")
    async def test_read_6_checkpoints(self, stage: Stage) -> None:
        """Many, written by several items at one time and by a clock that runs backwards."""
        row = await stage.hold("a")
        names = [f"step {n}" for n in range(40)]
        stage.random.shuffle(names)
        for turn in range(4):
            part = names[turn * 10 : turn * 10 + 10]
            item = keep(row, checkpoints={name: name.encode() for name in part})
            await stage.applied(item, now=NOW - turn // 2)
        for limit in (1, 7, 40, 100):
            found = await stage.checkpoints("a", limit=limit)
            assert [point.name for point in found] == names
            assert [point.value for point in found] == [name.encode() for name in names]
        page = await stage.storage.checkpoints(execution_id="a", limit=3)
        assert 0 < len(page.items) <= 3
        assert await stage.checkpoints("nobody") == []
        await stage.insert(sleeper("other", "bell"))
        assert await stage.checkpoints("other") == []
