"""One run of the demo: enqueue, watch, kill, approve, verify, report."""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from durable_core import DurableExecutor, Handle
from durable_core.storage import Storage

from . import diary, report, verify
from .casting import Cast
from .crew import Worker
from .diary import Run
from .errors import DemoError
from .evidence import Evidence, Kill
from .ledger import Ledger, count_statuses, read_ledger, read_records
from .model import Approval, Assignment, Study
from .outdir import OutDir
from .pipeline import PATIENCE, approval, study_folder, tasks
from .progress import Board, look
from .show import Screen
from .stage import Stage
from .storage import open_storage, shown
from .verify import PAGE_STEPS, Account, Killed

CONCURRENCY = 8
LEASE = 3.0

_STEPS_LAST = 11.0  # seconds that all steps together are to take
_SLOWEST, _QUICKEST = 0.5, 0.12
_HALF = 0.5
_AHEAD = 0.2
_LOOK_EVERY = 0.1
_AIM_EVERY = 0.02
_MOMENT = 1.0
_STALLED = 30.0
_CANCEL_PATIENCE = 5.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run is to do.

    Attributes:
        id: The run's own: the id of its outermost execution.
        folder: The folder to study, absolute.
        names: Its files.
        out: Where everything is written.
        location: Where the storage is.
        cast: Which files make trouble.
        kill: Whether to kill the first worker half-way.
        ask: Whether to ask on the terminal for the approval.
        command: How to run it again.
    """

    id: str
    folder: Path
    names: tuple[str, ...]
    out: OutDir
    location: str
    cast: Cast
    kill: bool
    ask: bool
    command: str

    @property
    def pace(self) -> float:
        """Seconds that a step takes on average, so that there is something to watch."""
        steps = len(self.names) * len(PAGE_STEPS)
        return min(_SLOWEST, max(_QUICKEST, _STEPS_LAST * CONCURRENCY / steps))


async def run(plan: Plan, screen: Screen) -> Evidence:
    """Run the demo and write its report.

    Args:
        plan: What to do.
        screen: Where to show it.

    Raises:
        DemoError: A worker ended by itself, or nothing moved any more.
    """
    storage = open_storage(plan.location)
    # This process only enqueues, watches and approves: all work is done by the workers.
    async with DurableExecutor(storage, tasks=tasks, client_only=True) as executor:
        began = time.monotonic_ns()
        assignment = Assignment(plan.folder, plan.names, plan.out.folder, plan.id)
        handle = await executor.enqueue(study_folder.with_options(id=plan.id), assignment)
        director = _Director(plan, screen, storage, executor, handle)
        try:
            study = await director.direct()
        except BaseException:
            # Nobody is to find half a run in a storage that others may use too.
            with suppress(Exception):
                async with asyncio.timeout(_CANCEL_PATIENCE):
                    await handle.cancel()
            raise
        finally:
            director.dismiss()
        evidence = await director.gather(study, began)
        report.write(plan.out.folder, study, evidence)
        return evidence


@dataclass
class _Director:
    plan: Plan
    screen: Screen
    storage: Storage
    executor: DurableExecutor
    handle: Handle[Study]
    worker: Worker | None = None
    kill: Kill | None = None
    killed: Killed | None = None
    left: int = 0
    lost: dict[str, str] = field(default_factory=dict[str, str])

    async def direct(self) -> Study:
        self._hire(1)
        if self.plan.kill:
            await self._watch(lambda board: board.steps_share >= _HALF)
            await self._kill()
            self._hire(2)
        await self._watch(lambda board: board.only_approval_left)
        await self._approve()
        await self._watch(lambda board: board.ended == board.total)
        self.screen.clear()
        return await self.handle.result(timeout=_STALLED)

    def dismiss(self) -> None:
        if self.worker is not None:
            self.left = self.worker.dismiss()
            self.screen.event(f"worker {self.worker.number} ends, exit code {self.left}")
            self.worker = None

    async def gather(self, study: Study, began: int) -> Evidence:
        plan = self.plan
        account = Account(
            ledger=await read_records(self.storage, plan.id, plan.names),
            counted=await count_statuses(self.storage, plan.id),
            runs=diary.read(plan.out.diary),
            killed=self.killed,
            cast=plan.cast,
            study=study,
            left=self.left,
        )
        return Evidence(
            checks=tuple(verify.checks(account)),
            statuses=account.counted,
            runs=tuple(account.runs),
            kill=self.kill,
            taken=tuple(verify.taken_over(account)),
            again=tuple(verify.ran_again(account)),
            began=began,
            ended=time.monotonic_ns(),
            storage=shown(plan.location),
            seed=plan.cast.seed,
            command=plan.command,
        )

    def _hire(self, number: int) -> None:
        stage = Stage(
            diary=self.plan.out.diary,
            worker=number,
            pace=self.plan.pace,
            patience=PATIENCE.total_seconds(),
            cast=self.plan.cast,
        )
        self.worker = Worker(
            self.plan.location,
            stage,
            concurrency=CONCURRENCY,
            lease=LEASE,
            log=self.plan.out.log(number),
        )
        again = " takes over" if number > 1 else " starts"
        self.screen.event(f"worker {number} (process {self.worker.pid}){again}", style="bold")

    async def _watch(self, until: Callable[[Board], bool]) -> None:
        """Show the run until it is so far."""
        moved, ended = time.monotonic(), -1
        while True:
            looked = time.monotonic()
            if self.worker is not None:
                self.worker.check()
            board = look(await self._ledger(), self.lost)
            self.screen.show(board)
            if until(board):
                return
            if board.ended != ended:
                moved, ended = time.monotonic(), board.ended
            elif time.monotonic() - moved > _STALLED:
                raise DemoError(
                    f"nothing has moved for {_STALLED:g} s: {board.ended} of {board.total} ended",
                    f"see what the workers say in {self.plan.out.folder}",
                )
            # Watching a large run must not take the processor from those who do the work.
            await asyncio.sleep(max(_LOOK_EVERY, 2 * (time.monotonic() - looked)))

    async def _ledger(self) -> Ledger:
        return await read_ledger(self.storage, self.plan.id, self.plan.names)

    async def _kill(self) -> None:
        """Kill the worker while a step is in the middle of its work."""
        worker = self.worker
        if worker is None:
            return
        give_up = time.monotonic() + _STALLED
        while not _in_the_middle(diary.read(self.plan.out.diary)):
            worker.check()
            if time.monotonic() > give_up:
                raise DemoError("no step was running that could be cut off", "try more files")
            await asyncio.sleep(_AIM_EVERY)
        signal, at = worker.kill(), time.monotonic_ns()
        self.worker = None
        ledger = await read_records(self.storage, self.plan.id, self.plan.names)
        self.killed = Killed(ledger=ledger, signal=signal)
        self.lost = {row.id: row.owner for row in ledger.held() if row.owner is not None}
        recorded = len(ledger.finished())
        self.kill = Kill(pid=worker.pid, at=at, recorded=recorded, lease=LEASE)
        running = sum(run.ended is None for run in diary.read(self.plan.out.diary))
        self.screen.event(
            f"kill -9 {worker.pid}: worker 1 is gone; {recorded} results recorded, {running} steps"
            f" in the middle of their work, {len(self.lost)} executions held by the dead",
            mark="bad",
            style="red",
        )

    async def _approve(self) -> None:
        asleep = "all files are studied; the report waits for an approval (no worker holds it)"
        self.screen.event(asleep, mark="ask")
        if self.plan.ask:
            granted, by = await _question("        May the report go out? [y/N] "), "you"
        else:
            await asyncio.sleep(_MOMENT)
            granted, by = True, "the demo itself"
        await self.executor.wake(approval, self.plan.id, Approval(granted=granted, by=by))
        verb = "approved" if granted else "not approved"
        hint = "" if self.plan.ask else " (--ask lets you decide)"
        self.screen.event(f"{verb} by {by}{hint}", mark="good")


def _in_the_middle(runs: list[Run]) -> bool:
    """Whether a step has begun and will not end before the kill reaches it."""
    now = time.monotonic_ns()
    return any(run.ended is None and run.left(now) >= min(_AHEAD, run.takes / 2) for run in runs)


async def _question(text: str) -> bool:
    """Ask on the terminal; everything but yes is no."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[str] = loop.create_future()

    def ask() -> None:
        try:
            answer = input(text)
        except EOFError:
            answer = ""
        with suppress(RuntimeError):  # the loop is closed: the run was interrupted
            loop.call_soon_threadsafe(answered.set_result, answer)

    # A daemon, because nobody can interrupt a thread that waits for a line.
    threading.Thread(target=ask, daemon=True).start()
    return (await answered).strip().lower() in {"y", "yes"}
