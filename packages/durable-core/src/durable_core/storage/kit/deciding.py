"""The decisions of `apply`, `wake` and `cancel`, one item after the other, on rows in memory."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..records import UNFINISHED, WAITING, Head, OnCancel, Phase, Record
from ..requests import (
    Applied,
    ApplyOutcome,
    Cancelled,
    CancelOutcome,
    Finish,
    Keep,
    NewExecution,
    Release,
    Settle,
    Transition,
    Wake,
    WakeOutcome,
    Woken,
)
from .build import born
from .mailboxes import Mailbox, Mailboxes, Message
from .rows import Rows
from .transitions import fresh_children, refusal, values_of


class Applying:
    """Transitions of one call, in order.

    Args:
        rows: Those that the items name, and their parents.
        boxes: The mailboxes of all children with a wake key.
        parents: By id of each child that exists already, its parent.
        sleepers: The (task, wake key) of unfinished sleepers, among those of the children.

    Attributes:
        births: The children to insert, and what becomes of them.
        points: The checkpoints to record: id, name and value.
    """

    def __init__(
        self,
        rows: Rows,
        boxes: Mailboxes,
        parents: Mapping[str, str | None],
        sleepers: set[tuple[str, str]],
    ) -> None:
        self.births: list[tuple[NewExecution, Record]] = []
        self.points: list[tuple[str, str, bytes]] = []
        self._rows = rows
        self._boxes = boxes
        self._parents = dict(parents)
        self._sleepers = set(sleepers)

    def apply(self, item: Transition) -> Applied:
        """Carry out one: checks first, then effects, so that a refusal changes nothing."""
        row = self._rows.get(item.id)
        if row is None:
            return Applied(outcome=ApplyOutcome.MISSING)
        refused = refusal(row, item)
        if refused is not None:
            return Applied(outcome=refused, head=row)
        if isinstance(item, Settle):
            self._rows.change(row, {"owner": None, "due": item.due})
            return Applied(outcome=ApplyOutcome.APPLIED)
        if isinstance(item, Finish):
            values = values_of(item) | self.note_checkpoints(item)
            _, woken = self._rows.finish(row, item.phase, str(item.token), values)
            return Applied(outcome=ApplyOutcome.APPLIED, woken=woken)
        fresh = fresh_children(item, self._parents, self._sleepers)
        if isinstance(fresh, int):
            return Applied(outcome=ApplyOutcome.CHILD_CONFLICT, head=row, conflict=fresh)
        return self._keep_or_release(row, item, fresh)

    def note_checkpoints(self, item: Keep | Release | Finish) -> dict[str, Any]:
        """Take note of an item's checkpoints.

        Returns:
            What the row is given because of them: nothing, unless a storage says otherwise.
        """
        self.points += [(item.id, name, value) for name, value in item.checkpoints.items()]
        return {}

    def _keep_or_release(
        self, row: Head, item: Keep | Release, fresh: Sequence[NewExecution]
    ) -> Applied:
        values = values_of(item) | self.note_checkpoints(item)
        new = [self._bear(child, item.id) for child in fresh]
        values["pending"] = row.pending + sum(child.phase in UNFINISHED for child in new)
        held = [child.id for child in new if child.owner is not None]
        if isinstance(item, Keep):
            self._rows.change(row, values)
            return Applied(outcome=ApplyOutcome.APPLIED, held=held)
        due = item.due
        if item.phase in WAITING and values["pending"] <= values.get("join_at", row.join_at):
            due = 0
        self._rows.change(row, values | {"owner": None, "phase": item.phase, "due": due})
        woken = [item.id] if due is not None and due <= self._rows.now else []
        return Applied(outcome=ApplyOutcome.APPLIED, woken=woken, held=held)

    def _bear(self, child: NewExecution, parent_id: str) -> Record:
        new = born(child, self._rows.now)
        if new.wake_key is not None:
            new = self._boxes.delivered(new, self._rows.now)
            self._boxes.arrived(new)
            if new.phase in UNFINISHED and child.wake_key is not None:
                self._sleepers.add((new.task, child.wake_key))
        self._parents[new.id] = parent_id
        self.births.append((child, new))
        return new


class Waking:
    """Wake-ups of one call, in order.

    Args:
        rows: The sleepers that the items name, those that sleep under their keys, the latest ones
            of their mailboxes, and the parents of all these.
        boxes: The mailboxes of the items' keys.
    """

    def __init__(self, rows: Rows, boxes: Mailboxes) -> None:
        self._rows = rows
        self._boxes = boxes

    def wake(self, item: Wake, wake_key: str | None) -> Woken:
        """Carry out one.

        Args:
            item: The wake-up.
            wake_key: Of the sleeper that it names by key or id; None: it names none.
        """
        if wake_key is None:
            return Woken(outcome=WakeOutcome.NOBODY)
        box = self._boxes.get(item.task, wake_key)
        if box.request == item.request and box.answer is not None:
            return box.answer
        sleeper = (
            self._rows.get(item.id)
            if item.id is not None
            else self._rows.asleep(item.task, wake_key)
        )
        box = self._boxes.change(item.task, wake_key)
        box.answer = self._decide(item, sleeper, box)
        box.request = item.request
        return box.answer

    def _decide(self, item: Wake, sleeper: Head | None, box: Mailbox) -> Woken:
        if sleeper is not None and not sleeper.finished:
            if sleeper.owner is not None:
                return Woken(outcome=WakeOutcome.LATE, id=sleeper.id)
            values = {"output" if item.phase is Phase.COMPLETED else "error": item.payload}
            _, woken = self._rows.finish(sleeper, item.phase, item.request, values)
            return Woken(outcome=WakeOutcome.WOKEN, id=sleeper.id, woken=woken)
        now = self._rows.now
        if item.id is None and box.message is not None and box.message.until > now:
            return Woken(outcome=WakeOutcome.ALREADY_KEPT, first=box.message.request)
        if item.id is None and item.keep_until is not None and item.keep_until > now:
            box.message = Message(
                phase=item.phase, payload=item.payload, request=item.request, until=item.keep_until
            )
            return Woken(outcome=WakeOutcome.KEPT)
        latest = self._rows.get(item.id or box.execution_id)
        return Woken(
            outcome=WakeOutcome.NOBODY,
            id=None if latest is None else latest.id,
            first=None if latest is None else latest.ended_by,
        )


def cancel_one(rows: Rows, id: str, request: str) -> Cancelled:  # noqa: A002
    """End an execution, or mark it for its owner.

    Args:
        rows: The execution and its parent, if they exist.
        id: The execution.
        request: Who asks.
    """
    row = rows.get(id)
    if row is None:
        return Cancelled(outcome=CancelOutcome.MISSING)
    if row.finished:
        mine = row.ended_by == request
        outcome = CancelOutcome.ENDED if mine else CancelOutcome.FINISHED
        return Cancelled(outcome=outcome, head=row)
    if row.owner is None and row.on_cancel is OnCancel.END:
        after, woken = rows.finish(row, Phase.CANCELLED, request, {})
        return Cancelled(outcome=CancelOutcome.ENDED, head=after, woken=woken)
    due = 0 if row.owner is None else row.due
    marked = rows.change(row, {"cancel_requested": True, "due": due})
    return Cancelled(outcome=CancelOutcome.MARKED, head=marked)
