"""What the storage protocol counts on, as checks of an engine: rules 5, 7, 8, 9, 10 and 11.

Each check takes a world and fails with an AssertionError if the engine breaks its rule.
"""

import asyncio
import threading
from typing import Any

from durable_core import Again, Done, FanOut, MemoryStorage, Status, Tasks, current
from durable_core.engine.clock import StorageTime
from durable_core.engine.heart import STALL_LIMIT, Heart
from durable_core.storage import Beat, NewExecution, Query
from durable_core.testing import FakeClock, settle
from durable_core.testing.faults import Fault, Gate, On

from .world import LEASE, Recorder, World


async def crash(world: World, execution_id: str, times: int) -> None:
    """Let executors die while they hold an execution."""
    for number in range(times):
        now = world.clock.time_us()
        await world.space.claim(
            executor=f"dead.{number}", tasks=(), queues=(), limit=1, now=now, ids=[execution_id]
        )
        await world.space.reap(now=now, limit=10)
    assert (await world.row(execution_id)).crashes == times


async def poison_is_judged_before_decoding(world: World) -> None:
    """ENGINE-5: reading the payload may be what kills."""
    read: list[str] = []

    tasks = Tasks()

    def touch(value: str) -> None:
        read.append(value)

    @tasks.task(validate=touch)
    async def work(value: str) -> None:
        read.append(f"ran with {value}")

    chain = tasks.sequence("chain", work)
    item: Any
    for place, task in enumerate((work, chain)):
        item = NewExecution(
            id=f"poison-{place}", task=task.name, input=b'{"value": "touched"}', options=b"\xff"
        )
        await world.space.insert(items=[item], now=world.clock.time_us())
        await crash(world, item.id, 3)
    executor = await world.start(tasks=tasks, crash_limit=3)
    await world.advance(60)
    await world.idle(executor)
    rows = await world.rows()
    assert {row.status for row in rows} == {Status.FAILED}
    assert all(b"executors" in (row.error or b"") for row in rows)
    assert read == []


async def suspects_run_one_at_a_time(world: World) -> None:
    """ENGINE-7: alone for their probation, so that only their own death proves them guilty."""
    tasks = Tasks()
    running: set[str] = set()
    beside: list[tuple[str, frozenset[str]]] = []
    go = asyncio.Event()

    @tasks.task
    async def work(name: str) -> None:
        beside.append((name, frozenset(running)))
        running.add(name)
        await go.wait()
        running.discard(name)

    client = await world.start(tasks=tasks, client_only=True)
    suspects = [
        await client.enqueue(work.with_options(priority=9), f"suspect {number}")
        for number in range(4)
    ]
    for handle in suspects:
        await crash(world, handle.id, 2)
    once = await client.enqueue(work.with_options(priority=8), "crashed once")
    await crash(world, once.id, 1)
    await client.enqueue(work, "innocent")
    executor = await world.start(tasks=tasks, crash_limit=3)
    await settle()
    # Those that wait for the first suspect's end are given back, or wait.
    assert [name for name, _ in beside if name.startswith("suspect")] == ["suspect 0"]
    assert len(running) == 1
    await world.advance(LEASE)
    go.set()
    await world.advance(LEASE * 10)
    await world.idle(executor, horizon=3600)
    for name, others in beside:
        if name.startswith("suspect"):
            assert not others
    assert {row.status for row in await world.rows()} == {Status.COMPLETED}
    assert len(beside) == 6


async def nothing_begins_without_a_valid_lease(world: World) -> None:
    """ENGINE-8: checked by the local monotonic clock before a claim, a start and a step."""
    tasks = Tasks()
    began: list[tuple[str, bool]] = []
    go = asyncio.Event()

    @tasks.task
    async def first(name: str) -> str:
        began.append((f"{name} 1", executor.engine.heart.valid))
        await go.wait()
        return name

    @tasks.task
    async def second(name: str) -> str:
        began.append((f"{name} 2", executor.engine.heart.valid))
        return name

    chain = tasks.sequence("chain", first, second)
    client = await world.start(tasks=tasks, client_only=True)
    executor = await world.start(tasks=tasks)
    await world.idle(executor)
    running = await executor.enqueue(chain, "running")
    await settle()
    gate = Gate()
    world.faults(executor).inject(
        On("heartbeat", Fault.failure()), On("claim", Fault.gate(after=gate), nth=1)
    )
    # A claim that is answered when the lease has run out.
    claimed = await client.enqueue(chain, "claimed")
    await gate.reached.wait()
    await world.advance(LEASE + 1)
    assert not executor.engine.heart.valid
    claims = len(world.calls(executor, "claim"))
    gate.open()
    go.set()
    waiting = await client.enqueue(chain, "waiting")
    await world.advance(LEASE)
    assert len(world.calls(executor, "claim")) == claims
    assert began == [("running 1", True)]
    world.faults(executor).heal()
    await world.advance(LEASE * 2)
    for handle in (running, claimed, waiting):
        assert await handle.status() is Status.COMPLETED
    assert all(valid for _, valid in began)


async def a_stuck_loop_loses_its_lease(_: World) -> None:
    """ENGINE-8: a thread beats for a loop that does not move, but not for ever."""
    clock = WatchedClock()
    storage = MemoryStorage(clock=clock.time_us)
    beats: list[float] = []
    beaten = threading.Event()

    class Connection:
        """A thread's way to the storage."""

        def beat(self, *, executor: str, ttl: int, now: int) -> Beat:
            beats.append(clock.monotonic())
            beaten.set()
            return storage.pulse().beat(executor=executor, ttl=ttl, now=now)

        def close(self) -> None:
            """Nothing to release."""

    time = StorageTime(clock)
    time.sampled(clock.time_us(), 0, 0)
    ttl = 0.06
    heart = Heart(
        storage,
        clock=clock,
        time=time,
        ttl=ttl,
        on_orders=lambda _: None,
        on_lost=lambda: None,
        on_reaped=lambda _: None,
        pulse=lambda: Connection,
    )
    await heart.start("stuck.1", b"")
    try:
        # This blocks the event loop; the thread waits in real time, but how long the loop has
        # stood still is said by the clock.
        assert beaten.wait(10)
        clock.jump(ttl * STALL_LIMIT * 0.9)
        beaten.clear()
        assert beaten.wait(10)
        clock.jump(ttl * STALL_LIMIT * 0.2)
        clock.read_by_thread(5)
        silent = len(beats)
        clock.read_by_thread(8)
        assert len(beats) == silent
        # A loop that moves again is kept alive again.
        await settle()
        await clock.advance(ttl)
        beaten.clear()
        assert await asyncio.to_thread(beaten.wait, 10)
    finally:
        await heart.stop(sign_off=False)


class WatchedClock(FakeClock):
    """A fake clock that tells how often other threads have looked at it."""

    def __init__(self) -> None:
        super().__init__()
        self._looks = threading.Semaphore(0)
        self._home = threading.get_ident()

    def monotonic(self) -> float:
        if threading.get_ident() != self._home and threading.current_thread().name.startswith(
            "durable heartbeat"
        ):
            self._looks.release()
        return super().monotonic()

    def jump(self, seconds: float) -> None:
        """Let time go by without anybody noticing."""
        self._elapsed_us += round(seconds * 1e6)

    def read_by_thread(self, times: int) -> None:
        """Wait until the heartbeat's thread has looked so often from now on."""
        while self._looks.acquire(blocking=False):
            pass
        for _ in range(times):
            assert self._looks.acquire(timeout=10)


async def time_is_the_storages(world: World) -> None:
    """ENGINE-9: the storage's time carried on by the monotonic clock; no doubt, no reaping."""
    shift = 0

    def storage_clock() -> int:
        return world.clock.time_us() + shift

    # The storage is a day ahead of this machine.
    shift = 86_400_000_000
    tasks = Tasks()
    ran: list[float] = []

    @tasks.task
    async def work() -> None:
        ran.append(world.clock.monotonic())

    world.space = MemoryStorage(sharing=world.space, clock=storage_clock)
    executor = await world.start(tasks=tasks)
    handle = await executor.enqueue(work.with_options(delay=20))
    assert (await world.row(handle.id)).created_at == storage_clock()
    await world.advance(20)
    assert ran == [20]
    for call in world.faults(executor).log:
        now = call.arguments.get("now")
        assert now is None or abs(int(str(now)) - storage_clock()) <= 20_000_000

    def reaps() -> int:
        return len(world.calls(executor, "reap"))

    # After a jump the others look dead by mistake: nobody is reaped on that evidence.
    await world.advance(LEASE / 3 - 0.1)
    before = reaps()
    shift += 3600_000_000
    await world.advance(LEASE * 2)
    assert reaps() == before
    await world.advance(LEASE)
    assert reaps() > before
    # An answer that took too long says nothing exact about the time either.
    slow = On("heartbeat", Fault.delay(before=LEASE / 6, after=LEASE / 5), nth=1)
    world.faults(executor).inject(slow)
    before, beats = reaps(), len(world.calls(executor, "heartbeat"))
    await world.advance(LEASE / 3 + LEASE / 6 + LEASE / 5)
    assert len(world.calls(executor, "heartbeat")) > beats
    assert reaps() == before
    # Nor does one that did not come at all.
    await world.advance(LEASE)
    world.faults(executor).inject(On("heartbeat", Fault.failure()))
    before = reaps()
    await world.advance(LEASE)
    assert reaps() <= before + 1


async def what_does_not_fit_is_handed_back_with_a_pause(world: World) -> None:
    """ENGINE-10: it is not failed, and it is not asked for again at once."""
    recorder = Recorder()
    executor = await world.start(hooks=[recorder])
    await world.idle(executor)
    # A row of a task that this executor does not know is held by it all the same.
    item = NewExecution(id="unknown", task="elsewhere")
    await world.space.insert(items=[item], now=world.clock.time_us())
    await world.space.claim(
        executor=executor.id or "",
        tasks=(),
        queues=(),
        limit=1,
        now=world.clock.time_us(),
        ids=["unknown"],
    )
    executor.engine.claimer.unsure()
    await world.idle(executor)
    row = await world.row("unknown")
    assert (row.status, row.attempt, row.crashes, row.owner) == (Status.READY, 0, 0, None)
    assert row.due is not None
    assert row.due >= world.clock.time_us() + 1_000_000
    assert recorder.of("handed_back") == [
        ("handed_back", ("unknown", "its task is not known here"))
    ]


async def progress_clears_the_crashes(world: World) -> None:
    """ENGINE-11: a long life is no crime."""
    tasks = Tasks()
    go = asyncio.Event()

    @tasks.task
    async def step(number: int) -> int:
        if number and not go.is_set():
            await go.wait()
        return number + 1

    @tasks.task
    async def again() -> Again | Done[int]:
        return Done(1) if current().iteration == 2 else Again()

    @tasks.parent
    async def parent() -> FanOut[None]:
        return FanOut(None, [step.call(1)])

    chain = tasks.sequence("chain", step, step)
    loop = tasks.loop("loop", again, max_iterations=9, delay=60)
    client = await world.start(tasks=tasks, client_only=True)
    handles = [
        await client.enqueue(chain, 0),
        await client.enqueue(loop),
        await client.enqueue(parent),
    ]
    for handle in handles:
        await crash(world, handle.id, 1)
    executor = await world.start(tasks=tasks, crash_limit=3)
    await world.advance(1)
    for handle in handles:
        row = await world.row(handle.id)
        assert not row.finished
        assert row.crashes == 0
    go.set()
    await world.idle(executor, horizon=600)
    rows = await world.space.find(query=Query(), limit=100)
    assert {row.status for row in rows.items} == {Status.COMPLETED}
