"""READ-3 and READ-4: what comes back is what was given, and reading disturbs nobody."""

from dataclasses import FrozenInstanceError, replace
from functools import partial
from typing import Any
from unicodedata import normalize

import pytest

from durable_core.storage import (
    InsertOutcome,
    NewExecution,
    Phase,
    Query,
    Record,
    Storage,
    Wake,
    WakeOutcome,
)

from ..author import Author
from ..checking import promises
from ..moves import child, finish, keep, new, row_of, sleeper
from ..stage import ANNA, NOW, SECOND, Stage

_PAYLOADS = (
    b"",
    b"\0",
    b"a\0b\0",
    bytes(range(256)),
    "🦊 naïve \u202e \u017f".encode(),
    b"\xff\xfe\xed\xa0\x80",
    b"'\"\\;--%_{}$1?:x\r\n\x1a",
)
_TEXTS = (
    "plain",
    "Plain",
    "plain ",
    " plain",
    "pla\u0131n",
    normalize("NFC", "café"),
    normalize("NFD", "café"),
    "CAFÉ",
    "strasse",
    "straße",
    "ﬁne",
    "fine",
    "🦊",
    "👩‍👩‍👧",
    "漢字",
    "a'b\"c\\d%e_f",
    "a\tb\nc",
    "\u200b",
    "{x}:y|z",
    "null",
    "0",
    "00",
)
"""Texts that a careless comparison takes for one another."""

_LONG_ASCII = "".join(chr(33 + n % 94) for n in range(255))
_LONG_TEXT = ("é🦊漢a" * 48)[:191]


class ByteChecks(Author):
    """READ-3 and READ-4."""

    @promises("READ-3")
    async def test_read_3_payloads(self, stage: Stage) -> None:
        """Awkward bytes in every field, in checkpoints and in messages."""
        for number, payload in enumerate(_PAYLOADS):
            item = new(f"{number}", options=payload, meta=payload, input=payload, state=payload,
                       owner=ANNA)  # fmt: skip
            (row,) = await stage.insert(item)
            assert row == row_of(item, NOW)
            await stage.applied(
                finish(row, output=payload, error=payload, checkpoints={"c": payload})
            )
            row = await stage.row(row.id)
            assert (row.options, row.meta, row.input, row.state, row.output, row.error) == (
                (payload,) * 6
            )
            assert [point.value for point in await stage.checkpoints(row.id)] == [payload]
            wake = Wake(task="work", wake_key="k", request=f"{number}", payload=payload,
                        keep_until=NOW + SECOND)  # fmt: skip
            await stage.storage.wake(items=[wake], now=NOW)
            (born,) = await stage.insert(sleeper(f"s{number}", "k"))
            assert born.output == payload
            beat = await stage.storage.heartbeat(
                executor=ANNA, ttl=1, now=NOW, register=True, info=payload
            )
            assert beat.alive

    @promises("READ-3")
    async def test_read_3_the_largest_payload(self, stage: Stage) -> None:
        """As large as declared, as input and as output."""
        capabilities = stage.storage.capabilities
        size = min(capabilities.max_payload, capabilities.max_batch_bytes)
        payload = (bytes(range(256)) * (size // 256 + 1))[:size]
        (row,) = await stage.insert(new("a", input=payload, owner=ANNA))
        assert row.input == payload
        await stage.applied(finish(row, output=payload))
        row = await stage.row("a")
        assert row.input == payload
        assert row.output == payload

    @promises("READ-3")
    async def test_read_3_texts(self, stage: Stage) -> None:
        """Awkward texts in every field, and as keys that all differ."""
        for number, text in enumerate((*_TEXTS, _LONG_TEXT)):
            item = new(
                f"{number}", task=text, queue=text, group=text, key=text,
                tags=frozenset({text[:64], "other"}), owner=ANNA,
            )  # fmt: skip
            (row,) = await stage.insert(item)
            assert row == row_of(item, NOW)
            assert await stage.row(row.id) == row
            await stage.applied(keep(row, checkpoints={text: b"c"}))
            assert [point.name for point in await stage.checkpoints(row.id)] == [text]
            await stage.insert(sleeper(f"s{number}", text, task=text))
        for number, text in enumerate(_TEXTS):
            for query in (
                Query(tasks=frozenset({text}), queue=text),
                Query(queue=text),
                Query(group=text),
                Query(tags=frozenset({text})),
            ):
                assert await stage.ids(query) == [f"{number}"]

    @promises("READ-3")
    async def test_read_3_keys_that_differ(self, stage: Stage) -> None:
        """Keys, wake keys, tasks and queues are told apart by every byte."""
        items = [new(f"k{n}", key=text) for n, text in enumerate(_TEXTS)]
        sleepers = [sleeper(f"w{n}", text) for n, text in enumerate(_TEXTS)]
        await stage.insert(*items, *sleepers)
        again = await stage.storage.insert(
            items=[replace(item, id=f"again-{item.id}") for item in items], now=NOW
        )
        assert {answer.outcome for answer in again} == {InsertOutcome.EXISTING_KEY}
        assert [answer.record.id for answer in again] == [item.id for item in items]
        wakes = [Wake(task="work", wake_key=text, request=f"{n}") for n, text in enumerate(_TEXTS)]
        answers = await stage.storage.wake(items=wakes, now=NOW)
        assert [answer.id for answer in answers] == [item.id for item in sleepers]
        assert {answer.outcome for answer in answers} == {WakeOutcome.WOKEN}
        await stage.claim()
        rows = [new(f"t{n}", task=text, queue=text) for n, text in enumerate(_TEXTS)]
        await stage.insert(*rows)
        for number, text in enumerate(_TEXTS):
            claimed = await stage.claim(tasks=[text], queues=[text])
            assert [row.id for row in claimed.records] == [f"t{number}"]

    @promises("READ-3")
    async def test_read_3_ids(self, stage: Stage) -> None:
        """Ids of every printable character, up to the longest, told apart by case."""
        ids = ["x", "X", _LONG_ASCII, _LONG_ASCII[:254], _LONG_ASCII.swapcase(), *"!\"#$%&'*~_\\"]
        await stage.insert(*[new(id_, input=id_.encode(), due=None) for id_ in ids])
        assert [row.input for row in await stage.rows(*ids)] == [id_.encode() for id_ in ids]
        assert await stage.ids(Query()) == sorted(ids)
        await stage.insert(*[new(f"p{mark}q", due=None) for mark in "_%*?[\\."])
        for mark in "_%*?[\\.":
            assert await stage.ids(Query(id_prefix=f"p{mark}")) == [f"p{mark}q"]
        for prefix in ("x", "X", _LONG_ASCII):
            assert await stage.ids(Query(id_prefix=prefix)) == [prefix]
        parent = await stage.hold(_LONG_ASCII[:200], owner="o" * 64)
        kid = child(parent, 0, id=_LONG_ASCII[1:])
        await stage.applied(keep(parent, children=[kid]))
        assert await stage.ids(Query(parent_id=parent.id)) == [kid.id]
        answers = await stage.storage.cancel(ids=[kid.id], request=_LONG_ASCII, now=NOW)
        assert answers[0].head is not None
        assert answers[0].head.ended_by == _LONG_ASCII

    @promises("READ-3")
    async def test_read_3_numbers_at_their_limits(self, stage: Stage) -> None:
        """The largest and the smallest that the protocol allows."""
        int32, int64 = 2**31 - 1, 2**63 - 1
        items: list[NewExecution] = [
            new("a", priority=1000, due=int64, child_index=int32),
            new("b", priority=-1000, due=None, child_index=-1),
            new("c", tags=frozenset(f"{n:064}" for n in range(16))),
        ]
        assert await stage.insert(*items) == [row_of(item, NOW) for item in items]
        assert await stage.rows("a", "b", "c") == [row_of(item, NOW) for item in items]
        row = await stage.hold("d")
        values = {"attempt": int32, "join_at": int32, "priority": -1000}
        await stage.applied(keep(row, **values))
        row = await stage.row("d")
        assert (row.attempt, row.join_at, row.priority) == (int32, int32, -1000)

    @promises("READ-4")
    async def test_read_4_readers_beside_writers(self, stage: Stage) -> None:
        """Readers turn pages and count while others write: nobody waits for ever, nobody fails."""
        writer, reader, counter = await stage.handles(3)
        await stage.insert(*[new(f"{n:03}", due=None) for n in range(200)])

        async def read(at: Storage) -> None:
            for _ in range(3):
                assert len(await stage.find(Query(), limit=20, at=at)) >= 200

        async def count(at: Storage) -> None:
            for _ in range(10):
                assert (await at.count(query=Query()))["*"] >= 200

        async def write(at: Storage) -> None:
            for turn in range(20):
                items = [new(f"x{turn}", owner=ANNA)]
                (answer,) = await at.insert(items=items, now=NOW)
                await at.apply(items=[finish(answer.record)], now=NOW)

        await stage.race(partial(read, reader), partial(count, counter), partial(write, writer))
        assert len(await stage.find(Query())) == 220

    @promises("READ-4")
    async def test_read_4_nothing_is_shared(self, stage: Stage) -> None:
        """Answers cannot be changed, and what was given can, without effect on what is stored."""
        items = [new("a", owner=ANNA)]
        answers = await stage.storage.insert(items=items, now=NOW)
        items.clear()
        row = answers[0].record
        points = {"c": b"1"}
        kids = [child(row, 0)]
        await stage.applied(keep(row, checkpoints=points, children=kids))
        points["d"] = b"2"
        kids.clear()
        before = await stage.everything()
        for answer in (row, await stage.row("a"), (await stage.claim()).records[0]):
            assert isinstance(answer, Record)
            changeable: Any = answer
            with pytest.raises(FrozenInstanceError):
                changeable.phase = Phase.FAILED
            assert isinstance(answer.input, bytes)
            assert isinstance(answer.tags, frozenset)
        page = await stage.storage.find(query=Query(), limit=10, payload=True)
        if isinstance(page.items, list):
            page.items.clear()
        after = await stage.everything()
        assert after["a"] == before["a"]
        assert set(after) == {"a", "a.0"}
        assert [point.name for point in await stage.checkpoints("a")] == ["c"]
