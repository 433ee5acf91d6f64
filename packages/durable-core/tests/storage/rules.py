"""The lines of the state machine as conditions on a row before and after one event."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Final, TypeAlias, cast

from durable_core.storage import (
    RULES,
    UNFINISHED,
    WAITING,
    Event,
    OnCancel,
    Phase,
    Record,
    Rule,
)

_FIELDS: Final = tuple(one.name for one in fields(Record))
_VALUES: Final = frozenset(
    {"state", "attempt", "crashes", "join_at", "priority", "output", "error", "pending"}
)
_END: Final = frozenset({"phase", "owner", "due", "ended_by", "finished_at"})


@dataclass(frozen=True, kw_only=True)
class Step:
    """What happened to one row; `facts` are what a rule's guard needs to know beside the row."""

    event: Event
    before: Record | None
    after: Record | None
    now: int
    facts: Mapping[str, object] = field(default_factory=dict[str, object])

    @property
    def old(self) -> Record:
        """The row before."""
        assert self.before is not None
        return self.before

    @property
    def new(self) -> Record:
        """The row after."""
        assert self.after is not None
        return self.after

    def only(self, *names: str) -> bool:
        """Whether nothing but these fields changed."""
        return all(
            name in names or getattr(self.old, name) == getattr(self.new, name) for name in _FIELDS
        )

    def ended(self, *values: str) -> bool:
        """Whether this is what Finish does to the row itself."""
        new = self.new
        return (
            self.only(*_END, *values)
            and new.due == (0 if new.pending else None)
            and new.finished_at == self.now
            and new.ended_by == self.facts["by"]
        )


def _created(step: Step) -> bool:
    new = step.new
    return (new.gen, new.pending, new.due) == (0, 0, step.facts["due"])


def _created_held(step: Step) -> bool:
    new = step.new
    due = step.facts["due"]
    return (
        isinstance(due, int)
        and due <= step.now
        and (new.gen, new.due, new.owner) == (1, None, step.facts["owner"])
    )


def _claimed(step: Step) -> bool:
    old = step.old
    may = (
        old.finished
        or old.task.startswith("$")
        or (old.task in _set(step, "tasks") and old.queue in _set(step, "queues"))
    )
    return may and not step.facts["named"] and _is_due(step) and _taken(step)


def _claimed_by_id(step: Step) -> bool:
    in_time = step.old.wake_key is None or _is_due(step)
    return bool(step.facts["named"]) and in_time and _taken(step)


def _is_due(step: Step) -> bool:
    return step.old.due is not None and step.old.due <= step.now


def _taken(step: Step) -> bool:
    new = step.new
    held = (new.owner, new.gen, new.due) == (step.facts["executor"], step.old.gen + 1, None)
    return held and step.only("owner", "gen", "due", "started_at")


def _set(step: Step, name: str) -> frozenset[object]:
    return cast("frozenset[object]", step.facts[name])


def _by_token(step: Step) -> bool:
    old = step.old
    return step.facts["token"] == old.token


def _unmarked(step: Step) -> bool:
    return _by_token(step) and bool(not step.old.cancel_requested or step.facts["cancel_seen"])


def _released(step: Step) -> bool:
    new = step.new
    joined = new.phase in WAITING and new.pending <= new.join_at
    return (
        _unmarked(step)
        and step.only(*_VALUES, "owner", "phase", "due")
        and new.due == (0 if joined else step.facts["due"])
    )


def _freed(step: Step) -> bool:
    old, new = step.old, step.new
    raised = (new.gen, new.crashes) == (old.gen + 1, old.crashes + 1)
    return raised and old.owner not in _set(step, "alive")


def _dies_with_owner(row: Record) -> bool:
    return row.cancel_requested and row.on_cancel is OnCancel.END and row.phase in UNFINISHED


def _counted(step: Step) -> bool:
    return step.new.pending == step.old.pending - 1


def _joins(row: Record) -> bool:
    return row.owner is None and row.phase in WAITING and row.pending <= row.join_at


def _over(step: Step) -> bool:
    old = step.old
    parent = step.facts["parent"]
    return (
        (old.due, old.pending) == (None, 0)
        and old.finished_at is not None
        and old.finished_at < step.now
        and (not isinstance(parent, Record) or parent.finished)
    )


Condition: TypeAlias = Callable[[Step], bool]

CONDITIONS: Final[Mapping[tuple[Event, str], Condition]] = {
    (Event.INSERT, "id, key and wake key are new"): _created,
    (Event.INSERT, "an owner is asked for, ready and due <= now"): _created_held,
    (Event.INSERT, "a sleeper for whom a fresh message is kept"): lambda step: (
        (step.new.gen, step.new.pending, step.new.due) == (0, 0, None)
        and step.new.wake_key is not None
        and step.new.finished_at == step.now
    ),
    (
        Event.CLAIM,
        "due <= now; task and queue asked for, or finished, or a built-in task",
    ): _claimed,
    (Event.CLAIM, "named by id; with a wake key only if due <= now"): _claimed_by_id,
    (Event.KEEP, "token holds; not marked, or cancel_seen"): lambda step: (
        _unmarked(step) and step.only(*_VALUES)
    ),
    (Event.RELEASE, "token holds; not marked, or cancel_seen"): _released,
    (Event.FINISH, "token holds"): lambda step: (
        _by_token(step) and step.ended(*(_VALUES - {"pending"}))
    ),
    (Event.SETTLE, "token holds"): lambda step: (
        _by_token(step) and step.only("owner", "due") and step.new.due == step.facts["due"]
    ),
    (Event.WAKE, "its wake key or id"): lambda step: step.ended("output", "error"),
    (Event.CANCEL, "on_cancel = end"): lambda step: (
        step.old.on_cancel is OnCancel.END and step.ended()
    ),
    (Event.CANCEL, "on_cancel = deliver"): lambda step: (
        step.old.on_cancel is OnCancel.DELIVER
        and step.only("cancel_requested", "due")
        and (step.new.cancel_requested, step.new.due) == (True, 0)
    ),
    (Event.CANCEL, ""): lambda step: step.only("cancel_requested") and step.new.cancel_requested,
    (Event.REAP, "its owner has no lease"): lambda step: (
        _freed(step)
        and not _dies_with_owner(step.old)
        and step.only("owner", "gen", "crashes", "due")
        and step.new.due == 0
    ),
    (Event.REAP, "its owner has no lease; marked and on_cancel = end"): lambda step: (
        _freed(step) and _dies_with_owner(step.old) and step.ended("gen", "crashes")
    ),
    (Event.CHILD_ENDED, "pending <= join_at afterwards"): lambda step: (
        _counted(step) and _joins(step.new) and step.only("pending", "due") and step.new.due == 0
    ),
    (Event.CHILD_ENDED, "otherwise"): lambda step: (
        _counted(step) and not _joins(step.new) and step.only("pending")
    ),
    (
        Event.PURGE,
        "no duty, pending 0, old enough, parent absent or finished",
    ): _over,
}
"""What the words of each rule mean, by its event and guard."""


def matching(step: Step) -> list[Rule]:
    """Return the rules that allow this step: exactly one of them in a correct storage."""
    return [rule for rule in RULES if _fits(rule, step)]


def _fits(rule: Rule, step: Step) -> bool:
    if rule.event is not step.event:
        return False
    if step.before is None:
        if rule.sources:
            return False
    elif step.before.phase not in rule.sources or rule.held not in (
        None,
        step.before.owner is not None,
    ):
        return False
    return _leads_there(rule, step) and CONDITIONS[rule.event, rule.guard](step)


def _leads_there(rule: Rule, step: Step) -> bool:
    if step.after is None:
        return rule.targets == frozenset[Phase]()
    held_before = step.before is not None and step.before.owner is not None
    held_after = held_before if rule.held_after is None else rule.held_after
    if (step.after.owner is not None) is not held_after:
        return False
    if rule.targets is None:
        return step.after.phase is step.old.phase
    return step.after.phase in rule.targets
