"""Compare storage and diary, and judge every promise of the demo: pure functions."""

import signal
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from durable_core.storage import Head, Phase

from .casting import Cast
from .diary import Ending, Run
from .evidence import Again, Check, Taken
from .ledger import Ledger, output_of
from .model import Study

PAGE_STEPS = ("fingerprint", "title", "words", "links", "reading")
STEPS = {*PAGE_STEPS, "write_report"}
_PER_PAGE = len(PAGE_STEPS) + 1
_PER_FOLDER = 3  # the folder itself, the approval, the report


_WAS = {
    Ending.CUT_OFF: "cut off in the middle",
    Ending.DONE: "done, but not yet recorded",
    Ending.STOPPED: "timed out, but not yet recorded",
    Ending.FAILED: "failed, to be retried",
}

_PHASES = {
    Ending.DONE: Phase.COMPLETED,
    Ending.STOPPED: Phase.TIMED_OUT,
    Ending.FAILED: Phase.FAILED,
}


def expected_executions(pages: int) -> int:
    """Return how many executions the study of so many files has."""
    return pages * _PER_PAGE + _PER_FOLDER


@dataclass(frozen=True, kw_only=True)
class Killed:
    """The moment after the kill: the dead process, and what the storage held then.

    Attributes:
        ledger: Read with payloads after the process was gone and before another one started.
        signal: What ended the process, as the operating system says.
    """

    ledger: Ledger
    signal: int | None


@dataclass(frozen=True, kw_only=True)
class Account:
    """Everything there is to compare.

    Attributes:
        ledger: All executions at the end, with payloads.
        counted: Status -> number, counted by the storage itself.
        runs: The diary.
        killed: None if nothing was to be killed.
        cast: Who was to make trouble.
        study: The pipeline's own result.
        left: Exit code of the last worker, which was told to end.
    """

    ledger: Ledger
    counted: Mapping[str, int]
    runs: Sequence[Run]
    killed: Killed | None
    cast: Cast
    study: Study
    left: int

    def runs_of(self) -> dict[str, list[Run]]:
        """Return execution id -> its runs, in order of starting."""
        found: dict[str, list[Run]] = defaultdict(list)
        for run in self.runs:
            found[run.execution].append(run)
        return found


def taken_over(account: Account) -> Iterator[Taken]:
    """Yield what the killed worker held, steps first."""
    if account.killed is None:
        return
    before = account.killed.ledger
    runs = account.runs_of()
    for row in sorted(before.held(), key=lambda row: (row.id not in runs, row.task)):
        mine = [run for run in runs.get(row.id, []) if run.worker == 1]
        if mine:
            was = _WAS[mine[-1].ending]
        else:
            was = "claimed, not begun" if row.phase is Phase.READY else "about to be put together"
        yield Taken(
            task=row.task,
            subject=before.subject(row),
            was=was,
            status=account.ledger.rows[row.id].status.value,
        )


def ran_again(account: Account) -> Iterator[Again]:
    """Yield the steps whose run the kill ended, with the runs that followed."""
    for id_, runs in account.runs_of().items():
        for number, run in enumerate(runs):
            if _ended_by_kill(account, runs, number):
                status = account.ledger.rows[id_].status.value
                yield Again(cut=run, again=tuple(runs[number + 1 :]), status=status)


def _ended_by_kill(account: Account, runs: Sequence[Run], number: int) -> bool:
    """Whether the kill took away this run's result: its row was still held, and not recorded."""
    run = runs[number]
    if account.killed is None or run.worker != 1 or run.ending is Ending.FAILED:
        return False
    row = account.killed.ledger.rows[run.execution]
    last_of_worker = all(later.worker != 1 for later in runs[number + 1 :])
    return last_of_worker and row.owner is not None and not row.finished


def checks(account: Account) -> list[Check]:
    """Judge every promise."""
    judged = [_all_ended(account), _recorded_once(account)]
    if account.killed is not None:
        judged += _after_kill(account, account.killed)
    return [*judged, _nothing_else(account), _retried(account), _timed_out(account), *_end(account)]


def _all_ended(account: Account) -> Check:
    rows = account.ledger.rows
    ended = len(account.ledger.finished())
    expected = expected_executions(len(account.ledger.names))
    return Check(
        claim="Every execution has ended",
        kept=ended == len(rows) == expected,
        seen=f"{ended} of {expected} executions",
    )


def _recorded_once(account: Account) -> Check:
    rows = account.ledger.rows.values()
    once = [row for row in rows if row.finished and row.finished_at and row.ended_by]
    counted = sum(account.counted.values())
    left = [row for row in rows if row.owner is not None or row.pending]
    return Check(
        claim="No result was recorded twice: each execution has one end, by one token",
        kept=len(once) == counted == len(rows) and not left,
        seen=f"{len(once)} ends for {counted} executions; {len(left)} still held or awaited",
    )


def _after_kill(account: Account, killed: Killed) -> Iterator[Check]:
    owners = {row.owner for row in killed.ledger.held()}
    yield Check(
        claim="The first worker was killed with SIGKILL in the middle of its work",
        kept=killed.signal == signal.SIGKILL and len(owners) == 1,
        seen=f"ended by signal {killed.signal}, holding {len(killed.ledger.held())}",
    )
    before = killed.ledger.finished()
    touched = [row.id for row in before if _end_of(row) != _end_of(account.ledger.rows[row.id])]
    finished = {row.id for row in before}
    begun = [run for run in account.runs if run.worker > 1 and run.execution in finished]
    yield Check(
        claim="What was recorded before the kill was neither touched nor run again",
        kept=bool(before) and not touched and not begun,
        seen=f"{len(before)} results, {len(touched)} changed, {len(begun)} begun again",
    )
    again = list(ran_again(account))
    good = [one for one in again if one.again and account.ledger.rows[one.cut.execution].finished]
    by_dead = [one for one in again if _owner(account.ledger.rows[one.cut.execution]) in owners]
    yield Check(
        claim="Every cut-off step ran again, and the new worker recorded its one result",
        kept=bool(again) and len(good) == len(again) and not by_dead,
        seen=f"{len(good)} of {len(again)} cut-off steps",
    )


def _end_of(row: Head) -> tuple[object, ...]:
    return row.phase, row.finished_at, row.ended_by, row.attempt, output_of(row)


def _owner(row: Head) -> str:
    """Return who recorded the end of an execution: the first part of its token."""
    return (row.ended_by or "").rpartition("/")[0]


def _nothing_else(account: Account) -> Check:
    """Every start in the diary is a recorded end, a failure that was retried, or was cut off."""
    ended = failed = cut = 0
    unexplained: list[str] = []
    for id_, runs in account.runs_of().items():
        for number, run in enumerate(runs):
            if number == len(runs) - 1 and _fits(run, account.ledger.rows[id_].phase):
                ended += 1
            elif run.ending is Ending.FAILED:
                failed += 1
            elif _ended_by_kill(account, runs, number):
                cut += 1
            else:
                unexplained.append(f"{run.step} {run.subject}")
    steps = sum(row.task in STEPS for row in account.ledger.rows.values())
    return Check(
        claim="No other step ran more often than its failures made necessary",
        kept=not unexplained and ended == steps,
        seen=f"{len(account.runs)} starts = {ended} recorded ends + {failed} failed"
        f" attempts + {cut} cut off"
        + "".join(f"; unexplained: {name}" for name in unexplained[:3]),
    )


def _fits(run: Run, phase: Phase) -> bool:
    return _PHASES.get(run.ending) is phase


def _retried(account: Account) -> Check:
    held = {row.id for row in account.killed.ledger.held()} if account.killed else set[str]()
    failures = 0
    succeeded: list[str] = []
    unexpected: list[str] = []
    runs = account.runs_of()
    for row in account.ledger.of("words"):
        if row.phase is Phase.FAILED:
            continue  # such as a file that somebody deleted meanwhile: the report names it
        subject = account.ledger.subject(row)
        failed = sum(run.ending is Ending.FAILED for run in runs[row.id])
        failures += failed
        # An attempt that the kill cut off is an attempt too: it uses up a hiccup.
        hiccups = account.cast.hiccups.get(subject, 0)
        if not hiccups - (row.id in held) <= failed <= hiccups:
            unexpected.append(subject)
        elif hiccups and row.phase is Phase.COMPLETED:
            succeeded.append(subject)
    flaky = len(account.cast.hiccups)
    return Check(
        claim="Flaky steps were retried until they succeeded",
        kept=not unexpected and len(succeeded) == flaky,
        seen=f"{failures} failed attempts, {len(succeeded)} of {flaky} flaky steps succeeded"
        + "".join(f"; unexpected: {name}" for name in unexpected[:3]),
    )


def _timed_out(account: Account) -> Check:
    late = [
        account.ledger.subject(row)
        for row in account.ledger.rows.values()
        if row.phase is Phase.TIMED_OUT
    ]
    return Check(
        claim="The step whose service never answers timed out, and no other one",
        kept=late == [account.cast.silent],
        seen=", ".join(late) or "none timed out",
    )


def _end(account: Account) -> Iterator[Check]:
    workers = {_owner(row) for row in account.ledger.rows.values() if row.task in STEPS}
    given = [
        row
        for row in account.ledger.of("approval")
        if row.phase is Phase.COMPLETED and _owner(row) not in workers
    ]
    yield Check(
        claim="The approval came from outside, to an execution that no worker held",
        kept=len(given) == 1,
        seen=f"{len(given)} approval",
    )
    studied = [page.name for page in account.study.pages]
    yield Check(
        claim="The report has every file, once and in order",
        kept=studied == list(account.ledger.names),
        seen=f"{len(studied)} of {len(account.ledger.names)} files",
    )
    yield Check(
        claim="The last worker ended by itself when it was told to",
        kept=account.left == 0,
        seen=f"exit code {account.left}",
    )
