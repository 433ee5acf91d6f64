"""What the storage protocol counts on, as checks of an engine: rules 1, 2, 3, 4, 6 and 12.

Each check takes a world and fails with an AssertionError if the engine breaks its rule.
"""

import asyncio
from collections import defaultdict
from dataclasses import replace
from functools import partial
from typing import Any

from durable_core import FanOut, RetryPolicy, Status, Tasks
from durable_core.engine.ids import child_id
from durable_core.storage import Finish, Keep, Release, Settle
from durable_core.testing import settle
from durable_core.testing.faults import Fault, Gate, LoggedCall, On

from .world import LEASE, World, items_of
from .wrappers import Small


async def one_releasing_transition_per_token(world: World) -> None:
    """ENGINE-1: it is re-sent unchanged until it is answered, whatever happens meanwhile."""
    executor = world.executor()

    @executor.task(retries=RetryPolicy(3, delay=60, jitter=0.5))
    async def fails() -> None:
        raise OSError

    @executor.task
    async def works() -> str:
        return "done"

    await executor.start()
    await world.idle(executor)
    # Of five deliveries the first lands, the others find it done.
    for id_ in ("failing", "working"):
        lost = On("apply", Fault.lost_answer(), times=4, where=partial(_is_about, id_))
        world.faults(executor).inject(lost)
    failing = await executor.enqueue(fails.with_options(id="failing"))
    working = await executor.enqueue(works.with_options(id="working"))
    await settle()
    # What would change the engine's mind, were it asked again.
    cancelling = asyncio.ensure_future(working.cancel())
    await world.advance(10)
    sent: defaultdict[Any, list[Any]] = defaultdict(list)
    for call in world.calls(executor, "apply"):
        for item in items_of(call):
            if isinstance(item, Release | Finish | Settle):
                sent[item.token, item.id].append(item)
    assert {id_ for _, id_ in sent} >= {failing.id, working.id}
    for items in sent.values():
        assert len(items) > 1
        assert all(item == items[0] for item in items)
    due = (await world.row(failing.id)).due
    assert due == sent[next(key for key in sent if key[1] == failing.id)][0].due
    assert not await cancelling
    assert await working.result() == "done"


def _is_about(id_: str, call: LoggedCall) -> bool:
    return any(item.id == id_ for item in items_of(call))


async def all_writes_through_one_shielded_writer(world: World) -> None:
    """ENGINE-2: one write of a kind at a time, and nobody's cancellation reaches it."""
    gate = Gate()
    executor = world.executor()
    endless = asyncio.Event()

    @executor.task
    async def quick() -> None: ...

    @executor.task
    async def slow(before: None) -> None:
        assert before is None
        await endless.wait()

    chain = executor.sequence("chain", quick, slow)
    await executor.start()
    await world.idle(executor)
    world.faults(executor).inject(
        On("insert", Fault.gate(before=gate)), On("apply", Fault.gate(before=gate))
    )
    callers = [asyncio.ensure_future(executor.enqueue(quick)) for _ in range(5)]
    await gate.reached.wait()
    callers += [asyncio.ensure_future(executor.enqueue(chain)) for _ in range(5)]
    await settle()
    for caller in callers:
        caller.cancel()
    await settle()
    under_way = [c for c in world.calls(executor, "insert", "apply") if not _answered(c)]
    assert [call.method for call in under_way] == ["insert"]
    gate.open()
    await world.advance(1)
    assert await world.count() == 10
    second = Gate()
    world.faults(executor).inject(On("apply", Fault.gate(before=second)))
    # User code is cancelled, and the executor's own write of it is under way.
    rows = [row for row in await world.rows() if row.status is Status.RUNNING]
    await executor.cancel(rows[0].id)
    await second.reached.wait()
    await executor.cancel(rows[1].id)
    await executor.cancel(rows[0].id)
    await settle()
    under_way = [c for c in world.calls(executor, "apply") if not _answered(c)]
    assert len(under_way) == 1
    second.open()
    await world.advance(1)
    assert all(call.error is None for call in world.calls(executor, "insert", "apply"))
    assert {(await world.row(row.id)).status for row in rows[:2]} == {Status.CANCELLED}


def _answered(call: LoggedCall) -> bool:
    return call.answer is not None or call.error is not None


async def answers_of_an_earlier_incarnation_are_dropped(world: World) -> None:
    """ENGINE-3: what an executor holds it knows by id and token."""
    gate = Gate()
    tasks = Tasks()
    runs: list[str] = []

    @tasks.task
    async def work() -> None:
        runs.append("run")
        try:
            await asyncio.Event().wait()
        finally:
            runs.append("stopped")

    client = await world.start(tasks=tasks, client_only=True)
    executor = await world.start(tasks=tasks)
    await world.idle(executor)
    world.faults(executor).inject(On("claim", Fault.gate(after=gate), nth=1))
    handle = await client.enqueue(work)
    await gate.reached.wait()
    before = executor.id
    await world.space.heartbeat(executor=before or "", ttl=0, now=world.clock.time_us())
    await world.advance(LEASE / 3)
    assert executor.id != before
    gate.open()
    await settle()
    assert runs == []
    await world.advance(LEASE)
    row = await world.row(handle.id)
    assert (row.owner, row.status) == (executor.id, Status.RUNNING)
    assert runs == ["run"]
    # An order for an earlier token of the same row.
    executor.engine.runner.interrupt([replace(row, gen=row.gen - 1)])
    await settle()
    assert runs == ["run"]
    executor.engine.runner.interrupt([row])
    await settle()
    assert runs == ["run", "stopped"]


async def what_is_held_is_compared(world: World) -> None:
    """ENGINE-4: after a claim or insert of unknown outcome, and every minute."""
    tasks = Tasks()
    ran: list[str] = []

    @tasks.task
    async def work(name: str) -> None:
        ran.append(name)

    client = await world.start(tasks=tasks, client_only=True)
    executor = await world.start(tasks=tasks, patience=5)
    await world.idle(executor)

    world.faults(executor).inject(On("claim", Fault.lost_answer(), nth=1))
    await client.enqueue(work, "claimed")
    await world.advance(1)
    assert ran == ["claimed"]

    world.faults(executor).inject(On("insert", Fault.lost_answer()))
    enqueueing = asyncio.ensure_future(executor.enqueue(work, "inserted"))
    await world.advance(8)
    assert enqueueing.done()
    assert enqueueing.exception() is not None
    assert ran == ["claimed", "inserted"]
    world.faults(executor).heal()

    hidden = await client.enqueue(work.with_options(delay=3600), "hidden")
    await world.space.claim(
        executor=executor.id or "",
        tasks=["work"],
        queues=["default"],
        limit=1,
        now=world.clock.time_us(),
        ids=[hidden.id],
    )
    await world.advance(75)
    assert ran == ["claimed", "inserted", "hidden"]
    assert {row.crashes for row in await world.rows()} == {0}


async def what_was_let_go_is_not_adopted(world: World) -> None:
    """ENGINE-4: only what was unknown all the time between asking and answer."""
    tasks = Tasks()
    ran: list[str] = []
    go = asyncio.Event()

    @tasks.task
    async def work(name: str) -> None:
        ran.append(name)
        if name == "ends":
            await go.wait()

    executor = await world.start(tasks=tasks)
    await world.idle(executor)
    asking, answering, inserting = Gate(), Gate(), Gate()
    world.faults(executor).inject(On("find", Fault.gate(before=asking, after=answering)))
    executor.engine.claimer.unsure()
    await asking.reached.wait()
    # Begun after the question, seen by the storage's answer, over when it arrives.
    await executor.enqueue(work, "ends")
    # Inserted when the storage answers, but not answered itself.
    world.faults(executor).inject(On("insert", Fault.gate(after=inserting)))
    enqueueing = asyncio.ensure_future(executor.enqueue(work, "is inserted"))
    await inserting.reached.wait()
    asking.open()
    await answering.reached.wait()
    go.set()
    await settle()
    answering.open()
    await settle()
    inserting.open()
    await enqueueing
    await world.idle(executor)
    assert ran == ["ends", "is inserted"]
    assert {(row.gen, row.status) for row in await world.rows()} == {(1, Status.COMPLETED)}


async def child_ids_are_deterministic(world: World) -> None:
    """ENGINE-6: a child inserted twice is there once, whoever inserts it again."""
    tasks = Tasks()

    @tasks.task
    async def child(number: int) -> int:
        return number

    @tasks.parent
    async def parent() -> FanOut[None]:
        return FanOut(None, [child.call(number) for number in range(35)])

    executor = await world.start(tasks=tasks, wrap=Small)
    await world.idle(executor)

    def inserts(call: LoggedCall) -> bool:
        return any(isinstance(item, Keep | Release) and item.children for item in items_of(call))

    world.faults(executor).inject(On("apply", Fault.lost_answer(), times=3, where=inserts))
    handle = await executor.enqueue(parent)
    await world.advance(30)
    await world.idle(executor)
    rows = await world.rows(parent_id=handle.id)
    assert [row.child_index for row in rows] == list(range(35))
    row = await world.row(handle.id)
    assert (row.pending, row.status) == (0, Status.COMPLETED)
    assert [row.id for row in rows] == [
        child_id(handle.id, row.created_at, index) for index in range(35)
    ]


async def no_child_and_parent_in_one_batch(world: World) -> None:
    """ENGINE-12: no item of a batch is the parent of another, and no id is in it twice."""
    gate = Gate()
    tasks = Tasks()

    @tasks.task
    async def child(number: int) -> int:
        return number

    @tasks.parent
    async def parent() -> FanOut[None]:
        return FanOut(None, [child.call(number) for number in range(40)])

    executor = await world.start(tasks=tasks, wrap=Small)
    await world.idle(executor)

    def finishes_child(call: LoggedCall) -> bool:
        return any(isinstance(item, Finish) and item.parent_id for item in items_of(call))

    world.faults(executor).inject(On("apply", Fault.gate(before=gate), where=finishes_child))
    handle = await executor.enqueue(parent)
    # While the first children's ends are under way, more ends and their parent's next page queue.
    await gate.reached.wait()
    await settle()
    gate.open()
    await handle.result()
    calls = world.calls(executor, "apply")
    held_back = False
    for call in calls:
        items = items_of(call)
        ids = [item.id for item in items]
        assert len(set(ids)) == len(ids)
        assert not set(ids) & {item.parent_id for item in items}
        held_back |= finishes_child(call)
    assert held_back
