"""Each promise is kept by the made-up run, and broken by the change that breaks it."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from demo_sample import NAMES, account, held, run

from durable_core.storage import Phase, Record
from durable_demo.diary import Ending
from durable_demo.ledger import Ledger
from durable_demo.verify import Account, checks, expected_executions, ran_again, taken_over


def broken(given: Account) -> list[str]:
    return [check.claim for check in checks(given) if not check.kept]


def with_row(given: Account, id_: str, change: Callable[[Record], Record]) -> Account:
    rows = dict(given.ledger.rows)
    record = rows[id_]
    assert isinstance(record, Record)
    rows[id_] = change(record)
    return replace(given, ledger=Ledger(rows=rows, names=NAMES))


def without_runs(given: Account, *numbers: str) -> Account:
    return replace(given, runs=[one for one in given.runs if one.number not in numbers])


def test_a_run_as_promised_breaks_nothing() -> None:
    assert broken(account()) == []
    assert len(checks(account())) == 11


def test_a_run_without_kill_has_fewer_promises_and_keeps_them() -> None:
    given = account(kill=False)

    assert broken(given) == []
    assert len(checks(given)) == 8
    assert list(taken_over(given)) == []
    assert list(ran_again(given)) == []


def test_what_was_cut_off_is_named_and_followed_by_its_second_run() -> None:
    again = {(one.cut.step, one.cut.subject): one for one in ran_again(account())}

    assert set(again) == {
        ("fingerprint", "b|c.md"),
        ("reading", "b|c.md"),
        ("links", "b|c.md"),
    }
    assert again["reading", "b|c.md"].status == "timed_out"
    assert [one.worker for one in again["links", "b|c.md"].again] == [2]


def test_what_was_taken_over_says_what_the_kill_found_it_doing() -> None:
    was = {taken.task: taken.was for taken in taken_over(account())}

    assert was == {
        "fingerprint": "cut off in the middle",
        "reading": "cut off in the middle",
        "links": "done, but not yet recorded",
    }


CHANGES: dict[str, tuple[Callable[[Account], Account], str]] = {
    "an execution never ended": (
        lambda given: with_row(given, "p2-title", held),
        "Every execution has ended",
    ),
    "the storage counts one more": (
        lambda given: replace(given, counted={"completed": 22}),
        "No result was recorded twice: each execution has one end, by one token",
    ),
    "a parent still counts a child": (
        lambda given: with_row(given, "p2", lambda record: replace(record, pending=1)),
        "No result was recorded twice: each execution has one end, by one token",
    ),
    "the worker ended by itself": (
        lambda given: replace(given, killed=given.killed and replace(given.killed, signal=None)),
        "The first worker was killed with SIGKILL in the middle of its work",
    ),
    "a recorded output changed": (
        lambda given: with_row(given, "p0-title", lambda record: replace(record, output=b"[]")),
        "What was recorded before the kill was neither touched nor run again",
    ),
    "a recorded result was recorded again": (
        lambda given: with_row(
            given, "p0-title", lambda record: replace(record, ended_by="worker-2-x/3")
        ),
        "What was recorded before the kill was neither touched nor run again",
    ),
    "a recorded step ran again": (
        lambda given: replace(given, runs=[*given.runs, run("z", "p0-title", 2, 5.0, 5.2)]),
        "What was recorded before the kill was neither touched nor run again",
    ),
    "a cut-off step never ran again": (
        lambda given: without_runs(given, "d1"),
        "Every cut-off step ran again, and the new worker recorded its one result",
    ),
    "the dead worker recorded a result": (
        lambda given: with_row(
            given, "p1-fingerprint", lambda record: replace(record, ended_by="worker-1-x/1")
        ),
        "Every cut-off step ran again, and the new worker recorded its one result",
    ),
    "a step ran twice without reason": (
        lambda given: replace(given, runs=[*given.runs, run("z", "p2-title", 2, 5.0, 5.2)]),
        "No other step ran more often than its failures made necessary",
    ),
    "a result has no run": (
        lambda given: without_runs(given, "e1"),
        "No other step ran more often than its failures made necessary",
    ),
    "a flaky step never failed": (
        lambda given: without_runs(given, "a1"),
        "Flaky steps were retried until they succeeded",
    ),
    "a sound step failed": (
        lambda given: replace(
            given,
            runs=[run("z", "p2-words", 2, 1.0, 1.1, ending=Ending.FAILED), *given.runs],
        ),
        "Flaky steps were retried until they succeeded",
    ),
    "another step timed out": (
        lambda given: with_row(
            given, "p2-reading", lambda record: replace(record, phase=Phase.TIMED_OUT)
        ),
        "The step whose service never answers timed out, and no other one",
    ),
    "nothing timed out": (
        lambda given: with_row(
            given, "p1-reading", lambda record: replace(record, phase=Phase.COMPLETED)
        ),
        "The step whose service never answers timed out, and no other one",
    ),
    "a worker approved": (
        lambda given: with_row(
            given, "approval", lambda record: replace(record, ended_by="worker-2-x/1")
        ),
        "The approval came from outside, to an execution that no worker held",
    ),
    "the report lacks a file": (
        lambda given: replace(given, study=replace(given.study, pages=given.study.pages[1:])),
        "The report has every file, once and in order",
    ),
    "the last worker failed": (
        lambda given: replace(given, left=1),
        "The last worker ended by itself when it was told to",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_broken_promise_is_seen(name: str) -> None:
    change, claim = CHANGES[name]

    assert claim in broken(change(account()))


def test_a_kill_that_cuts_nothing_off_shows_nothing() -> None:
    given = account()
    assert given.killed is not None
    rows = dict(given.killed.ledger.rows)
    for id_ in ("p1-fingerprint", "p1-reading", "p1-links"):
        rows[id_] = replace(rows[id_], owner=None)
    killed = replace(given.killed, ledger=Ledger(rows=rows, names=NAMES))
    idle = without_runs(replace(given, killed=killed), "c1", "c2", "c3")

    assert "Every cut-off step ran again, and the new worker recorded its one result" in broken(
        idle
    )


def test_a_file_that_was_deleted_meanwhile_breaks_no_promise() -> None:
    given = with_row(account(), "p2-words", lambda record: replace(record, phase=Phase.FAILED))
    runs = [
        replace(one, ending=Ending.FAILED) if one.execution == "p2-words" else one
        for one in given.runs
    ]

    assert broken(replace(given, runs=runs)) == []


def test_how_many_executions_a_study_has() -> None:
    assert expected_executions(len(NAMES)) == len(account().ledger.rows)
