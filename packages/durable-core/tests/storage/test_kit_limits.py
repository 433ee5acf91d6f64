"""Values outside the protocol's limits are refused, those at the limits are taken."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from durable_core.storage import (
    PROTOCOL_VERSION,
    Capabilities,
    Finish,
    InvalidArgumentError,
    Keep,
    NewExecution,
    Phase,
    Release,
    Settle,
    Token,
    TooLargeError,
    Transition,
    Wake,
)
from durable_core.storage.kit import (
    check_apply,
    check_cancel,
    check_claim,
    check_executor,
    check_insert,
    check_wake,
)

CAPABILITIES = Capabilities(
    protocol=PROTOCOL_VERSION, max_batch_rows=3, max_batch_bytes=20, max_payload=10
)
TOKEN = Token("e", 1)
ROOT = NewExecution(id="a", task="t")
CHILD = NewExecution(id="c", task="t", parent_id="a")
KEEP = Keep(id="a", token=TOKEN)
RELEASE = Release(id="a", token=TOKEN, phase=Phase.READY, due=0)
FINISH = Finish(id="a", token=TOKEN, phase=Phase.COMPLETED)
SETTLE = Settle(id="a", token=TOKEN)
WAKE = Wake(task="t", wake_key="k", request="r")

LONGEST: dict[str, Any] = {
    "id": "~" * 255,
    "task": "ä" * 191,
    "queue": "q" * 191,
    "group": "g" * 191,
    "key": "🎈" * 191,
    "tags": frozenset({f"{n:064}" for n in range(16)}),
    "priority": 1000,
    "child_index": 2**31 - 1,
    "due": 2**63 - 1,
    "owner": "o" * 64,
    "root_id": "!" * 255,
    "options": b"x" * 10,
    "meta": b"x" * 10,
}


def test_values_at_the_limits_are_taken() -> None:
    check_insert([replace(ROOT, **LONGEST)], CAPABILITIES)
    check_insert(
        [replace(ROOT, priority=-1000, child_index=-1, due=None, input=b"x" * 10)], CAPABILITIES
    )
    check_insert([ROOT, ROOT, ROOT], CAPABILITIES)
    sleeper = replace(ROOT, phase=Phase.SLEEPING, wake_key="k" * 191)
    check_insert([sleeper], CAPABILITIES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": ""}, "id must be 1 to 255 printable ASCII characters without blanks: ''"),
        ({"id": "x" * 256}, "id must be 1 to 255"),
        ({"id": "a b"}, "id must be 1 to 255"),
        ({"id": "ä"}, "id must be 1 to 255"),
        ({"id": "a\n"}, "id must be 1 to 255"),
        ({"task": ""}, "task must have 1 to 191 characters, not 0"),
        ({"task": "t" * 192}, "task must have 1 to 191 characters, not 192"),
        ({"queue": "a\0b"}, "queue must not contain NUL"),
        ({"queue": "ä\0"}, "queue must not contain NUL"),
        ({"key": ""}, "key must have 1 to 191"),
        ({"key": "\ud800"}, "key is not valid Unicode"),
        ({"group": "g" * 192}, "group must have 1 to 191"),
        ({"wake_key": "k"}, "'a' has a wake key, so it must be inserted as sleeping"),
        ({"root_id": " "}, "root_id must be 1 to 255"),
        ({"owner": "o" * 65}, "executor must have at most 64 characters"),
        ({"owner": ""}, "executor must be 1 to 255"),
        ({"tags": frozenset({""})}, "tag must have 1 to 64"),
        ({"tags": frozenset({"t" * 65})}, "tag must have 1 to 64"),
        ({"tags": frozenset(map(str, range(17)))}, "at most 16 tags, not 17"),
        ({"priority": 1001}, "priority must be between -1000 and 1000, not 1001"),
        ({"priority": -1001}, "priority must be between"),
        ({"child_index": -2}, "child_index must be between -1 and 2147483647"),
        ({"child_index": 2**31}, "child_index must be between"),
        ({"due": -1}, "due must be between 0 and 9223372036854775807, not -1"),
        ({"due": 2**63}, "due must be between"),
        ({"phase": Phase.COMPLETED}, "inserted as ready or sleeping, not completed"),
        ({"phase": Phase.WAITING_FOR_CHILDREN}, "inserted as ready or sleeping"),
        ({"parent_id": "p"}, "'a' has a parent: children are inserted by their parent's"),
    ],
)
def test_an_insert_outside_the_limits_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=re.escape(message)):
        check_insert([replace(ROOT, **change)], CAPABILITIES)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([ROOT] * 4, "the call carries 4 rows, this storage takes at most 3"),
        ([replace(ROOT, input=b"x" * 11)], "input of 'a' has 11 bytes, this storage takes at most"),
        ([replace(ROOT, meta=b"x" * 11)], "meta of 'a' has 11 bytes"),
        ([replace(ROOT, options=b"x" * 11)], "options of 'a' has 11 bytes"),
        ([replace(ROOT, state=b"x" * 11)], "state of 'a' has 11 bytes"),
        ([replace(ROOT, input=b"x" * 7)] * 3, "carries 21 payload bytes, this storage takes at"),
    ],
)
def test_too_much_to_insert_is_refused(items: Sequence[NewExecution], message: str) -> None:
    with pytest.raises(TooLargeError, match=re.escape(message)):
        check_insert(items, CAPABILITIES)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([KEEP, SETTLE], "an apply must not name an execution twice"),
        (
            [KEEP, replace(FINISH, id="c", parent_id="a")],
            "'a' and its child 'c' must not be in one apply",
        ),
        ([replace(KEEP, token=Token("e", 0))], "token of 'a' has gen 0; held rows begin at 1"),
        ([replace(FINISH, phase=Phase.READY)], "'a' cannot finish as ready"),
        ([replace(RELEASE, phase=Phase.FAILED)], "'a' cannot be released as failed"),
        ([replace(RELEASE, due=-1)], "due must be between"),
        ([replace(SETTLE, due=-1)], "due must be between"),
        ([replace(KEEP, attempt=-1)], "attempt must be between 0 and 2147483647"),
        ([replace(KEEP, join_at=-2)], "join_at must be between -1 and"),
        ([replace(FINISH, priority=1001)], "priority must be between"),
        ([replace(KEEP, checkpoints={"": b""})], "checkpoint name of 'a' must have 1 to 191"),
        (
            [replace(KEEP, children=[replace(CHILD, parent_id="b")])],
            "child 'c' names parent 'b', but is inserted by the transition of 'a'",
        ),
        ([replace(KEEP, children=[replace(CHILD, parent_id=None)])], "names parent None"),
        ([replace(RELEASE, children=[replace(CHILD, key="k")])], "'c' has an idempotency key"),
        ([replace(KEEP, children=[replace(CHILD, priority=2000)])], "priority must be between"),
    ],
)
def test_an_apply_that_breaks_a_rule_is_refused(items: Sequence[Transition], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=re.escape(message)):
        check_apply(items, CAPABILITIES)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([replace(KEEP, children=[CHILD] * 3)], "the call carries 4 rows"),
        ([replace(KEEP, state=b"x" * 11)], "state of 'a' has 11 bytes"),
        ([replace(FINISH, output=b"x" * 11)], "output of 'a' has 11 bytes"),
        ([replace(FINISH, error=b"x" * 11)], "error of 'a' has 11 bytes"),
        ([replace(KEEP, checkpoints={"n": b"x" * 11})], "checkpoint 'n' of 'a' has 11 bytes"),
        (
            [
                replace(
                    KEEP,
                    state=b"x" * 10,
                    checkpoints={"n": b"x" * 10},
                    children=[replace(CHILD, input=b"x")],
                )
            ],
            "the call carries 21 payload bytes",
        ),
    ],
)
def test_too_much_to_apply_is_refused(items: Sequence[Transition], message: str) -> None:
    with pytest.raises(TooLargeError, match=re.escape(message)):
        check_apply(items, CAPABILITIES)


def test_an_apply_within_the_limits_is_taken() -> None:
    check_apply([replace(KEEP, children=[CHILD, CHILD], state=None, error=b"x" * 10)], CAPABILITIES)
    check_apply([RELEASE, replace(FINISH, id="b"), replace(SETTLE, id="c", due=5)], CAPABILITIES)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (replace(WAKE, id="a"), "a wake-up names either a wake key or an id"),
        (replace(WAKE, wake_key=None), "a wake-up names either a wake key or an id"),
        (replace(WAKE, wake_key=""), "wake_key must have 1 to 191"),
        (replace(WAKE, task=""), "task must have 1 to 191"),
        (replace(WAKE, request=""), "request must be 1 to 255"),
        (replace(WAKE, phase=Phase.CANCELLED), "as completed or failed, not cancelled"),
    ],
)
def test_a_wake_up_outside_the_limits_is_refused(item: Wake, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=re.escape(message)):
        check_wake([item], CAPABILITIES)


def test_too_much_to_wake_is_refused() -> None:
    with pytest.raises(TooLargeError, match="payload for the sleeper of 'k' has 11 bytes"):
        check_wake([replace(WAKE, payload=b"x" * 11)], CAPABILITIES)
    with pytest.raises(TooLargeError, match="4 rows"):
        check_wake([WAKE] * 4, CAPABILITIES)
    check_wake([WAKE, replace(WAKE, wake_key=None, id="a", payload=b"x" * 10)], CAPABILITIES)


def test_a_cancel_outside_the_limits_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="request must be 1 to 255"):
        check_cancel(["a"], " ", CAPABILITIES)
    with pytest.raises(TooLargeError, match="4 rows"):
        check_cancel(["a"] * 4, "r", CAPABILITIES)
    check_cancel(["a"] * 3, "r", CAPABILITIES)


def test_a_claim_outside_the_limits_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="limit must not be negative, not -1"):
        check_claim("e", -1, None, CAPABILITIES)
    with pytest.raises(InvalidArgumentError, match="does not declare the capability 'gates'"):
        check_claim("e", 1, object(), CAPABILITIES)
    with pytest.raises(TooLargeError, match="4 rows"):
        check_claim("e", 4, None, CAPABILITIES)
    with pytest.raises(InvalidArgumentError, match="executor"):
        check_claim("", 1, None, CAPABILITIES)
    check_claim("e", 0, None, CAPABILITIES)
    check_claim("e", 3, object(), replace(CAPABILITIES, gates=True))


def test_an_executor_has_at_most_64_characters() -> None:
    check_executor("e" * 64)
    with pytest.raises(InvalidArgumentError, match="at most 64 characters"):
        check_executor("e" * 65)
