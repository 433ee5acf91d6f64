"""What the holder of an execution does with it, by its kind."""

from collections.abc import Sequence

from durable_core.storage import FINISHED, NewExecution, Phase, Record

from .hand import Hand, unfinished
from .specs import (
    Await,
    Chain,
    Durable,
    Killer,
    Loop,
    Operation,
    Parent,
    Pause,
    Plain,
    RecordStep,
    Sleeper,
    Spec,
)
from .steps import Die, Steps, Work, need


def run(hand: Hand) -> Steps[None]:
    """Run or join an execution, whatever its kind."""
    match hand.spec:
        case Plain() as spec:
            yield from _plain(hand, spec)
        case Killer():
            yield Die()
        case Loop() as spec:
            yield from _loop(hand, spec)
        case Parent() as spec:
            yield from _parent(hand, spec)
        case Chain() as spec:
            yield from _chain(hand, spec)
        case Durable() as spec:
            yield from _durable(hand, spec)
        case Sleeper():
            need(False, "SLEEPER RUN as a task:", hand.record.id)  # noqa: FBT003


def _plain(hand: Hand, spec: Plain) -> Steps[None]:
    attempt = hand.record.attempt
    if attempt >= spec.fails:
        yield from hand.finish(Phase.COMPLETED, output=b"1")
    elif attempt >= spec.retries:
        yield from hand.finish(Phase.FAILED, error=b"error")
    else:
        yield from hand.release(Phase.READY, hand.later(3), attempt=attempt + 1)


def _loop(hand: Hand, spec: Loop) -> Steps[None]:
    done = int(hand.record.state or b"0")
    while done < spec.iterations:
        done += 1
        state = str(done).encode()
        if done % 2 == 0:
            yield from hand.release(Phase.READY, hand.later(2), state=state)
            return
        if not (yield from hand.keep(state)):
            return
    yield from hand.finish(Phase.COMPLETED, output=str(done).encode())


def _new(hand: Hand, specs: Sequence[Spec], names: str = "{}") -> list[NewExecution]:
    parent = (hand.record.id, hand.record.root_id)
    return [
        hand.world.specs.item(
            spec, f"{hand.record.id}/{names.format(place)}", parent=parent, index=place
        )
        for place, spec in enumerate(specs)
    ]


def _deadline(hand: Hand, spec: Parent) -> int | None:
    return None if spec.deadline is None else hand.record.created_at + spec.deadline


def _parent(hand: Hand, spec: Parent) -> Steps[None]:
    match hand.record.phase:
        case Phase.WAITING_FOR_CHILDREN | Phase.WAITING_FOR_FINALIZE:
            yield from _wait_on_or_join(hand, spec)
        case _ if hand.record.state == b"plan":
            yield from _spawn(hand, spec)
        case _:
            if len(spec.children) > 3 and not (yield from hand.keep(b"plan")):
                return
            yield from _spawn(hand, spec)


def _spawn(hand: Hand, spec: Parent) -> Steps[None]:
    children = _new(hand, spec.children)
    if len(children) > 3:
        if not (yield from hand.insert_in_chunks(children)):
            return
        children = []
    eager = 0 < len(children) < 3 and hand.world.random.random() < 0.3
    if eager:
        parent = (hand.record.id, hand.record.root_id)
        children = [
            hand.world.specs.item(
                hand.world.specs.of(child.options),
                child.id,
                parent=parent,
                index=child.child_index,
                owner=hand.runner.id,
            )
            for child in children
        ]
    released = yield from hand.release(
        Phase.WAITING_FOR_CHILDREN, _deadline(hand, spec), state=b"spawned", children=children
    )
    if released and eager:
        yield from hand.adopt_children()


def _wait_on_or_join(hand: Hand, spec: Parent) -> Steps[None]:
    """Go on waiting if it was claimed for a deadline that has not come by this clock."""
    children = yield from hand.children()
    if unfinished(children):
        too_early = spec.deadline is None and hand.is_current
        need(not too_early, "JOINED TOO EARLY:", hand.record.id)
        yield from hand.release(hand.record.phase, _deadline(hand, spec))
    elif hand.record.phase is Phase.WAITING_FOR_CHILDREN:
        yield from _join(hand, spec, children)
    else:
        good = children[0].child_index == -1 and children[0].phase is Phase.COMPLETED
        yield from hand.finish(Phase.COMPLETED if good else Phase.FINALIZE_FAILED)


def _join(hand: Hand, spec: Parent, children: Sequence[Record]) -> Steps[None]:
    own = [child for child in children if child.child_index >= 0]
    need(len(own) == len(spec.children), "CHILD MISSING:", hand.record.id, len(own))
    if spec.finalizer is not None:
        finalizer = hand.world.specs.item(
            spec.finalizer,
            f"{hand.record.id}/final",
            parent=(hand.record.id, hand.record.root_id),
            index=-1,
        )
        yield from hand.release(
            Phase.WAITING_FOR_FINALIZE, _deadline(hand, spec), children=[finalizer]
        )
    elif spec.finalize_raises:
        yield from hand.finish(Phase.FINALIZE_FAILED, error=b"raised")
    else:
        yield from hand.finish(Phase.COMPLETED, output=b"joined")


def _chain(hand: Hand, spec: Chain) -> Steps[None]:
    done = int(hand.record.state or b"0")
    if done:
        last = (yield from hand.children())[done - 1]
        if last.phase is not Phase.COMPLETED:
            yield from hand.finish(Phase.FAILED, error=b"a step failed")
            return
    if done == len(spec.steps):
        yield from hand.finish(Phase.COMPLETED, output=b"end of chain")
        return
    children = _new(hand, spec.steps)[done : done + 1]
    yield from hand.release(
        Phase.WAITING_FOR_CHILDREN, None, state=str(done + 1).encode(), children=children
    )


def _durable(hand: Hand, spec: Durable) -> Steps[None]:
    points = yield from hand.checkpoints()
    children = {child.id: child for child in (yield from hand.children())}
    for place, operation in enumerate(spec.script):
        if not (yield from _operate(hand, operation, place, points, children)):
            return
    if spec.fails:
        yield from hand.finish(Phase.FAILED, error=b"raised at the end")
    else:
        yield from hand.finish(Phase.COMPLETED, output=b"end of script")


def _operate(
    hand: Hand,
    operation: Operation,
    place: int,
    points: dict[str, int],
    children: dict[str, Record],
) -> Steps[bool]:
    """Carry out one line of a script; False if the function has let go or was stopped."""
    match operation:
        case RecordStep():
            return str(place) in points or (yield from _record(hand, place))
        case Pause():
            return (yield from _pause(hand, operation, place, points))
        case Await():
            return (yield from _await(hand, operation, place, children))


def _record(hand: Hand, place: int) -> Steps[bool]:
    step = (hand.record.id, place)
    again = step in hand.world.recorded and hand.is_current
    need(not again, "RECORDED STEP runs again:", *step)
    if not (yield from hand.keep(checkpoint=(str(place), place))):
        return False
    hand.world.recorded.add(step)
    return True


def _pause(hand: Hand, pause: Pause, place: int, points: dict[str, int]) -> Steps[bool]:
    until = points.get(str(place))
    if until is None:
        until = hand.runner.now + pause.length
        yield from hand.release(Phase.READY, until, checkpoint=(str(place), until))
        return False
    if hand.runner.now < until:
        yield from hand.release(Phase.READY, until)
        return False
    return True


def _await(hand: Hand, operation: Await, place: int, children: dict[str, Record]) -> Steps[bool]:
    """Insert what is missing, and wait; the children may end before the wait begins."""
    wanted = _new(hand, operation.children, f"{place}.{{}}")
    there = [children[item.id] for item in wanted if item.id in children]
    missing = [item for item in wanted if item.id not in children]
    done = sum(child.phase in FINISHED for child in there)
    goal = 1 if operation.first_of else len(wanted)
    if not missing and done >= goal:
        return True
    # Counted from the same reading of the children: what ends meanwhile is seen by the release.
    pending = len(unfinished(list(children.values()))) + len(missing)
    if missing and hand.world.random.random() < 0.5:
        if not (yield from hand.keep(children=missing)):
            return False
        yield Work()
        missing = []
    yield from hand.release(
        Phase.WAITING_FOR_CHILDREN, None, join_at=pending - (goal - done), children=missing
    )
    return False
