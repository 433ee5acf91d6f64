"""What a claimed row asks for, decided from its head alone, before anything is decoded."""

from dataclasses import dataclass
from enum import Enum, auto

from ..storage import WAITING, Head, OnCancel, Phase


class Decision(Enum):
    """What the executor that holds a row does with it."""

    DUTY = auto()
    """It has ended: tell its unfinished descendants."""
    POISON = auto()
    """It has killed too many executors: end it."""
    CANCEL = auto()
    """Its cancellation was requested, and it need not be told: end it."""
    TIME_OUT = auto()
    """Its time is over: end it."""
    RUN = auto()
    """Run it, or its next part."""
    WAIT = auto()
    """Its children have not ended: let it wait on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Policy of the executor.

    Attributes:
        crashes: With so many crashes an execution is poison; with one less it is a suspect.
    """

    crashes: int


def decide(head: Head, now: int, deadline: int | None, limits: Limits) -> Decision:
    """Return what to do with a row that this executor holds.

    Args:
        head: The row, as the claim left it.
        now: The storage's time, µs; only a deadline asks for it.
        deadline: When its life must be over, µs; None never.
        limits: The executor's policy.
    """
    if head.finished:
        return Decision.DUTY
    if head.crashes >= limits.crashes:
        return Decision.POISON
    told = head.on_cancel is OnCancel.DELIVER
    if head.cancel_requested and not told:
        return Decision.CANCEL
    if head.phase is Phase.SLEEPING and head.wake_key is not None:
        return Decision.TIME_OUT
    if deadline is not None and now >= deadline:
        return Decision.TIME_OUT
    # Who wants to be told of a cancellation decides by itself what it waits for.
    if head.phase in WAITING and head.pending > max(head.join_at, 0) and not told:
        return Decision.WAIT
    return Decision.RUN


def is_suspect(head: Head, limits: Limits) -> bool:
    """Whether one more crash would make it poison: it is run apart from others."""
    return not head.finished and 0 < head.crashes == limits.crashes - 1


def poison_phase(head: Head) -> Phase:
    """Return the final phase of poison, by where it would have gone on."""
    finalizes = head.phase in WAITING and head.on_cancel is OnCancel.END
    return Phase.FINALIZE_FAILED if finalizes else Phase.FAILED
