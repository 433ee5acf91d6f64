"""What to do with an execution that was just claimed, from its head alone."""

from collections.abc import Sequence

from durable_core.storage import FINISHED, WAITING, Cancelled, Phase

from . import kinds
from .hand import Hand, unfinished
from .specs import Killer, Parent
from .steps import Steps, Work, surely
from .weakness import Weakness

CRASH_LIMIT = 3
# The engine runs suspects one at a time and alone, so that only the guilty reach its limit. Here
# that is taken for granted: chance alone does not reach the limit of the innocent.
INNOCENT_LIMIT = 9


def decide(hand: Hand) -> Steps[None]:
    """Do whatever the execution's phase and marks ask for, in the engine's order."""
    record, random = hand.record, hand.world.random
    if record.phase in FINISHED:
        yield from _tell_descendants(hand)
        return
    if record.crashes >= _crash_limit(hand):
        waits = record.phase in WAITING
        yield from hand.finish(Phase.FINALIZE_FAILED if waits else Phase.FAILED, error=b"poison")
        return
    if hand.is_cancelled():
        yield from _cancel(hand)
        return
    if record.phase is Phase.SLEEPING or _is_late(hand):
        yield from hand.finish(Phase.TIMED_OUT)
        return
    for _ in range(random.randrange(3)):
        yield Work()
    if hand.is_cancelled() and not hand.delivers and random.random() < 0.7:
        yield from hand.finish(Phase.CANCELLED)
        return
    yield from kinds.run(hand)


def _crash_limit(hand: Hand) -> int:
    guilty = isinstance(hand.spec, Killer) or hand.world.weakness is Weakness.NO_ISOLATION
    return CRASH_LIMIT if guilty else INNOCENT_LIMIT


def _cancel(hand: Hand) -> Steps[None]:
    if hand.delivers:
        yield from hand.clean_up()
    else:
        yield from hand.finish(Phase.CANCELLED)


def _is_late(hand: Hand) -> bool:
    spec = hand.spec
    deadline = spec.deadline if isinstance(spec, Parent) else None
    return deadline is not None and hand.runner.now > hand.record.created_at + deadline


def _tell_descendants(hand: Hand) -> Steps[None]:
    """Cancel the unfinished children page by page; those of a completed parent may go on."""
    while hand.record.phase is not Phase.COMPLETED:
        children = unfinished((yield from hand.children()))
        ids = [child.id for child in children if not child.cancel_requested][:3]
        if not ids:
            break
        _: Sequence[Cancelled] = yield from surely(
            "cancel", ids=ids, request=f"duty:{hand.record.id}", now=hand.runner.now
        )
    yield from hand.settle()
