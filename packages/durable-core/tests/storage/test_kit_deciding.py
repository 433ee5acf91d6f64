"""What the kit decides is what the memory storage decides, which is written another way."""

from collections.abc import Sequence
from typing import Any

import pytest

from durable_core.storage import (
    Applied,
    Cancelled,
    Finish,
    Head,
    Keep,
    MemoryStorage,
    NewExecution,
    OnCancel,
    Phase,
    Release,
    Token,
    Transition,
    Wake,
    Woken,
)
from durable_core.storage.kit import Applying, Mailbox, Mailboxes, Rows

from .decided import Decided
from .invariants import tables_of
from .walk import Walk


class Talkative(MemoryStorage):
    """Remembers what it answered."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[Sequence[Applied | Woken | Cancelled]] = []

    async def apply(self, *, items: Sequence[Transition], now: int) -> Sequence[Applied]:
        """See `Storage.apply`."""
        self.said.append(answers := await super().apply(items=items, now=now))
        return answers

    async def wake(self, *, items: Sequence[Wake], now: int) -> Sequence[Woken]:
        """See `Storage.wake`."""
        self.said.append(answers := await super().wake(items=items, now=now))
        return answers

    async def cancel(self, *, ids: Sequence[str], request: str, now: int) -> Sequence[Cancelled]:
        """See `Storage.cancel`."""
        self.said.append(answers := await super().cancel(ids=ids, request=request, now=now))
        return answers


class TalkativeDecided(Talkative, Decided):
    """The same, decided by the kit."""


@pytest.mark.parametrize("seed", range(25))
def test_both_take_the_same_walk(seed: int) -> None:
    """Each step is chosen by what is stored, and checked against the state machine."""
    ours, theirs = TalkativeDecided(), Talkative()
    walks = [Walk(seed, ours), Walk(seed, theirs)]
    for _ in range(400):
        for walk in walks:
            walk.step()
        last = walks[0].watcher.log[-1:]
        assert walks[1].watcher.log[-1:] == last
        here, there = tables_of(ours), tables_of(theirs)
        assert here.rows == there.rows, last
        assert here.mailboxes == there.mailboxes, last
        assert here.checkpoints == there.checkpoints, last
    assert ours.said == theirs.said
    assert len(ours.said) > 100


async def test_both_answer_whole_batches_alike() -> None:
    """A family that ends in one call, a message for a child, and a child that is another's."""
    ours, theirs = TalkativeDecided(), Talkative()
    for storage in (ours, theirs):
        roots = [NewExecution(id=id_, task="work", owner="anna") for id_ in "ab"]
        await storage.insert(items=roots, now=1)
        await storage.wake(
            items=[
                Wake(task="nap", wake_key="k", request="w1", keep_until=9, payload=b"p"),
                Wake(task="nap", wake_key="k", request="w2", keep_until=9),
                Wake(task="nap", wake_key="k", request="w1", keep_until=9),
            ],
            now=2,
        )
        children = [
            _child("c", "a"),
            _child("d", "a"),
            _child("e", "a", task="nap", phase=Phase.SLEEPING, wake_key="k"),
        ]
        waits = Phase.WAITING_FOR_CHILDREN
        await storage.apply(
            items=[
                Release(id="a", token=_TOKEN, phase=waits, due=None, children=children),
                Keep(id="b", token=_TOKEN, children=[_child("c", "b")]),
            ],
            now=3,
        )
        done = [
            Finish(id=id_, token=_TOKEN, parent_id="a", phase=Phase.COMPLETED, output=b"o")
            for id_ in "cd"
        ]
        release = Release(id="b", token=_TOKEN, phase=waits, due=None)
        await storage.apply(items=[*done, release], now=4)
        await storage.apply(items=done, now=4)
        await storage.cancel(ids=["a", "b", "nobody"], request="r", now=5)
    assert ours.said == theirs.said
    assert tables_of(ours).rows == tables_of(theirs).rows
    outcomes = [[answer.outcome.value for answer in answers] for answers in ours.said]
    assert outcomes == [
        ["kept", "already_kept", "already_kept"],
        ["applied", "child_conflict"],
        ["applied", "applied", "applied"],
        ["already", "already"],
        ["ended", "ended", "missing"],
    ]


_TOKEN = Token("anna", 1)


def _child(id_: str, parent_id: str, **values: Any) -> NewExecution:
    values = {"task": "work", "owner": "anna", **values}
    return NewExecution(id=id_, parent_id=parent_id, root_id=parent_id, **values)


def test_a_storage_may_note_checkpoints_in_the_row() -> None:
    class Counting(Applying):
        def note_checkpoints(self, item: object) -> dict[str, object]:
            return {"points": len(getattr(item, "checkpoints", ()))}

    rows = Rows([_held("a"), _held("b")], now=7)
    applying = Counting(rows, Mailboxes({}), {}, set())
    keep = Keep(id="a", token=Token("anna", 1), checkpoints={"x": b"", "y": b""})
    end = Finish(id="b", token=Token("anna", 1), phase=Phase.COMPLETED, checkpoints={"x": b""})
    assert [_outcome(applying.apply(item)) for item in (keep, end)] == ["applied"] * 2
    assert rows.changes["a"] == {"pending": 0, "points": 2}
    assert rows.changes["b"]["points"] == 1
    assert not applying.points


def test_mailboxes_are_written_in_one_order() -> None:
    """That of the bytes, whatever order they were changed in, and once."""
    keys = [("t", "\N{PILE OF POO}"), ("t", "\uffff"), ("s", "z")]
    boxes = Mailboxes({key: Mailbox() for key in keys})
    for key in (*keys, keys[0]):
        boxes.change(*key).request = "r"
    assert list(boxes.take_changed()) == [("s", "z"), ("t", "\uffff"), ("t", "\N{PILE OF POO}")]
    assert not boxes.take_changed()


def _outcome(answer: Applied) -> str:
    return answer.outcome.value


def _held(id_: str) -> Head:
    return Head(
        id=id_, task="work", queue="default", group=None, key=None, wake_key=None, root_id=id_,
        parent_id=None, child_index=0, on_cancel=OnCancel.END, tags=frozenset(), priority=0,
        phase=Phase.READY, due=None, owner="anna", gen=1, crashes=0, attempt=0, error=None,
        pending=0, join_at=0, cancel_requested=False, ended_by=None, created_at=1, started_at=1,
        finished_at=None,
    )  # fmt: skip
