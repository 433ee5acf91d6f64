"""Adding plans, and looking at their steps."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from ..engine.engine import Engine
from ..engine.replay.record import Entry, History, How, Kind
from ..errors import EXPECTED, ExecutionNotFoundError, IdConflictError
from ..failure import ErrorInfo
from ..storage import InsertOutcome, Query, Record
from ..tasks.plan import PlanResult, PlanStep, PlanTask, StoredStep
from ..tasks.plan_view import StepResult, StepState
from ..tasks.task import Task
from .handle import Handle


class PlanDoor(ABC):
    """Adds plans; a base of `DurableExecutor`."""

    @property
    @abstractmethod
    def engine(self) -> Engine:
        """The engine at work, for tools and tests."""

    @abstractmethod
    def check_known(self, task: Task[..., Any]) -> None:
        """Refuse a task that was not defined for this executor."""

    async def add_plan(
        self,
        plan: PlanTask,
        id: str,  # noqa: A002
        steps: Sequence[PlanStep],
    ) -> Handle[PlanResult]:
        """Store a plan with all its steps, atomically; it is carried out as soon as possible.

        If a plan of this kind with this id exists, whatever its state and its steps, a handle on
        it is returned, and nothing is stored or run a second time: so a step may add another plan
        under an id that follows from its own.

        Args:
            plan: The kind of plan.
            id: Chosen by the caller: 1 to 255 printable ASCII characters.
            steps: At least one, in order; names are unique.

        Returns:
            A handle; its `created` tells whether the plan is new.

        Raises:
            InputError: The steps do not fit; nothing was stored.
            PayloadTooLargeError: They are too large together; nothing was stored.
            IdConflictError: The id belongs to an execution of another task.
            StorageError: The storage was away for longer than the executor's `patience`. Adding
                it again is safe.
        """
        engine = self.engine
        self.check_known(plan)
        await engine.fresh_time()
        mine = plan.with_options(id=id)
        owner = engine.may_hold(plan.name, plan.options.queue)
        item = engine.rows.new(mine.call(steps), now=engine.time.now(), owner=owner)
        since = engine.waiters.news
        answer = await engine.insert(item)
        if answer.record.task != plan.name:
            raise IdConflictError(
                f"the id {id!r} belongs to an execution of task {answer.record.task!r}: nothing "
                "was stored"
            )
        created = answer.outcome is InsertOutcome.CREATED
        return Handle(engine, mine, id, created=created, since=since if created else None)

    async def plan_steps(self, plan: PlanTask, id: str) -> list[StepResult]:  # noqa: A002
        """Return the steps of a plan as they stand, in order.

        Args:
            plan: The kind of plan.
            id: The plan's id.

        Raises:
            ExecutionNotFoundError: There is no plan of this kind with this id.
        """
        engine = self.engine
        (record,) = await engine.writer.records([id])
        if record is None or record.task != plan.name:
            what = "there is none" if record is None else f"it belongs to task {record.task!r}"
            raise ExecutionNotFoundError(f"no plan {id!r} of kind {plan.name!r}: {what}")
        recorded = await engine.writer.recorded(id)
        history = History.of(recorded, record.task)
        ended = {entry.position: entry for entry in history.entries if entry.position >= 0}
        children = {row.child_index: row for row in await self._children(id, ended)}
        return [
            _state(plan, step, ended.get(place), children.get(place))
            for place, step in enumerate(plan.steps_of(record.input))
        ]

    async def _children(self, id_: str, ended: dict[int, Entry]) -> Sequence[Record]:
        """Read the children only if some step's result is in one."""
        if not any(entry.how is How.STORED for entry in ended.values()):
            return ()
        return await self.engine.writer.found(Query(parent_id=id_))


def _state(
    plan: PlanTask, step: StoredStep, entry: Entry | None, child: Record | None
) -> StepResult:
    if entry is None or entry.kind not in (Kind.STEP, Kind.CALL):
        return StepResult(name=step.name, task=step.task, state=StepState.PENDING)
    how, payload = entry.how, entry.payload
    if how is How.STORED:
        how = How(payload.decode())
        payload = b"null" if child is None else (child.output or child.error or b"null")
    if how is How.OK:
        task = plan.tasks.get(step.task)
        output = payload if task is None else task.output_codec.decode(payload)
        return StepResult(name=step.name, task=step.task, state=StepState.COMPLETED, output=output)
    error = ErrorInfo.decode(payload)
    aborted = any(note in EXPECTED for note in error.notes)
    state = StepState.ABORTED if aborted else StepState.FAILED
    return StepResult(name=step.name, task=step.task, state=state, error=error)
