"""A made-up run over three files: worker 1 is killed while it hashes one and reads another."""

from dataclasses import replace
from pathlib import Path

from durable_core.storage import OnCancel, Phase, Record
from durable_demo.casting import Cast
from durable_demo.diary import Ending, Run
from durable_demo.evidence import Evidence, Kill
from durable_demo.ledger import Ledger
from durable_demo.model import Approval, Facts, Study
from durable_demo.text import Fingerprint, Links, Reading, Title, Words
from durable_demo.verify import PAGE_STEPS, Account, Killed, checks, ran_again, taken_over

SECOND = 1_000_000_000
NAMES = ("a.md", "b|c.md", "docs/<d>.md")
CAST = Cast(seed=1, hiccups={"a.md": 1}, silent="b|c.md")
FOLDER = Path("notes")


def row(id_: str, task: str, parent: str | None, index: int = 0, **changes: object) -> Record:
    done = Record(
        id=id_,
        task=task,
        queue="default",
        group=None,
        key=None,
        wake_key=None,
        root_id="root",
        parent_id=parent,
        child_index=index,
        on_cancel=OnCancel.END,
        tags=frozenset(),
        priority=0,
        phase=Phase.COMPLETED,
        due=None,
        owner=None,
        gen=1,
        crashes=0,
        attempt=0,
        error=None,
        pending=0,
        join_at=0,
        cancel_requested=False,
        ended_by="worker-2-x/3",
        created_at=1,
        started_at=2,
        finished_at=3,
        options=b"",
        meta=b"",
        input=b"",
        state=None,
        output=b"{}",
    )
    return replace(done, **changes)  # type: ignore[arg-type]  # a test names what it changes


def held(record: Record) -> Record:
    return replace(
        record,
        phase=Phase.READY,
        owner="worker-1-x",
        ended_by=None,
        finished_at=None,
        output=None,
    )


def waiting(record: Record) -> Record:
    return replace(
        record,
        phase=Phase.WAITING_FOR_CHILDREN,
        ended_by=None,
        finished_at=None,
        output=None,
    )


def final_rows() -> dict[str, Record]:
    rows = [
        row("root", "study_folder", None),
        row("approval", "approval", "root", len(NAMES), wake_key="root", ended_by="request-9"),
        row("report", "write_report", "root", -1),
    ]
    for page, name in enumerate(NAMES):
        rows.append(row(f"p{page}", "study_page", "root", page))
        for index, step in enumerate(PAGE_STEPS):
            late = step == "reading" and name == CAST.silent
            phase = Phase.TIMED_OUT if late else Phase.COMPLETED
            by = "worker-1-x/1" if page == 0 else "worker-2-x/3"
            rows.append(row(f"p{page}-{step}", step, f"p{page}", index, phase=phase, ended_by=by))
    return {record.id: record for record in rows}


def rows_at_kill() -> dict[str, Record]:
    rows = final_rows()
    del rows["report"]
    for id_, record in rows.items():
        if id_ in {"root", "p1", "p2"}:
            rows[id_] = waiting(record)
        elif id_ == "approval":
            rows[id_] = replace(waiting(record), phase=Phase.SLEEPING)
        elif id_ in {"p1-fingerprint", "p1-reading", "p1-links"}:
            rows[id_] = held(record)
        elif id_.startswith(("p1", "p2")):
            rows[id_] = replace(held(record), owner=None)
    return rows


def runs() -> list[Run]:
    found = [
        run("a1", "p0-words", 1, 0.1, 0.3, attempt=1, ending=Ending.FAILED, error="hiccup"),
        run("a2", "p0-words", 1, 0.5, 0.7, attempt=2),
    ]
    for number, step in enumerate(step for step in PAGE_STEPS if step != "words"):
        found.append(run(f"b{number}", f"p0-{step}", 1, 0.1, 0.4))
    found += [
        run("c1", "p1-fingerprint", 1, 0.8, None, ending=Ending.CUT_OFF),
        run("c2", "p1-reading", 1, 0.8, None, ending=Ending.CUT_OFF),
        run("c3", "p1-links", 1, 0.6, 0.99),
        run("d1", "p1-fingerprint", 2, 3.1, 3.4, attempt=2),
        run("d2", "p1-reading", 2, 3.1, 5.6, attempt=2, ending=Ending.STOPPED),
        run("d3", "p1-links", 2, 3.1, 3.3, attempt=2),
        run("e1", "p1-title", 2, 1.5, 1.8),
        run("e2", "p1-words", 2, 1.5, 1.9),
    ]
    for number, step in enumerate(PAGE_STEPS):
        found.append(run(f"f{number}", f"p2-{step}", 2, 2.0 + number / 4, 2.2 + number / 4))
    return [*found, run("g", "report", 2, 6.0, 6.2)]


def run(
    number: str,
    id_: str,
    worker: int,
    started: float,
    ended: float | None,
    *,
    attempt: int = 1,
    ending: Ending = Ending.DONE,
    error: str = "",
) -> Run:
    page = int(id_[1]) if id_[0] == "p" else None
    return Run(
        number=number,
        execution=id_,
        step="write_report" if page is None else id_.partition("-")[2],
        subject="" if page is None else NAMES[page],
        attempt=attempt,
        worker=worker,
        started=int(started * SECOND),
        takes=0.3,
        ended=None if ended is None else int(ended * SECOND),
        ending=ending,
        error=error,
    )


def study() -> Study:
    pages = tuple(
        Facts(
            name=name,
            findings=(
                Fingerprint(sha256="0123456789abcdef", size=12),
                Title(title=f"The title of <b>{name}</b> | more"),
                Words(words=1200 * (3 - number), distinct=400, lines=90, common=("lease",)),
                Links(links=3, broken=("../gone.md",)),
                *((Reading(minutes=6.0, words_per_sentence=14.0),) if name != CAST.silent else ()),
            ),
            missing={"reading": "timed_out"} if name == CAST.silent else {},
        )
        for number, name in enumerate(NAMES)
    )
    return Study(folder=FOLDER, pages=pages, approval=Approval(granted=True, by="a test"))


def account(*, kill: bool = True) -> Account:
    done = final_rows()
    before = Ledger(rows=rows_at_kill(), names=NAMES)
    noted = runs()
    if not kill:
        noted = [replace(one, worker=1) for one in noted if one.number not in {"c1", "c2", "c3"}]
    return Account(
        ledger=Ledger(rows=done, names=NAMES),
        counted={"completed": len(done) - 1, "timed_out": 1},
        runs=noted,
        killed=Killed(ledger=before, signal=9) if kill else None,
        cast=CAST,
        study=study(),
        left=0,
    )


def evidence(*, kill: bool = True) -> Evidence:
    given = account(kill=kill)
    return Evidence(
        checks=tuple(checks(given)),
        statuses=given.counted,
        runs=tuple(given.runs),
        kill=Kill(pid=4242, at=SECOND, recorded=6, lease=2.0) if kill else None,
        taken=tuple(taken_over(given)),
        again=tuple(ran_again(given)),
        began=0,
        ended=int(6.3 * SECOND),
        storage="notes/work.db",
        seed=1,
        command="durable-demo notes --seed 1",
    )
