"""The state machine as one table: the reference for storages, diagrams and checks.

A state is a phase and whether the row is held. Finish(phase) is defined in `protocol`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from .records import FINISHED, UNFINISHED, WAITING, Phase


class Event(StrEnum):
    """What happens to a row."""

    INSERT = "insert"
    CLAIM = "claim"
    KEEP = "apply keep"
    RELEASE = "apply release"
    FINISH = "apply finish"
    SETTLE = "apply settle"
    WAKE = "wake"
    CANCEL = "cancel"
    REAP = "reap"
    CHILD_ENDED = "child ended"
    PURGE = "purge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One line of the table.

    Attributes:
        event: What happens.
        sources: Phases in which it may happen; empty: there is no row.
        held: Whether the row must be held (True), un-held (False), or either (None).
        guard: What else must hold, in words.
        targets: Phases it may lead to; empty: the row is gone; None: the phase stays.
        held_after: Whether it is held afterwards; None: as before.
        effect: What else changes, in words.
    """

    event: Event
    sources: frozenset[Phase]
    held: bool | None
    guard: str
    targets: frozenset[Phase] | None
    held_after: bool | None
    effect: str


_NONE: Final = frozenset[Phase]()
_EVERY: Final = frozenset(Phase)
_READY: Final = frozenset({Phase.READY})
_SLEEPING: Final = frozenset({Phase.SLEEPING})
_CANCELLED: Final = frozenset({Phase.CANCELLED})
_WOKEN: Final = frozenset({Phase.COMPLETED, Phase.FAILED})

RULES: Final[tuple[Rule, ...]] = (
    Rule(
        event=Event.INSERT,
        sources=_NONE,
        held=None,
        guard="id, key and wake key are new",
        targets=_READY | _SLEEPING,
        held_after=False,
        effect="as given, gen 0, pending 0; a child raises its parent's pending",
    ),
    Rule(
        event=Event.INSERT,
        sources=_NONE,
        held=None,
        guard="an owner is asked for, ready and due <= now",
        targets=_READY,
        held_after=True,
        effect="gen 1, due null",
    ),
    Rule(
        event=Event.INSERT,
        sources=_NONE,
        held=None,
        guard="a sleeper for whom a fresh message is kept",
        targets=_WOKEN,
        held_after=False,
        effect="Finish with the message, which is used up",
    ),
    Rule(
        event=Event.CLAIM,
        sources=_EVERY,
        held=False,
        guard="due <= now; task and queue asked for, or finished, or a built-in task",
        targets=None,
        held_after=True,
        effect="owner = executor, gen + 1, due null",
    ),
    Rule(
        event=Event.CLAIM,
        sources=UNFINISHED,
        held=False,
        guard="named by id; with a wake key only if due <= now",
        targets=None,
        held_after=True,
        effect="owner = executor, gen + 1, due null",
    ),
    Rule(
        event=Event.KEEP,
        sources=UNFINISHED,
        held=True,
        guard="token holds; not marked, or cancel_seen",
        targets=None,
        held_after=True,
        effect="values, checkpoints and children written",
    ),
    Rule(
        event=Event.RELEASE,
        sources=UNFINISHED,
        held=True,
        guard="token holds; not marked, or cancel_seen",
        targets=UNFINISHED,
        held_after=False,
        effect="as keep; due as given, 0 if waiting and pending <= join_at",
    ),
    Rule(
        event=Event.FINISH,
        sources=UNFINISHED,
        held=True,
        guard="token holds",
        targets=FINISHED,
        held_after=False,
        effect="Finish",
    ),
    Rule(
        event=Event.SETTLE,
        sources=FINISHED,
        held=True,
        guard="token holds",
        targets=None,
        held_after=False,
        effect="due as given",
    ),
    Rule(
        event=Event.WAKE,
        sources=_SLEEPING,
        held=False,
        guard="its wake key or id",
        targets=_WOKEN,
        held_after=False,
        effect="Finish with the payload",
    ),
    Rule(
        event=Event.CANCEL,
        sources=UNFINISHED,
        held=False,
        guard="on_cancel = end",
        targets=_CANCELLED,
        held_after=False,
        effect="Finish",
    ),
    Rule(
        event=Event.CANCEL,
        sources=UNFINISHED,
        held=False,
        guard="on_cancel = deliver",
        targets=None,
        held_after=False,
        effect="marked, due 0",
    ),
    Rule(
        event=Event.CANCEL,
        sources=UNFINISHED,
        held=True,
        guard="",
        targets=None,
        held_after=True,
        effect="marked",
    ),
    Rule(
        event=Event.REAP,
        sources=_EVERY,
        held=True,
        guard="its owner has no lease",
        targets=None,
        held_after=False,
        effect="gen + 1, crashes + 1, due 0",
    ),
    Rule(
        event=Event.REAP,
        sources=UNFINISHED,
        held=True,
        guard="its owner has no lease; marked and on_cancel = end",
        targets=_CANCELLED,
        held_after=False,
        effect="gen + 1, crashes + 1, Finish",
    ),
    Rule(
        event=Event.CHILD_ENDED,
        sources=WAITING,
        held=False,
        guard="pending <= join_at afterwards",
        targets=None,
        held_after=False,
        effect="pending - 1, due 0",
    ),
    Rule(
        event=Event.CHILD_ENDED,
        sources=_EVERY,
        held=None,
        guard="otherwise",
        targets=None,
        held_after=None,
        effect="pending - 1",
    ),
    Rule(
        event=Event.PURGE,
        sources=FINISHED,
        held=False,
        guard="no duty, pending 0, old enough, parent absent or finished",
        targets=_NONE,
        held_after=None,
        effect="row and checkpoints gone",
    ),
)
"""Every way in which a row may change."""
