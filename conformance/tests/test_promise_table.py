"""The promise table, the checks and the page in the documents tell one story."""

import re
from dataclasses import fields
from pathlib import Path

from durable_conformance import StorageConformance
from durable_conformance.checking import checks_of
from durable_conformance.engine_rules import ENGINE_RULES
from durable_conformance.promises import AREAS, JUDGED, LEVELS, PROMISES, Level
from durable_conformance.reference import WHO, reference
from durable_core.storage import Capabilities, Record, Storage

SUITE = checks_of(StorageConformance)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "storage-protocol.md"
# What the protocol was designed with; numbers are added at an area's end and never taken away.
DESIGNED = {
    "INSERT": 8, "CLAIM": 10, "APPLY": 11, "PARENT": 12, "WAKE": 8, "CANCEL": 7, "LEASE": 11,
    "TIME": 4, "READ": 4, "HINT": 2, "BIND": 4, "PURGE": 3, "SCHEMA": 3, "ERROR": 4,
}  # fmt: skip


def test_every_designed_promise_is_there() -> None:
    for area, number in DESIGNED.items():
        assert len(AREAS[area]) >= number


def test_numbers_count_from_one_without_gaps() -> None:
    for area, promises in AREAS.items():
        assert [promise.id for promise in promises] == [
            f"{area}-{number}" for number in range(1, len(promises) + 1)
        ]
        assert all(promise.text.endswith(".") for promise in promises)
    assert len({promise.text for promise in PROMISES.values()}) == len(PROMISES)


def test_every_promise_has_a_check_that_is_named_after_it() -> None:
    judged = {check.promise for check in SUITE.values()}
    assert judged == set(PROMISES)
    for name, check in SUITE.items():
        area, number = check.promise.split("-")
        assert re.match(rf"test_{area.lower()}_{number}_\w+$", name)


def test_levels_and_hooks_are_those_of_the_table() -> None:
    for check in SUITE.values():
        promise = PROMISES[check.promise]
        allowed = {(promise.level, promise.hook), *promise.again}
        assert (check.level, check.hook) in allowed, check.name
        assert check.requires == promise.requires


def test_a_level_that_is_judged_is_judged_in_full() -> None:
    for level in JUDGED:
        due = {promise.id for promise in PROMISES.values() if promise.level is level}
        due |= {
            promise.id
            for promise in PROMISES.values()
            for again in promise.again
            if again.level is level
        }
        assert due <= {check.promise for check in SUITE.values() if check.level is level}


def test_levels_are_judged_from_the_lowest_on() -> None:
    assert list(LEVELS) == [Level.CONTRACT, Level.CONCURRENT, Level.CRASH_SAFE]
    assert frozenset(LEVELS[: len(JUDGED)]) == JUDGED


def test_capabilities_that_are_required_exist() -> None:
    known = {field.name for field in fields(Capabilities)}
    assert {promise.requires for promise in PROMISES.values()} - {None} <= known


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), (
        "durable-conformance reference > docs/reference/storage-protocol.md"
    )


def test_the_page_has_everything() -> None:
    page = reference()
    assert set(WHO) == {field.name for field in fields(Record)}
    for id_ in (*PROMISES, *ENGINE_RULES):
        assert id_ in page
    methods = [name for name, member in vars(Storage).items() if callable(member)]
    methods = [name for name in methods if not name.startswith("_")]
    assert len(methods) == 15
    assert all(f"### {name}\n" in page for name in methods)
    assert "{{" not in page
