"""A held execution, and the ways to write to it that the engine's rules leave."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from durable_core.storage import (
    FINISHED,
    UNSET,
    Applied,
    ApplyOutcome,
    Checkpoint,
    Finish,
    Keep,
    NewExecution,
    OnCancel,
    Page,
    Phase,
    Query,
    Record,
    Release,
    Settle,
    Transition,
)
from durable_core.storage.requests import Unset

from .specs import Spec
from .steps import SECOND, LostError, Steps, call, surely
from .weakness import Weakness
from .world import World

EVERYTHING = 10_000
CHUNK = 2


class Runner(Protocol):
    """The executor, as a held execution sees it."""

    id: str

    @property
    def now(self) -> int:
        """The time as the executor believes it to be."""
        ...

    def start(self, record: Record) -> None:
        """Run an execution that the executor holds."""
        ...


class Hand:
    """An execution under the token with which it was claimed.

    Args:
        world: Where it lives.
        runner: Who holds it.
        record: As it was claimed.

    """

    def __init__(self, world: World, runner: Runner, record: Record) -> None:
        self.world = world
        self.runner = runner
        self.record = record
        self.token = record.token
        self._cancelled = record.cancel_requested

    @property
    def spec(self) -> Spec:
        """What it is to do."""
        return self.world.specs.of(self.record.options)

    def cancel(self) -> None:
        """Take note that it should be cancelled."""
        self._cancelled = True

    def is_cancelled(self) -> bool:
        """Whether it should be cancelled, as far as the holder knows."""
        return self._cancelled

    @property
    def delivers(self) -> bool:
        """Whether a cancellation is told to it rather than carried out on it."""
        return self.record.on_cancel is OnCancel.DELIVER

    @property
    def is_current(self) -> bool:
        """Whether nobody has taken it over yet, which only the world can know."""
        row = self.world.rows[self.record.id]
        return row.owner is not None and row.token == self.token

    def later(self, seconds: int) -> int:
        """Return a time after now, on the executor's clock."""
        return self.runner.now + seconds * SECOND

    def finish(
        self, phase: Phase, output: bytes | None = None, error: bytes | None = None
    ) -> Steps[bool]:
        """End it."""
        return self._write(
            Finish(
                id=self.record.id,
                token=self.token,
                parent_id=self.record.parent_id,
                phase=phase,
                output=output,
                error=error,
            )
        )

    def settle(self) -> Steps[bool]:
        """Say that its duty is done."""
        return self._write(
            Settle(id=self.record.id, token=self.token, parent_id=self.record.parent_id)
        )

    def keep(
        self,
        state: bytes | Unset = UNSET,
        checkpoint: tuple[str, int] | None = None,
        children: Sequence[NewExecution] = (),
        *,
        cancel_seen: bool = False,
    ) -> Steps[bool]:
        """Record progress and stay the holder."""
        return self._write(
            Keep(
                id=self.record.id,
                token=self.token,
                parent_id=self.record.parent_id,
                state=state,
                reset_crashes=True,
                checkpoints={} if checkpoint is None else _encoded(checkpoint),
                children=children,
                cancel_seen=cancel_seen,
            )
        )

    def release(
        self,
        phase: Phase,
        due: int | None,
        *,
        state: bytes | Unset = UNSET,
        attempt: int | Unset = UNSET,
        join_at: int | Unset = UNSET,
        checkpoint: tuple[str, int] | None = None,
        children: Sequence[NewExecution] = (),
        cancel_seen: bool = False,
    ) -> Steps[bool]:
        """Let go of it; progress was recorded if there is a new state or checkpoint."""
        return self._write(
            Release(
                id=self.record.id,
                token=self.token,
                parent_id=self.record.parent_id,
                phase=phase,
                due=due,
                state=state,
                attempt=attempt,
                join_at=join_at,
                reset_crashes=state is not UNSET or checkpoint is not None,
                checkpoints={} if checkpoint is None else _encoded(checkpoint),
                children=children,
                cancel_seen=cancel_seen,
            )
        )

    def insert_in_chunks(self, children: Sequence[NewExecution]) -> Steps[bool]:
        """Insert many children by several transitions, so that each stays small."""
        for start in range(0, len(children), CHUNK):
            if not (yield from self.keep(children=children[start : start + CHUNK])):
                return False
        return True

    def children(self) -> Steps[Sequence[Record]]:
        """Read all children, in order of their places."""
        page: Page[Record] = yield from surely(
            "find", query=Query(parent_id=self.record.id), limit=EVERYTHING, payload=True
        )
        return page.items

    def checkpoints(self) -> Steps[dict[str, int]]:
        """Read what was recorded."""
        page: Page[Checkpoint] = yield from surely(
            "checkpoints", execution_id=self.record.id, limit=EVERYTHING
        )
        return {point.name: int(point.value) for point in page.items}

    def adopt_children(self) -> Steps[None]:
        """Run the children that were inserted as held by this executor."""
        for child in (yield from self.children()):
            if child.owner == self.runner.id:
                self.runner.start(child)

    def clean_up(self) -> Steps[None]:
        """Do what a cancelled function does before it ends, with a pause in the middle."""
        points = yield from self.checkpoints()
        if "first" not in points:
            yield from self.release(
                Phase.READY, self.later(2), checkpoint=("first", 1), cancel_seen=True
            )
        elif (yield from self.keep(checkpoint=("second", 1), cancel_seen=True)):
            yield from self.finish(Phase.CANCELLED)

    def _write(self, item: Transition) -> Steps[bool]:
        """Send one transition, unchanged, until an answer comes.

        Returns:
            Whether the transition was applied; if not, what the rules put in its place was.
        """
        while True:
            try:
                answers: list[Applied] = yield from call(
                    "apply", items=[self._sent(item)], now=self.runner.now
                )
            except LostError:
                continue
            match answers[0].outcome:
                case ApplyOutcome.APPLIED | ApplyOutcome.ALREADY:
                    return True
                case ApplyOutcome.CANCEL_REQUESTED if self.delivers:
                    yield from self.clean_up()
                case ApplyOutcome.CANCEL_REQUESTED:
                    yield from self.finish(Phase.CANCELLED)
                case ApplyOutcome.CHILD_CONFLICT:
                    yield from self.finish(Phase.FAILED, error=b"child conflict")
                case _:
                    pass
            return False

    def _sent(self, item: Transition) -> Transition:
        if self.world.weakness is not Weakness.RANDOM_CHILD_IDS or not isinstance(
            item, Keep | Release
        ):
            return item
        return replace(
            item,
            children=[
                replace(child, id=f"{child.id}~{self.world.random.randrange(10**6)}")
                for child in item.children
            ],
        )


def unfinished(children: Sequence[Record]) -> list[Record]:
    """Return those that have not ended."""
    return [child for child in children if child.phase not in FINISHED]


def _encoded(checkpoint: tuple[str, int]) -> dict[str, bytes]:
    name, value = checkpoint
    return {name: str(value).encode()}
