"""ERROR-4 and ERROR-5: calls that are cancelled, and values that are refused."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from durable_core.storage import (
    InvalidArgumentError,
    NewExecution,
    Phase,
    Query,
    Record,
    TooLargeError,
    Transition,
    Wake,
)

from ..author import Author
from ..checking import promises
from ..families import exact
from ..moves import child, children, finish, keep, new, release, sleeper, wait
from ..stage import ANNA, NOW, Stage

_REFUSED = (InvalidArgumentError, TooLargeError)


_BAD_NAMES = ("", "x" * 192, "nul\0", "\ud800")
_BAD_FIELDS: dict[str, Sequence[object]] = {
    "id": ("", "x" * 256, "with blank", "é", "tab\t", "nul\0"),
    "task": _BAD_NAMES,
    "queue": _BAD_NAMES,
    "group": _BAD_NAMES,
    "wake_key": _BAD_NAMES,
    "tags": (frozenset(f"{n}" for n in range(17)), frozenset({"x" * 65}), frozenset({""})),
    "priority": (1001, -1001),
    "child_index": (-2, 2**31),
    "due": (-1, 2**63),
    "phase": (Phase.COMPLETED, Phase.WAITING_FOR_CHILDREN),
    "owner": ("", "x" * 65, "with blank"),
    "root_id": ("", "x" * 256),
}


class ErrorChecks(Author):
    """ERROR-4 and ERROR-5."""

    @promises("ERROR-4")
    async def test_error_4_cancelled_calls(self, stage: Stage) -> None:
        """Calls cancelled at random moments: whole or not at all, and the handle goes on."""
        storage = stage.storage
        parents = [await stage.hold(f"p{n}") for n in range(12)]
        calls: list[Callable[[], Awaitable[object]]] = []
        for row in parents:
            item = wait(row, state=b"s", children=children(row, 8), checkpoints={"c": b"1"})
            calls.append(partial(storage.apply, items=[item], now=NOW))
        for number in range(12):
            pair = [new(f"i{number}", key=f"{number}", tags=frozenset({"a", "b"}), due=None)]
            calls.append(partial(storage.insert, items=pair, now=NOW))
            wake = Wake(task="work", wake_key=f"{number}", request=f"{number}", keep_until=NOW * 2)
            calls.append(partial(storage.wake, items=[wake], now=NOW))
        stage.random.shuffle(calls)
        for call in calls:
            task = asyncio.ensure_future(call())
            for _ in range(stage.random.choice([0, 1, 2, 5, 20, 100, 400])):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert (await storage.count(query=Query(owner="nobody")))["*"] == 0
        # A write after all of them, so that what was on its way has landed.
        await stage.insert(new("last", due=None))
        for row in parents:
            parent = await exact(stage, row.id)
            points = [point.name for point in await stage.checkpoints(row.id)]
            state = (parent.pending, parent.state, parent.owner, points)
            assert state in ((0, None, ANNA, []), (8, b"s", None, ["c"])), "half an item"
        for call in calls:
            await call()
        assert len(await stage.find(Query())) == len(parents) * 9 + 13
        for row in parents:
            assert (await exact(stage, row.id)).pending == 8

    @promises("ERROR-4")
    async def test_error_4_cancelled_claims(self, stage: Stage) -> None:
        """A claim that is cancelled holds rows that are found, or none."""
        await stage.insert(*[new(f"{n}") for n in range(40)])
        for _ in range(10):
            task = asyncio.ensure_future(stage.claim(limit=4))
            for _ in range(stage.random.choice([0, 1, 2, 5, 20, 100, 400])):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await stage.insert(new("last"))
        held = [row for row in await stage.find(Query(owner=ANNA)) if isinstance(row, Record)]
        assert all((row.gen, row.due) == (1, None) for row in held)
        await stage.applied(*[release(row) for row in held])
        claimed = await stage.claim(executor="bela")
        assert len(claimed.records) == 41, "a row was lost"

    @promises("ERROR-5")
    async def test_error_5_bad_executions(self, stage: Stage) -> None:
        """Every field outside its limits, as root and as child: nothing of the call is written."""
        parent = await stage.hold("p")
        before = await stage.everything()
        good = new("good")
        for field, values in _BAD_FIELDS.items():
            for value in values:
                bad: dict[str, Any] = {"id": "bad", "task": "work", field: value}
                if field == "wake_key":
                    bad["phase"] = Phase.SLEEPING
                items = [good, NewExecution(**bad), new("more")]
                with pytest.raises(_REFUSED):
                    await stage.storage.insert(items=items, now=NOW)
                kids = [child(parent, 1), NewExecution(**bad, parent_id="p")]
                with pytest.raises(_REFUSED):
                    await stage.apply(keep(parent, children=kids))
        for kid in (child(parent, 0, key="k"), replace(child(parent, 0), parent_id="good")):
            with pytest.raises(InvalidArgumentError):
                await stage.apply(wait(parent, children=[kid]))
        assert await stage.everything() == before

    @promises("ERROR-5")
    async def test_error_5_bad_transitions(self, stage: Stage) -> None:
        """Numbers, names and phases outside their limits, and items that do not go together."""
        parent = await stage.hold("p")
        await stage.applied(keep(parent, children=[child(parent, 0, owner=ANNA)]))
        kid = await stage.row("p.0")
        other = await stage.hold("other")
        before = await stage.everything()
        bad: list[Sequence[Transition]] = [
            [keep(parent), keep(parent)],
            [finish(parent), finish(kid)],
            [finish(kid), finish(parent)],
            [release(parent, Phase.COMPLETED)],
            [finish(parent, Phase.READY)],
            [release(parent, due=-1)],
            [keep(parent, attempt=-1)],
            [keep(parent, join_at=-2)],
            [keep(parent, priority=1001)],
        ]
        for name in _BAD_NAMES:
            bad += [[keep(parent, checkpoints={name: b""})]]
        for items in bad:
            with pytest.raises(InvalidArgumentError):
                await stage.apply(keep(other, state=b"x"), *items)
        assert await stage.everything() == before

    @promises("ERROR-5")
    async def test_error_5_bad_requests(self, stage: Stage) -> None:
        """Wake-ups, cancellations, claims and heartbeats outside their limits."""
        storage = stage.storage
        await stage.insert(sleeper("s", "bell"), new("a"))
        before = await stage.everything()
        good = Wake(task="work", wake_key="bell", request="r")
        for values in (
            {"wake_key": None},
            {"id": "s"},
            {"wake_key": ""},
            {"wake_key": "x" * 192},
            {"task": ""},
            {"request": ""},
            {"request": "with blank"},
            {"request": "x" * 256},
            {"phase": Phase.CANCELLED},
            {"phase": Phase.READY},
        ):
            fields: dict[str, Any] = values
            with pytest.raises(InvalidArgumentError):
                await storage.wake(items=[good, replace(good, **fields)], now=NOW)
        for request in ("", "x" * 256, "é"):
            with pytest.raises(InvalidArgumentError):
                await storage.cancel(ids=["a"], request=request, now=NOW)
        for executor in ("", "x" * 65, "with blank"):
            with pytest.raises(InvalidArgumentError):
                await stage.claim(executor=executor)
            with pytest.raises(InvalidArgumentError):
                await storage.heartbeat(executor=executor, ttl=1, now=NOW, register=True)
        with pytest.raises(InvalidArgumentError):
            await stage.claim(limit=-1)
        assert await stage.everything() == before

    @promises("ERROR-5")
    async def test_error_5_too_large(self, stage: Stage) -> None:
        """One byte and one row more than declared, in every kind of call."""
        storage = stage.storage
        capabilities = storage.capabilities
        row = await stage.hold("a", owner=ANNA)
        (asleep,) = await stage.insert(sleeper("s", "bell"))
        before = await stage.everything()
        large = bytes(capabilities.max_payload + 1)
        for field in ("options", "meta", "input", "state"):
            bad: dict[str, Any] = {field: large}
            with pytest.raises(TooLargeError):
                await storage.insert(items=[new("b"), new("c", **bad)], now=NOW)
        for values in (
            {"state": large}, {"output": large}, {"error": large}, {"checkpoints": {"c": large}},
            {"children": [child(row, 0), child(row, 1, input=large)]},
        ):  # fmt: skip
            fields: dict[str, Any] = values
            with pytest.raises(TooLargeError):
                await stage.apply(keep(row, **fields))
        item = Wake(task="work", id=asleep.id, request="r", payload=large)
        with pytest.raises(TooLargeError):
            await storage.wake(items=[item], now=NOW)
        many = capabilities.max_batch_rows + 1
        wake = Wake(task="work", wake_key="bell", request="r")
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: storage.insert(items=[new(f"{n}") for n in range(many)], now=NOW),
            lambda: storage.apply(items=[keep(row, children=children(row, many - 1))], now=NOW),
            lambda: storage.wake(items=[wake] * many, now=NOW),
            lambda: storage.cancel(ids=["a"] * many, request="r", now=NOW),
            lambda: stage.claim(limit=many),
        ]
        for call in calls:
            with pytest.raises(TooLargeError):
                await call()
        assert await stage.everything() == before
