"""What is the same for all rows of a batch is sent once; each row is stored as it was given."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from postgres_hooks import storage_in

from durable_core.storage import Finish, Keep, NewExecution, Phase, Record, Release, Token
from durable_postgres.records import by_column

NOW = 2_000_000_000_000_000
_PLAIN = NewExecution(id="", task="work", due=NOW, options=b"o", input=b"i")
_OTHER = replace(
    _PLAIN, task="other", queue="q", child_index=3, priority=-5, options=b"p", meta=b"m", owner="x"
)


def test_columns() -> None:
    rows = [("a", None, None, 1, 2, None), ("b", None, 7, 1, 2, None)]
    assert by_column(rows, {3, 5}) == [["a", "b"], [], [None, 7], [1], [2, 2], []]
    assert by_column(rows[:1]) == [["a"], [], [], [1], [2], []]


@pytest.mark.parametrize("kinds", list(product([_PLAIN, _OTHER], repeat=3)))
async def test_rows_that_are_alike_and_rows_that_are_not(kinds: list[NewExecution]) -> None:
    items = [replace(kind, id=f"{n}") for n, kind in enumerate(kinds)]
    async with storage_in() as storage:
        answers = await storage.insert(items=items, now=NOW)
        stored = await storage.get(ids=[item.id for item in items])
        assert stored == [answer.record for answer in answers]
        for item, row in zip(items, stored, strict=True):
            assert isinstance(row, Record)
            for name in ("task", "queue", "child_index", "priority", "options", "meta", "input"):
                assert getattr(row, name) == getattr(item, name)
            assert row.root_id == item.id


_TOKEN = Token("anna", 1)
_CHANGES: list[Any] = [
    Keep(id="", token=_TOKEN, state=b"s"),
    Release(id="", token=_TOKEN, phase=Phase.READY, due=NOW + 5, attempt=2),
    Finish(id="", token=_TOKEN, phase=Phase.COMPLETED, output=b"o"),
]


@pytest.mark.parametrize("kinds", list(product(_CHANGES, repeat=3)))
async def test_transitions_of_one_kind_and_of_several(kinds: list[Any]) -> None:
    items = [replace(kind, id=f"{n}") for n, kind in enumerate(kinds)]
    async with storage_in() as storage:
        births = [replace(_PLAIN, id=item.id, owner="anna") for item in items]
        await storage.insert(items=births, now=NOW)
        answers = await storage.apply(items=items, now=NOW)
        assert [answer.outcome.value for answer in answers] == ["applied"] * 3
        for item, row in zip(items, await storage.get(ids="012"), strict=True):
            assert isinstance(row, Record)
            if isinstance(item, Keep):
                assert (row.phase, row.owner, row.state) == (Phase.READY, "anna", b"s")
            elif isinstance(item, Release):
                assert (row.phase, row.owner, row.due) == (Phase.READY, None, NOW + 5)
                assert row.attempt == 2
            else:
                assert (row.phase, row.owner, row.output) == (Phase.COMPLETED, None, b"o")
                assert row.ended_by == "anna/1"
