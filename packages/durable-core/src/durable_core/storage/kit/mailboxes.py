"""What is known of one (task, wake key): its latest sleeper, request and kept message."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..quick import changed
from ..records import Phase, Record
from ..requests import Woken


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A wake-up kept for the next sleeper of a key.

    Attributes:
        phase: How it ends the sleeper.
        payload: The sleeper's output or error.
        request: Who sent it.
        until: The time, µs, from which on it is not kept any more.
    """

    phase: Phase
    payload: bytes | None
    request: str
    until: int


@dataclass(slots=True, kw_only=True)
class Mailbox:
    """What is stored of one key.

    Attributes:
        execution_id: The latest sleeper.
        request: The last request, and what it was answered.
        answer: See `request`.
        message: What waits for the next sleeper.
    """

    execution_id: str | None = None
    request: str | None = None
    answer: Woken | None = None
    message: Message | None = None


class Mailboxes:
    """The mailboxes of one transaction.

    Whoever makes or wakes a sleeper has its mailbox in the same transaction, so that a wake-up and
    a sleeper cannot miss each other.

    Args:
        boxes: By (task, wake key).
    """

    def __init__(self, boxes: Mapping[tuple[str, str], Mailbox]) -> None:
        self._boxes = dict(boxes)
        self._changed: dict[tuple[str, str], None] = {}

    def get(self, task: str, wake_key: str) -> Mailbox:
        """Return a mailbox, to look at."""
        return self._boxes[task, wake_key]

    def change(self, task: str, wake_key: str) -> Mailbox:
        """Return a mailbox that is going to be changed."""
        self._changed[task, wake_key] = None
        return self._boxes[task, wake_key]

    def take_changed(self) -> dict[tuple[str, str], Mailbox]:
        """Return what has changed since the last time, in the order of the keys' bytes."""
        keys = sorted(self._changed, key=key_bytes)
        self._changed.clear()
        return {key: self._boxes[key] for key in keys}

    def delivered(self, sleeper: Record, now: int) -> Record:
        """Return a new sleeper, ended by the message that waits for it if that is fresh.

        Args:
            sleeper: As it was born.
            now: The call's time, µs.
        """
        message = self.get(sleeper.task, sleeper.wake_key or "").message
        if message is None or message.until <= now:
            return sleeper
        completed = message.phase is Phase.COMPLETED
        return changed(
            sleeper,
            phase=message.phase,
            due=None,
            ended_by=message.request,
            finished_at=now,
            output=message.payload if completed else None,
            error=None if completed else message.payload,
        )

    def arrived(self, sleeper: Record) -> None:
        """Take note of a new sleeper, who has used up what was kept."""
        box = self.change(sleeper.task, sleeper.wake_key or "")
        box.message, box.execution_id = None, sleeper.id


def key_bytes(key: tuple[str, str]) -> tuple[bytes, bytes]:
    """Return what mailboxes are sorted by: one order for all who lock several of them.

    Args:
        key: Task and wake key.
    """
    return key[0].encode(), key[1].encode()
