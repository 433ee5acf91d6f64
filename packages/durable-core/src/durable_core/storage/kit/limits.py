"""The limits that every storage keeps, checked before anything is written."""

import re
from collections.abc import Collection, Sequence
from typing import Final

from ..capabilities import Capabilities
from ..errors import InvalidArgumentError, TooLargeError
from ..records import FINISHED, UNFINISHED, Phase
from ..requests import (
    Finish,
    Keep,
    NewExecution,
    Release,
    Settle,
    Transition,
    Unset,
    Wake,
)
from .build import child_parent_check

MAX_ID: Final = 255
MAX_NAME: Final = 191
MAX_OWNER: Final = 64
MAX_TAGS: Final = 16
MAX_TAG: Final = 64
MIN_PRIORITY: Final = -1000
MAX_PRIORITY: Final = 1000
MAX_INT32: Final = 2**31 - 1
MAX_INT64: Final = 2**63 - 1

_ASCII_ID: Final = re.compile(r"[\x21-\x7e]{1,255}")


def check_id(what: str, value: str) -> None:
    """Refuse an id that is not 1 to 255 printable ASCII characters without blanks."""
    if _ASCII_ID.fullmatch(value) is None:
        msg = f"{what} must be 1 to {MAX_ID} printable ASCII characters without blanks: {value!r}"
        raise InvalidArgumentError(msg)


def check_name(what: str, value: str, limit: int = MAX_NAME) -> None:
    """Refuse a name that is empty, too long, or cannot be stored by every database."""
    if not 1 <= len(value) <= limit:
        msg = f"{what} must have 1 to {limit} characters, not {len(value)}: {value[:40]!r}"
        raise InvalidArgumentError(msg)
    if value.isascii():
        if "\0" in value:
            msg = f"{what} must not contain NUL: {value!r}"
            raise InvalidArgumentError(msg)
        return
    try:
        encoded = value.encode()
    except UnicodeEncodeError as error:
        msg = f"{what} is not valid Unicode ({error.reason}): {value!r}"
        raise InvalidArgumentError(msg) from error
    if 0 in encoded:
        msg = f"{what} must not contain NUL: {value!r}"
        raise InvalidArgumentError(msg)


def check_executor(executor: str) -> None:
    """Refuse an executor id that is not 1 to 64 printable ASCII characters without blanks."""
    check_id("executor", executor)
    if len(executor) > MAX_OWNER:
        msg = f"executor must have at most {MAX_OWNER} characters: {executor!r}"
        raise InvalidArgumentError(msg)


def _check_int(what: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        msg = f"{what} must be between {low} and {high}, not {value}"
        raise InvalidArgumentError(msg)


def _check_due(due: int | None) -> None:
    if due is not None:
        _check_int("due", due, 0, MAX_INT64)


def _check_size(what: str, id_: str, value: bytes | None, capabilities: Capabilities) -> int:
    if value is None:
        return 0
    size = len(value)
    if size > capabilities.max_payload:
        msg = (
            f"{what} of {id_!r} has {size} bytes, this storage takes at most "
            f"{capabilities.max_payload}"
        )
        raise TooLargeError(msg)
    return size


def _check_batch(rows: int, size: int, capabilities: Capabilities) -> None:
    if rows > capabilities.max_batch_rows:
        msg = (
            f"the call carries {rows} rows, this storage takes at most "
            f"{capabilities.max_batch_rows} (capabilities.max_batch_rows)"
        )
        raise TooLargeError(msg)
    if size > capabilities.max_batch_bytes:
        msg = (
            f"the call carries {size} payload bytes, this storage takes at most "
            f"{capabilities.max_batch_bytes} (capabilities.max_batch_bytes)"
        )
        raise TooLargeError(msg)


def _check_new(item: NewExecution, capabilities: Capabilities) -> int:
    check_id("id", item.id)
    check_name("task", item.task)
    check_name("queue", item.queue)
    for what, name in (("group", item.group), ("key", item.key), ("wake_key", item.wake_key)):
        if name is not None:
            check_name(what, name)
    if item.root_id is not None:
        check_id("root_id", item.root_id)
    if item.owner is not None:
        check_executor(item.owner)
    if item.tags:
        _check_tags(item.tags)
    _check_int("priority", item.priority, MIN_PRIORITY, MAX_PRIORITY)
    _check_int("child_index", item.child_index, -1, MAX_INT32)
    _check_due(item.due)
    if item.phase is not Phase.READY and item.phase is not Phase.SLEEPING:
        msg = f"an execution is inserted as ready or sleeping, not {item.phase}"
        raise InvalidArgumentError(msg)
    if item.wake_key is not None and item.phase is not Phase.SLEEPING:
        msg = f"{item.id!r} has a wake key, so it must be inserted as sleeping"
        raise InvalidArgumentError(msg)
    return (
        _check_size("options", item.id, item.options, capabilities)
        + _check_size("meta", item.id, item.meta, capabilities)
        + _check_size("input", item.id, item.input, capabilities)
        + _check_size("state", item.id, item.state, capabilities)
    )


def _check_tags(tags: Collection[str]) -> None:
    if len(tags) > MAX_TAGS:
        msg = f"at most {MAX_TAGS} tags, not {len(tags)}"
        raise InvalidArgumentError(msg)
    for tag in tags:
        check_name("tag", tag, MAX_TAG)


def check_insert(items: Sequence[NewExecution], capabilities: Capabilities) -> None:
    """Refuse an insert with a value outside the limits, or an item with a parent.

    Raises:
        InvalidArgumentError: What, where, and the limit.
        TooLargeError: A payload or the whole call is too large.
    """
    size = 0
    for item in items:
        if item.parent_id is not None:
            msg = f"{item.id!r} has a parent: children are inserted by their parent's transition"
            raise InvalidArgumentError(msg)
        size += _check_new(item, capabilities)
    _check_batch(len(items), size, capabilities)


def check_claim(
    executor: str, limit: int, gates: object | None, capabilities: Capabilities
) -> None:
    """Refuse a claim with a bad limit, or with gates that the storage does not know.

    Raises:
        InvalidArgumentError: What is wrong.
        TooLargeError: The limit is larger than the capability.
    """
    check_executor(executor)
    if limit < 0:
        msg = f"limit must not be negative, not {limit}"
        raise InvalidArgumentError(msg)
    if gates is not None and not capabilities.gates:
        msg = "this storage does not declare the capability 'gates'"
        raise InvalidArgumentError(msg)
    _check_batch(limit, 0, capabilities)


def check_apply(items: Sequence[Transition], capabilities: Capabilities) -> None:
    """Refuse an apply that breaks the rules of `Storage.apply`.

    Raises:
        InvalidArgumentError: Ids not distinct, an item is another's parent, a phase that does
            not fit, or a value outside the limits.
        TooLargeError: A payload or the whole call is too large.
    """
    ids = {item.id for item in items}
    if len(ids) != len(items):
        msg = "an apply must not name an execution twice"
        raise InvalidArgumentError(msg)
    rows = len(items)
    size = 0
    for item in items:
        if item.parent_id is not None and item.parent_id in ids:
            msg = f"{item.parent_id!r} and its child {item.id!r} must not be in one apply"
            raise InvalidArgumentError(msg)
        if item.token.gen < 1:
            msg = f"token of {item.id!r} has gen {item.token.gen}; held rows begin at 1"
            raise InvalidArgumentError(msg)
        if isinstance(item, Settle):
            _check_due(item.due)
            continue
        size += _check_write(item, capabilities)
        if isinstance(item, Keep | Release):
            rows += len(item.children)
    _check_batch(rows, size, capabilities)


def _check_write(item: Keep | Release | Finish, capabilities: Capabilities) -> int:
    size = 0
    for what, value in (("state", item.state), ("output", item.output), ("error", item.error)):
        if not isinstance(value, Unset):
            size += _check_size(what, item.id, value, capabilities)
    for name, value in item.checkpoints.items():
        check_name(f"checkpoint name of {item.id!r}", name)
        size += _check_size(f"checkpoint {name!r}", item.id, value, capabilities)
    _check_numbers(item)
    if isinstance(item, Finish):
        if item.phase not in FINISHED:
            msg = f"{item.id!r} cannot finish as {item.phase}, which is no final phase"
            raise InvalidArgumentError(msg)
        return size
    if isinstance(item, Release):
        _check_due(item.due)
        if item.phase not in UNFINISHED:
            msg = f"{item.id!r} cannot be released as {item.phase}: that is a final phase"
            raise InvalidArgumentError(msg)
    for child in item.children:
        child_parent_check(item.id, child)
        if child.key is not None:
            msg = f"child {child.id!r} has an idempotency key; only roots have one"
            raise InvalidArgumentError(msg)
        size += _check_new(child, capabilities)
    return size


def _check_numbers(item: Keep | Release | Finish) -> None:
    for what, number, low, high in (
        ("attempt", item.attempt, 0, MAX_INT32),
        ("join_at", item.join_at, -1, MAX_INT32),
        ("priority", item.priority, MIN_PRIORITY, MAX_PRIORITY),
    ):
        if not isinstance(number, Unset):
            _check_int(what, number, low, high)


def check_wake(items: Sequence[Wake], capabilities: Capabilities) -> None:
    """Refuse wake-ups with both or neither of key and id, or with values outside the limits.

    Raises:
        InvalidArgumentError: What is wrong.
        TooLargeError: A payload or the whole call is too large.
    """
    size = 0
    for item in items:
        check_name("task", item.task)
        check_id("request", item.request)
        if (item.wake_key is None) == (item.id is None):
            msg = "a wake-up names either a wake key or an id"
            raise InvalidArgumentError(msg)
        if item.wake_key is not None:
            check_name("wake_key", item.wake_key)
        if item.phase is not Phase.COMPLETED and item.phase is not Phase.FAILED:
            msg = f"a wake-up ends its sleeper as completed or failed, not {item.phase}"
            raise InvalidArgumentError(msg)
        size += _check_size(
            "payload for the sleeper", item.wake_key or item.id or "", item.payload, capabilities
        )
    _check_batch(len(items), size, capabilities)


def check_cancel(ids: Sequence[str], request: str, capabilities: Capabilities) -> None:
    """Refuse a cancel of too many ids, or with a request id outside the limits.

    Raises:
        InvalidArgumentError: What is wrong.
        TooLargeError: Too many ids.
    """
    check_id("request", request)
    _check_batch(len(ids), 0, capabilities)
