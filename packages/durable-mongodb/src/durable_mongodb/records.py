"""Documents as records, and which claim queue a row belongs to.

What a record has as None is absent from a document, or null. Beside the fields of a record a
document has private ones:

* ``slot``: the claim queue to which the row belongs for good, made of its queue and its task; one
  queue for all built-in tasks;
* ``ready`` and ``later``: the claim queue in which the row waits now, as due or as scheduled;
  finished rows (duties) wait in that of the built-in tasks;
* ``asleep``: the wake key, until the sleeper has ended;
* ``stamp``: which call of which storage has written the row last; left alone by whoever writes
  rows that others hold, because a claim finds by it what it holds;
* ``points``: how many checkpoints it has, and a number more for each transaction of a user's.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from durable_core.storage import FINISHED, Head, OnCancel, Phase, Record

Doc: TypeAlias = dict[str, Any]
"""A document as the driver gives and takes it."""

PAYLOADS: Final = ("options", "meta", "input", "state", "output")
"""What `Record` has more than `Head`."""

NO_PAYLOADS: Final[Mapping[str, int]] = dict.fromkeys(PAYLOADS, 0)
"""The projection that reads heads."""

ANYBODY: Final = "\0"
"""The claim queue of what any executor may claim; no queue or task has such a name."""

_PHASES: Final[Mapping[str, Phase]] = {phase.value: phase for phase in Phase}
_ON_CANCEL: Final[Mapping[str, OnCancel]] = {mode.value: mode for mode in OnCancel}
_NO_TAGS: Final[frozenset[str]] = frozenset()


def slot(queue: str, task: str) -> str:
    """Return the claim queue of a queue and a task."""
    return ANYBODY if task.startswith("$") else f"{queue}\0{task}"


def queue_of(slot: str) -> str | None:
    """Return the queue of a claim queue, None for that of built-in tasks and duties."""
    return None if slot == ANYBODY else slot.partition("\0")[0]


def _time(value: Any) -> int | None:
    # The driver has a class of its own for large integers.
    return None if value is None else int(value)


def head(doc: Doc) -> Head:
    """Return the head that a document holds."""
    get = doc.get
    tags = get("tags")
    return Head(
        id=doc["_id"],
        task=doc["task"],
        queue=doc["queue"],
        group=get("group"),
        key=get("key"),
        wake_key=get("wake_key"),
        root_id=doc["root_id"],
        parent_id=get("parent_id"),
        child_index=doc["child_index"],
        on_cancel=_ON_CANCEL[doc["on_cancel"]],
        tags=_NO_TAGS if tags is None else frozenset(tags),
        priority=doc["priority"],
        phase=_PHASES[doc["phase"]],
        due=_time(get("due")),
        owner=get("owner"),
        gen=int(doc["gen"]),
        crashes=doc["crashes"],
        attempt=doc["attempt"],
        error=get("error"),
        pending=doc["pending"],
        join_at=doc["join_at"],
        cancel_requested=doc["cancel_requested"],
        ended_by=get("ended_by"),
        created_at=int(doc["created_at"]),
        started_at=_time(get("started_at")),
        finished_at=_time(get("finished_at")),
    )


def record(doc: Doc) -> Record:
    """Return the record that a document holds."""
    get = doc.get
    tags = get("tags")
    return Record(
        id=doc["_id"],
        task=doc["task"],
        queue=doc["queue"],
        group=get("group"),
        key=get("key"),
        wake_key=get("wake_key"),
        root_id=doc["root_id"],
        parent_id=get("parent_id"),
        child_index=doc["child_index"],
        on_cancel=_ON_CANCEL[doc["on_cancel"]],
        tags=_NO_TAGS if tags is None else frozenset(tags),
        priority=doc["priority"],
        phase=_PHASES[doc["phase"]],
        due=_time(get("due")),
        owner=get("owner"),
        gen=int(doc["gen"]),
        crashes=doc["crashes"],
        attempt=doc["attempt"],
        error=get("error"),
        pending=doc["pending"],
        join_at=doc["join_at"],
        cancel_requested=doc["cancel_requested"],
        ended_by=get("ended_by"),
        created_at=int(doc["created_at"]),
        started_at=_time(get("started_at")),
        finished_at=_time(get("finished_at")),
        options=doc["options"],
        meta=doc["meta"],
        input=doc["input"],
        state=get("state"),
        output=get("output"),
    )


def waits_in(row: Head, now: int) -> Doc:
    """Return `ready` and `later` of a row: where it waits, None where it does not."""
    where = ANYBODY if row.phase in FINISHED else slot(row.queue, row.task)
    claimable = row.due is not None and row.owner is None
    return {
        "ready": where if claimable and row.due is not None and row.due <= now else None,
        "later": where if claimable and row.due is not None and row.due > now else None,
    }


def birth_doc(born: Record, now: int, stamp: bytes) -> Doc:
    """Return the document of a new row."""
    doc: Doc = {
        "_id": born.id,
        "task": born.task,
        "queue": born.queue,
        "slot": slot(born.queue, born.task),
        "root_id": born.root_id,
        "child_index": born.child_index,
        "on_cancel": born.on_cancel.value,
        "priority": born.priority,
        "phase": born.phase.value,
        "gen": born.gen,
        "crashes": 0,
        "attempt": 0,
        "pending": 0,
        "join_at": 0,
        "cancel_requested": False,
        "created_at": born.created_at,
        "options": born.options,
        "meta": born.meta,
        "input": born.input,
        "stamp": stamp,
    }
    if born.tags:
        doc["tags"] = sorted(born.tags)
    if born.wake_key is not None and born.phase not in FINISHED:
        doc["asleep"] = born.wake_key
    for name in _OFTEN_ABSENT:
        value = getattr(born, name)
        if value is not None:
            doc[name] = value
    for name, value in waits_in(born, now).items():
        if value is not None:
            doc[name] = value
    return doc


_OFTEN_ABSENT: Final = (
    "group", "key", "wake_key", "parent_id", "due", "owner", "error", "ended_by", "started_at",
    "finished_at", "state", "output",
)  # fmt: skip
