"""Carries out a kill run."""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from durable_core import DurableExecutor, Task

from ..rooms import Place, Room, room_of
from .audit import audit
from .plan import Plan
from .report import Event, Report
from .watch import Watch, now_us
from .work import ROOTS, approval, approval_key, approval_value, poll, size
from .worker import Crew, executor_on

Say = Callable[[str], None]

_NUMBERS: Final = 8
"""Each wave enqueues every task for so many numbers."""


class StormError(Exception):
    """The run did not end: what was left, and how it went."""


@dataclass(kw_only=True)
class _Storm:
    """A kill run under way."""

    plan: Plan
    room: Room
    crew: Crew
    client: DurableExecutor
    watch: Watch
    say: Say
    asked: dict[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])
    workers: list[Event] = field(default_factory=list[Event])
    servers: list[Event] = field(default_factory=list[Event])
    loaded_until: int = 0
    planned: int = 0
    ended: int = 0

    async def run(self) -> None:
        """Enqueue and kill until there is no more of both, then wait for the rest."""
        over = asyncio.Event()
        looking = asyncio.create_task(self._look_until(over))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._enqueue())
                group.create_task(self._kill_workers())
                group.create_task(self._kill_server())
            await self._until_all_ended()
        finally:
            over.set()
            await asyncio.wait((looking,), timeout=self.plan.patience)

    async def _enqueue(self) -> None:
        first = 0
        while self.planned < self.plan.executions or self._killing:
            unfinished = await self.watch.unfinished()
            planned = self.planned
            self.ended = planned - unfinished
            wanted = self.plan.backlog - unfinished
            while self.planned - planned < wanted:
                await self._enqueue_wave(range(first, first + _NUMBERS))
                first += _NUMBERS
            await asyncio.sleep(0.05)
        self.loaded_until = now_us()

    @property
    def _killing(self) -> bool:
        plan = self.plan
        return len(self.workers) < plan.kills or len(self.servers) < plan.restarts

    async def _enqueue_wave(self, numbers: range) -> None:
        await asyncio.gather(
            *(self._enqueue_all(task, numbers) for task in ROOTS),
            self._enqueue_all(poll, numbers),
            *(
                self.client.wake(approval, approval_key(number), approval_value(number))
                for number in numbers
            ),
        )

    async def _enqueue_all(self, task: Task[[int], Any], numbers: range) -> None:
        handles = await self.client.enqueue_many([task.call(number) for number in numbers])
        for handle, number in zip(handles, numbers, strict=True):
            self._asked(handle.id, task.name, number)

    def _asked(self, id_: str, name: str, number: int) -> None:
        self.asked[id_] = name, number
        self.planned += size(name, number)

    async def _kill_workers(self) -> None:
        chance = random.Random(self.plan.seed)  # noqa: S311  # chooses victims, guards nothing
        moments = sorted(chance.random() for _ in range(self.plan.kills))
        async with asyncio.TaskGroup() as group:
            for moment in moments:
                await self._until(moment)
                at = now_us()
                victim = chance.randrange(self.plan.workers)
                name = await asyncio.to_thread(self.crew.kill, victim)
                group.create_task(self._follow(name, at))

    async def _follow(self, name: str, at: int) -> None:
        """Wait until what a dead worker held is taken over."""
        held = await self.watch.held_by(name)
        await self.watch.taken_over(held)
        seconds = (now_us() - at) / 1e6
        self.workers.append(Event(what=name, at=at, held=len(held), seconds=seconds))
        self.say(f"killed {name}: its {len(held)} executions taken over in {seconds:.2f} s")

    async def _kill_server(self) -> None:
        for number in range(self.plan.restarts):
            await self._until((number + 1) / (self.plan.restarts + 1))
            at = now_us()
            process = await asyncio.create_subprocess_exec(*self.room.restart_command)
            if await process.wait():
                raise StormError("the server did not come back")
            seconds = (now_us() - at) / 1e6
            self.servers.append(Event(what="server", at=at, held=0, seconds=seconds))
            self.say(f"killed the server: it answered again after {seconds:.2f} s")

    async def _until(self, part: float) -> None:
        """Wait until this part of all executions has ended."""
        while self.ended < part * self.plan.executions:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.02)

    async def _look_until(self, over: asyncio.Event) -> None:
        while not over.is_set():
            await self.watch.look()
            with suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    await over.wait()

    async def _until_all_ended(self) -> None:
        deadline = time.monotonic() + self.plan.patience
        while left := await self.watch.unfinished():
            if dead := self.crew.dead():
                raise StormError(f"workers ended by themselves: {', '.join(dead)}")
            if time.monotonic() > deadline:
                raise StormError(f"{left} executions were left unfinished")
            await asyncio.sleep(0.1)


async def carry_out(plan: Plan, place: Place, say: Say) -> Report:
    """Carry out a kill run.

    Args:
        plan: How much of everything.
        place: Empty, made by its room.
        say: Tells people how it goes.

    Raises:
        StormError: Something never ended, or the server did not come back.
    """
    room = room_of(plan.target)
    storage = room.storage(place)
    await storage.setup()
    try:
        audited = await room.audit(place)
        watch = Watch(storage, plan.patience)
        with Crew.at_work(plan, place) as crew:
            async with executor_on(plan, place, client_only=True) as client:
                storm = _Storm(plan=plan, room=room, crew=crew, client=client, watch=watch, say=say)
                await storm.run()
        rows = await watch.everything()
        ends = await room.ends(place) if audited else None
    finally:
        await storage.close()
    finished = sorted(row.finished_at for row in rows if row.finished_at is not None)
    return Report(
        target=plan.target,
        executions=len(rows),
        roots=len(storm.asked),
        seconds=(max(finished) - min(row.created_at for row in rows)) / 1e6,
        workers=storm.workers,
        servers=storm.servers,
        ends=finished,
        loaded_until=storm.loaded_until,
        audited=audited,
        seen=len(watch.seen),
        faults=audit(storm.asked, rows, watch.seen, ends),
    )


def in_folder(plan: Plan, folder: Path, say: Say) -> Report:
    """Carry out a kill run in a folder that does not exist yet, and leave nothing behind."""
    room, place = room_of(plan.target), Place(folder)
    folder.mkdir()
    asyncio.run(room.create(place))
    try:
        return asyncio.run(carry_out(plan, place, say))
    finally:
        asyncio.run(room.drop(place))
