"""INSERT: what is created, what exists already, and what is held at once."""

from dataclasses import replace
from functools import partial

import pytest

from durable_core.storage import (
    InsertOutcome,
    InvalidArgumentError,
    OnCancel,
    Phase,
    Query,
    Wake,
)

from ..author import Author
from ..checking import promises
from ..moves import child, finish, keep, new, release, row_of, sleeper, wait
from ..stage import ANNA, BELA, HOUR, NOW, Stage
from ..zoo import ZOO, ZOO_CHILDREN, fill_zoo

_CREATED = InsertOutcome.CREATED
_SAME_ID = InsertOutcome.EXISTING_ID
_SAME_KEY = InsertOutcome.EXISTING_KEY
_SAME_WAKE_KEY = InsertOutcome.EXISTING_WAKE_KEY
_ROUNDS = 15


class InsertChecks(Author):
    """INSERT-1 to INSERT-8."""

    @promises("INSERT-1")
    async def test_insert_1_a_row_reads_back_as_given(self, stage: Stage) -> None:
        """Rows with all fields, with none, and sleepers: as answered, got and found."""
        items = [
            new("plain"),
            new(
                "full",
                queue="letters",
                group="customer 7",
                key="order 12",
                root_id="elsewhere",
                child_index=3,
                on_cancel=OnCancel.DELIVER,
                tags=frozenset({"blue", "green"}),
                priority=-7,
                due=NOW + 123_456,
                options=b"o",
                meta=b"m",
                input=b"i",
                state=b"s",
            ),
            new("held", owner=ANNA, due=NOW - 1, priority=5),
            new("never", due=None),
            new("empty", state=b""),
            sleeper("bell", "ring", due=NOW + HOUR),
            new("nap", phase=Phase.SLEEPING, due=NOW + HOUR),
        ]
        expected = [row_of(item, NOW) for item in items]
        answers = await stage.storage.insert(items=items, now=NOW)
        assert [answer.outcome for answer in answers] == [_CREATED] * len(items)
        assert [answer.record for answer in answers] == expected
        assert await stage.rows(*[item.id for item in items]) == expected
        found = await stage.find(Query())
        assert found == sorted(expected, key=lambda row: row.id)

    @promises("INSERT-2")
    async def test_insert_2_an_existing_id_changes_nothing(self, stage: Stage) -> None:
        """Every id of a zoo of states, inserted again with other values."""
        await fill_zoo(stage)
        before = await stage.everything()
        ids = [*ZOO, *ZOO_CHILDREN]
        again = [new(id_, task="other", input=b"other", owner=ANNA, priority=9) for id_ in ids]
        answers = await stage.storage.insert(items=again, now=NOW + 1)
        assert [answer.outcome for answer in answers] == [_SAME_ID] * len(ids)
        assert [answer.record for answer in answers] == [before[id_][0] for id_ in ids]
        assert await stage.everything() == before

    @promises("INSERT-2")
    async def test_insert_2_twice_in_one_batch(self, stage: Stage) -> None:
        """The second of two items with one id counts as existing."""
        items = [new("one", input=b"first"), new("two"), new("one", input=b"second")]
        answers = await stage.storage.insert(items=items, now=NOW)
        assert [answer.outcome for answer in answers] == [_CREATED, _CREATED, _SAME_ID]
        assert answers[2].record == answers[0].record == row_of(items[0], NOW)

    @promises("INSERT-3")
    async def test_insert_3_an_existing_key(self, stage: Stage) -> None:
        """A key is taken in its task, finished or not, and free in others."""
        first = await stage.hold("first", key="k", input=b"i")
        done = await stage.hold("done", key="d")
        await stage.applied(finish(done))
        done = await stage.row("done")
        items = [
            new("a", key="k"),
            new("b", key="d"),
            new("c", task="other", key="k"),
            new("d", key="new"),
            new("e", key="new"),
            new("f", key=None),
        ]
        answers = await stage.storage.insert(items=items, now=NOW + 1)
        assert [(answer.outcome, answer.record.id) for answer in answers] == [
            (_SAME_KEY, "first"),
            (_SAME_KEY, "done"),
            (_CREATED, "c"),
            (_CREATED, "d"),
            (_SAME_KEY, "d"),
            (_CREATED, "f"),
        ]
        assert [answers[0].record, answers[1].record] == [first, done]
        assert await stage.rows("first", "done") == [first, done]

    @promises("INSERT-3")
    async def test_insert_3_an_existing_wake_key(self, stage: Stage) -> None:
        """A wake key is taken while its sleeper is unfinished, in its task."""
        (first,) = await stage.insert(sleeper("first", "bell"))
        items = [sleeper("a", "bell"), sleeper("b", "bell", task="other"), sleeper("c", "gong")]
        answers = await stage.storage.insert(items=items, now=NOW + 1)
        outcomes = [answer.outcome for answer in answers]
        assert outcomes == [_SAME_WAKE_KEY, _CREATED, _CREATED]
        assert answers[0].record == first

    @promises("INSERT-3")
    async def test_insert_3_the_order_of_looking(self, stage: Stage) -> None:
        """Where several exist, the id decides, then the key, then the wake key."""
        await stage.insert(new("by-id"), new("by-key", key="k"), sleeper("by-wake-key", "w"))
        items = [sleeper("by-id", "w", key="k"), sleeper("x", "w", key="k"), sleeper("y", "w")]
        answers = await stage.storage.insert(items=items, now=NOW)
        assert [(answer.outcome, answer.record.id) for answer in answers] == [
            (_SAME_ID, "by-id"),
            (_SAME_KEY, "by-key"),
            (_SAME_WAKE_KEY, "by-wake-key"),
        ]

    @promises("INSERT-4")
    async def test_insert_4_one_of_many_creates(self, stage: Stage) -> None:
        """Three handles insert one id, and one key under different ids, at the same time."""
        handles = await stage.handles(3)
        for turn in range(_ROUNDS):
            same_id = [new(f"id-{turn}", input=bytes([n])) for n in range(6)]
            same_key = [new(f"key-{turn}-{n}", key=f"key-{turn}") for n in range(6)]
            for items, taken in ((same_id, _SAME_ID), (same_key, _SAME_KEY)):
                answers = await stage.race(
                    *(
                        partial(handles[n % 3].insert, items=[item], now=NOW)
                        for n, item in enumerate(items)
                    )
                )
                outcomes = sorted(answer[0].outcome for answer in answers)
                assert outcomes == sorted([_CREATED, *[taken] * 5])
                rows = [answer[0].record for answer in answers]
                assert all(row == rows[0] for row in rows), "all answers name the same row"
                assert await stage.row(rows[0].id) == rows[0]
        assert len(await stage.find(Query())) == 2 * _ROUNDS

    @promises("INSERT-5")
    async def test_insert_5_neighbours_and_repeats(self, stage: Stage) -> None:
        """Conflicts in the middle of a batch, which is then sent again."""
        await stage.insert(new("there"), new("keyed", key="k"), sleeper("asleep", "w"))
        items = [new("a"), new("there"), new("b"), new("x", key="k"), sleeper("y", "w"), new("c")]
        created = [_CREATED, _SAME_ID, _CREATED, _SAME_KEY, _SAME_WAKE_KEY, _CREATED]
        answers = await stage.storage.insert(items=items, now=NOW)
        assert [answer.outcome for answer in answers] == created
        before = await stage.everything()
        assert sorted(before) == ["a", "asleep", "b", "c", "keyed", "there"]
        again = await stage.storage.insert(items=items, now=NOW + 1)
        exists = [_SAME_ID, _SAME_ID, _SAME_ID, _SAME_KEY, _SAME_WAKE_KEY, _SAME_ID]
        assert [answer.outcome for answer in again] == exists
        assert await stage.everything() == before

    @promises("INSERT-6")
    async def test_insert_6_held_at_once(self, stage: Stage) -> None:
        """Due and ready: held and offered to no claim; not due or asleep: created un-held."""
        items = [
            new("zero", owner=ANNA),
            new("just", owner=ANNA, due=NOW),
            new("future", owner=ANNA, due=NOW + HOUR),
            new("event", owner=ANNA, due=None),
            sleeper("asleep", "w", owner=ANNA, due=0),
            new("nap", owner=ANNA, phase=Phase.SLEEPING, due=NOW + HOUR),
        ]
        rows = await stage.insert(*items)
        assert rows == [row_of(item, NOW) for item in items]
        assert await stage.held_by(ANNA) == {("zero", 1), ("just", 1)}
        claimed = await stage.claim(executor=BELA, now=NOW + HOUR)
        assert {row.id for row in claimed.records} == {"future", "asleep", "nap"}

    @promises("INSERT-6")
    async def test_insert_6_a_child_held_at_once(self, stage: Stage) -> None:
        """Children of a keep and of a release may ask for an owner as well."""
        parent = await stage.hold("p")
        asks = [child(parent, n, owner=BELA, due=NOW + HOUR * n) for n in range(2)]
        (kept,) = await stage.applied(keep(parent, children=[*asks, child(parent, 2)]))
        assert list(kept.held) == ["p.0"]
        asks = [child(parent, n, owner=BELA, due=NOW) for n in range(3, 5)]
        (released,) = await stage.applied(wait(parent, children=asks))
        assert list(released.held) == ["p.3", "p.4"]
        rows = await stage.rows("p.0", "p.1", "p.2", "p.3", "p.4")
        owners = [(row.owner, row.gen) for row in rows]
        assert owners == [(BELA, 1), (None, 0), (None, 0), (BELA, 1), (BELA, 1)]
        assert (await stage.row("p")).pending == 5
        # The token of a child that is held from birth is good.
        await stage.applied(finish(rows[0]))

    @promises("INSERT-7")
    async def test_insert_7_roots_only(self, stage: Stage) -> None:
        """An item with a parent, among others, existing or not."""
        parent = await stage.hold("p")
        before = await stage.everything()
        for orphan in (child(parent, 0), replace(new("x"), parent_id="nobody")):
            with pytest.raises(InvalidArgumentError):
                await stage.storage.insert(items=[new("before"), orphan, new("after")], now=NOW)
        assert await stage.everything() == before

    @promises("INSERT-8")
    async def test_insert_8_answers_survive_a_kill(self, stage: Stage) -> None:
        """One of every write, then the server is killed and started again."""
        await fill_zoo(stage)
        await stage.register(BELA)
        message = Wake(task="work", wake_key="gong", request="r", keep_until=NOW + HOUR)
        await stage.storage.wake(items=[message], now=NOW)
        parent = await stage.take("waiting")
        kids = [child(parent, n) for n in range(1, 5)]
        await stage.applied(
            release(parent, checkpoints={"step": b"1"}, children=kids),
            finish(await stage.take("ready"), output=b"out", checkpoints={"last": b"2"}),
        )
        before = await stage.everything()
        await self.restart()
        stage.storage = await stage.handle()
        assert await stage.everything() == before
        assert (await stage.storage.heartbeat(executor=BELA, ttl=HOUR, now=NOW)).alive
        (born,) = await stage.storage.insert(items=[sleeper("late", "gong")], now=NOW)
        assert born.record.phase is Phase.COMPLETED, "the kept message survived"
