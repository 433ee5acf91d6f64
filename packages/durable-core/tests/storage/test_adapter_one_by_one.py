"""A storage of one-item methods, lifted, answers what a storage of batches answers."""

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager

import pytest

from durable_core.storage import (
    Applied,
    Beat,
    Cancelled,
    Claimed,
    ClosedError,
    Finish,
    Inserted,
    InsertOutcome,
    InvalidArgumentError,
    MemoryStorage,
    NewExecution,
    OutcomeUnknownError,
    Phase,
    Query,
    Record,
    Release,
    Storage,
    StorageError,
    TemporaryError,
    TooLargeError,
    Transition,
    Wake,
    Woken,
)
from durable_core.storage.adapters import OneByOne, listener_of, pulse_of

from .invariants import tables_of


class Single(MemoryStorage):
    """The memory storage, one item at a time; fails at the items it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.fails: dict[str, Exception] = {}
        self.begun: list[str] = []
        self.inside = 0
        self.most_inside = 0

    @asynccontextmanager
    async def _item(self, name: str) -> AsyncGenerator[None]:
        self.begun.append(name)
        self.inside += 1
        self.most_inside = max(self.inside, self.most_inside)
        await asyncio.sleep(0)
        self.inside -= 1
        if name in self.fails:
            raise self.fails[name]
        yield

    async def insert_one(self, *, item: NewExecution, now: int) -> Inserted:
        async with self._item(item.id):
            return (await self.insert(items=[item], now=now))[0]

    async def claim_one(
        self,
        *,
        executor: str,
        tasks: Collection[str],
        queues: Collection[str],
        now: int,
        id: str | None = None,  # noqa: A002
    ) -> Record | None:
        async with self._item(f"claim {len(self.begun)}"):
            claimed = await self.claim(
                executor=executor,
                tasks=tasks,
                queues=queues,
                limit=1,
                now=now,
                ids=None if id is None else [id],
            )
            return claimed.records[0] if claimed.records else None

    async def apply_one(self, *, item: Transition, now: int) -> Applied:
        async with self._item(item.id):
            return (await self.apply(items=[item], now=now))[0]

    async def wake_one(self, *, item: Wake, now: int) -> Woken:
        async with self._item(item.request):
            return (await self.wake(items=[item], now=now))[0]

    async def cancel_one(self, *, id: str, request: str, now: int) -> Cancelled:  # noqa: A002
        async with self._item(id):
            return (await self.cancel(ids=[id], request=request, now=now))[0]

    async def get_one(self, *, id: str) -> Record | None:  # noqa: A002
        async with self._item(id):
            (row,) = await self.get(ids=[id])
            assert row is None or isinstance(row, Record)
            return row


_ALL = Query()


async def _claim(storage: Storage, *, limit: int, ids: list[str] | None = None) -> Claimed:
    return await storage.claim(
        executor="e", tasks=["t"], queues=["default"], limit=limit, now=6, ids=ids
    )


def _comparable(answer: object) -> object:
    """Leave out what may differ: the clock, and what is only known if cheaply known."""
    if isinstance(answer, Beat):
        return answer.alive, list(answer.orders)
    if isinstance(answer, Claimed):
        return list(answer.records), answer.exhausted
    return answer


async def _family(storage: Storage, size: int) -> list[Finish]:
    """Insert a waiting parent with children that are held; return what ends the children."""
    await storage.insert(items=[NewExecution(id="p", task="t", owner="e")], now=1)
    (parent,) = await storage.get(ids=["p"])
    assert parent is not None
    children = [
        NewExecution(id=f"c{n}", task="t", parent_id="p", owner="e", child_index=n)
        for n in range(size)
    ]
    waits = Release(
        id="p",
        token=parent.token,
        phase=Phase.WAITING_FOR_CHILDREN,
        due=None,
        children=children,
    )
    await storage.apply(items=[waits], now=2)
    rows = await storage.get(ids=[child.id for child in children])
    return [
        Finish(id=row.id, token=row.token, parent_id="p", phase=Phase.COMPLETED)
        for row in rows
        if row is not None
    ]


@pytest.mark.parametrize("parallel", [1, 3, 100])
async def test_batches_do_what_they_do_in_a_storage_of_batches(parallel: int) -> None:
    single = Single()
    memory = MemoryStorage()
    storages: list[Storage] = [OneByOne(single, parallel=parallel), memory]
    answers: list[list[object]] = [[], []]
    for said, storage in zip(answers, storages, strict=True):
        said.append(await storage.setup())
        said.append(
            await storage.insert(
                items=[
                    NewExecution(id="a", task="t", key="k"),
                    NewExecution(id="b", task="t", key="k"),
                    NewExecution(id="a", task="t"),
                    NewExecution(id="s", task="t", phase=Phase.SLEEPING, wake_key="w", due=None),
                    NewExecution(id="s2", task="t", phase=Phase.SLEEPING, wake_key="w"),
                    NewExecution(id="low", task="t", priority=-1),
                    NewExecution(id="high", task="t", priority=1),
                    NewExecution(id="later", task="t", due=50),
                ],
                now=1,
            )
        )
        said.append(await storage.apply(items=await _family(storage, 5), now=3))
        said.append(
            await storage.wake(
                items=[
                    Wake(task="t", wake_key="w", request="r1", keep_until=9),
                    Wake(task="t", wake_key="w", request="r2", keep_until=9),
                    Wake(task="t", id="s", request="r3"),
                ],
                now=4,
            )
        )
        said.append(await storage.cancel(ids=["low", "none", "low"], request="c", now=5))
        said.append(await _claim(storage, limit=2))
        said.append(await _claim(storage, limit=9))
        said.append(await _claim(storage, limit=9, ids=["later", "a", "later", "none"]))
        said.append(await storage.get(ids=["none", "a", "p", "c3"]))
        said.append(await storage.get(ids=["a", "none"], payload=False))
        said.append(await storage.heartbeat(executor="e", ttl=5, now=7))
        said.append(await storage.reap(now=20, limit=9))
        said.append(await storage.count(query=_ALL))
        said.append(await storage.find(query=_ALL, limit=3, payload=True))
        said.append(await storage.checkpoints(execution_id="a", limit=3))
        said.append(await storage.purge(finished_before=99, now=99, limit=99))
    assert [_comparable(one) for one in answers[0]] == [_comparable(one) for one in answers[1]]
    assert tables_of(single).rows == tables_of(memory).rows


async def test_claims_stop_at_the_limit_and_know_the_end() -> None:
    single = Single()
    storage = OneByOne(single)
    await storage.insert(items=[NewExecution(id=f"x{n}", task="t") for n in range(3)], now=1)
    claimed = await _claim(storage, limit=2)
    assert ([row.id for row in claimed.records], claimed.exhausted) == (["x0", "x1"], False)
    assert [row.gen for row in claimed.records] == [1, 1]
    claimed = await _claim(storage, limit=2)
    assert ([row.id for row in claimed.records], claimed.exhausted) == (["x2"], True)
    assert (await _claim(storage, limit=0)).records == []


@pytest.mark.parametrize("parallel", [1, 2, 3])
async def test_no_more_items_travel_at_once_than_allowed(parallel: int) -> None:
    single = Single()
    storage = OneByOne(single, parallel=parallel)
    await storage.insert(items=[NewExecution(id=f"x{n}", task="t") for n in range(9)], now=1)
    assert single.most_inside == parallel
    single.most_inside = 0
    await storage.cancel(ids=["x1", "x2"], request="r", now=2)
    await storage.wake(
        items=[Wake(task="t", wake_key="k", request=f"r{n}") for n in range(2)], now=2
    )
    await _claim(storage, limit=3)
    assert single.most_inside == 1


async def test_items_of_one_row_go_one_after_the_other() -> None:
    single = Single()
    storage = OneByOne(single, parallel=9)
    await storage.insert(
        items=[
            NewExecution(id="a", task="t", key="k"),
            NewExecution(id="b", task="t", key="k"),
            NewExecution(id="c", task="u", key="k"),
        ],
        now=1,
    )
    assert single.most_inside == 2
    assert [row and row.id for row in await storage.get(ids=["a", "b", "c"])] == ["a", None, "c"]


def _gone(error: StorageError, items: int) -> tuple[Single, list[NewExecution]]:
    single = Single()
    single.fails["x1"] = error
    return single, [NewExecution(id=f"x{n}", task="t") for n in range(items)]


async def test_a_temporary_error_before_anything_was_written_stays_one() -> None:
    single, items = _gone(TemporaryError("busy"), 3)
    with pytest.raises(TemporaryError, match="busy"):
        await OneByOne(single).insert(items=items[1:], now=1)
    assert single.begun == ["x1"]
    assert await single.get(ids=["x2"]) == [None]


async def test_a_temporary_error_after_something_was_written_is_an_unknown_outcome() -> None:
    error = TemporaryError("busy")
    single, items = _gone(error, 3)
    storage = OneByOne(single)
    with pytest.raises(
        OutcomeUnknownError, match=r"written before it failed \(busy\): send it again"
    ) as caught:
        await storage.insert(items=items, now=1)
    assert caught.value.__cause__ is error
    assert single.begun == ["x0", "x1"]
    single.fails.clear()
    answers = await storage.insert(items=items, now=1)
    assert [answer.outcome for answer in answers] == [
        InsertOutcome.EXISTING_ID,
        InsertOutcome.CREATED,
        InsertOutcome.CREATED,
    ]


async def test_an_unknown_outcome_outweighs_a_temporary_error() -> None:
    single, items = _gone(TemporaryError("busy"), 3)
    single.fails["x2"] = OutcomeUnknownError("cut")
    with pytest.raises(OutcomeUnknownError, match="cut"):
        await OneByOne(single, parallel=3).insert(items=items, now=1)


async def test_a_permanent_error_outweighs_all_others() -> None:
    single, items = _gone(TooLargeError("huge"), 3)
    single.fails["x2"] = OutcomeUnknownError("cut")
    with pytest.raises(TooLargeError, match="huge"):
        await OneByOne(single, parallel=3).insert(items=items, now=1)


async def test_any_other_error_is_raised_as_it_is() -> None:
    single, items = _gone(TemporaryError("busy"), 3)
    single.fails["x2"] = ZeroDivisionError("a bug")
    with pytest.raises(ZeroDivisionError, match="a bug"):
        await OneByOne(single, parallel=3).insert(items=items, now=1)


async def test_a_read_is_never_of_unknown_outcome() -> None:
    single, items = _gone(TemporaryError("busy"), 3)
    storage = OneByOne(single)
    await single.insert(items=items, now=1)
    with pytest.raises(TemporaryError, match="busy"):
        await storage.get(ids=["x0", "x1"])


@pytest.mark.parametrize("error", [TemporaryError("busy"), ClosedError("closed")])
async def test_rows_claimed_before_an_error_are_answered(error: StorageError) -> None:
    single = Single()
    await single.insert(items=[NewExecution(id=f"x{n}", task="t") for n in range(3)], now=1)
    single.fails["claim 1"] = error
    claimed = await _claim(OneByOne(single), limit=3)
    assert ([row.id for row in claimed.records], claimed.exhausted) == (["x0"], False)
    single.begun.clear()
    single.fails = {"claim 0": error}
    with pytest.raises(type(error)):
        await _claim(OneByOne(single), limit=3)


async def test_a_claim_of_unknown_outcome_is_told() -> None:
    single = Single()
    await single.insert(items=[NewExecution(id=f"x{n}", task="t") for n in range(3)], now=1)
    single.fails["claim 1"] = OutcomeUnknownError("cut")
    with pytest.raises(OutcomeUnknownError, match="cut"):
        await _claim(OneByOne(single), limit=3)


async def test_arguments_are_checked_before_the_first_item() -> None:
    single = Single()
    storage = OneByOne(single)
    with pytest.raises(InvalidArgumentError):
        await storage.insert(items=[NewExecution(id="a", task="t"), _BAD], now=1)
    with pytest.raises(InvalidArgumentError):
        await storage.heartbeat(executor="", ttl=1, now=1)
    with pytest.raises(InvalidArgumentError):
        await storage.cancel(ids=["a"], request="", now=1)
    with pytest.raises(InvalidArgumentError):
        await storage.wake(items=[Wake(task="t", request="r")], now=1)
    with pytest.raises(InvalidArgumentError):
        await _claim(storage, limit=-1)
    assert single.begun == []


def test_nothing_can_travel_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="parallel must be at least 1, not 0"):
        OneByOne(Single(), parallel=0)


async def test_optional_abilities_come_along() -> None:
    storage = OneByOne(Single())
    assert listener_of(storage) is storage
    pulse = pulse_of(storage)
    assert pulse is not None
    assert not pulse.pulse().beat(executor="e", ttl=1, now=1).alive
    await storage.close()
    with pytest.raises(ClosedError):
        await storage.get(ids=["a"])


_BAD = NewExecution(id="", task="t")
