"""Ordered plans: named steps that are made at run time and stored up front, as data."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from ..codec.output import OutputCodec
from ..codec.serializer import Serializer
from ..codec.signature import InputCodec
from ..errors import (
    EXPECTED,
    ExecutionError,
    InputError,
    OptionError,
    PlanAbortedError,
    StepFailedError,
    TaskDefinitionError,
    UnknownTaskError,
)
from ..options import Policy, RetryPolicy, TaskOptions
from .plan_view import InPlan, PlanView, StepResult, StepState
from .step import StepOptions, check_step_name
from .task import Call, FunctionTask, Task
from .workflow import WorkflowContext
from .workflow_task import WorkflowTask

_MOST_PREPARED: Final = 10_000


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One step of a plan that is to be made.

    Attributes:
        name: Unique in its plan; later steps find its result by it.
        call: A task with its arguments, made with `Task.call`: the step's own data.
    """

    name: str
    call: Call[Any]


@dataclass(frozen=True)
class StoredStep:
    """One step as it is stored.

    Attributes:
        name: See `PlanStep`.
        task: Name of its task.
        input: Its encoded arguments.
        policy: Its retries and timeout, encoded.
    """

    name: str
    task: str
    input: bytes
    policy: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanResult:
    """The result of a plan that was carried out to its end.

    What the steps returned is read with `DurableExecutor.plan_steps`, so that no number of steps
    makes the plan's own result too large to store.

    Attributes:
        completed: Names of the steps that completed.
        aborted: Names of the steps that were aborted, with the reason.
    """

    completed: list[str] = field(default_factory=list[str])
    aborted: dict[str, str] = field(default_factory=dict[str, str])


class PlanTask(WorkflowTask[[Sequence[PlanStep]], PlanResult]):
    """A kind of plan: the tasks that its steps may be made of.

    Attributes:
        tasks: By name.
        prepare: Functions that are called before the first step of a task in each process.
    """

    def __init__(
        self,
        name: str,
        tasks: Iterable[Task[..., Any]],
        *,
        prepare: Mapping[Task[..., Any], Callable[..., Any]],
        options: TaskOptions,
        serializer: Serializer,
    ) -> None:
        super().__init__(
            name,
            self._carry_out,
            options=options,
            input_codec=InputCodec.of(_steps, serializer, task=name),
            output_codec=OutputCodec.of(PlanResult, serializer, name),
            serializer=serializer,
        )
        self.tasks = {task.name: task for task in tasks}
        self.prepare = {task.name: function for task, function in prepare.items()}
        self._prepared: OrderedDict[tuple[str, str], Any] = OrderedDict()
        if not self.tasks:
            msg = f"plan {name!r} has no tasks: name those that its steps are made of"
            raise TaskDefinitionError(msg)
        for wanted in self.prepare:
            if not isinstance(self.tasks.get(wanted), FunctionTask):
                msg = f"plan {name!r}: prepare is for its tasks that are functions, not {wanted!r}"
                raise TaskDefinitionError(msg)

    def call(self, steps: Sequence[PlanStep]) -> Call[PlanResult]:
        """Return a call of this plan with these steps.

        Raises:
            InputError: There are none, two have one name, or one is of another task.
        """
        stored = [self._stored(step) for step in steps]
        names = [step.name for step in stored]
        if not names:
            msg = f"plan {self.name!r} has no steps"
            raise InputError(msg)
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            msg = f"plan {self.name!r}: steps need names of their own; twice: {sorted(twice)}"
            raise InputError(msg)
        return Call(self, self.input_codec.encode((stored,), {}))

    def _stored(self, step: PlanStep) -> StoredStep:
        call, task = step.call, step.call.task
        known = self.tasks.get(task.name)
        if known is None or known.input_codec is not task.input_codec:
            msg = (
                f"plan {self.name!r}, step {step.name!r}: task {task.name!r} is none of its tasks "
                f"({', '.join(self.tasks)})"
            )
            raise InputError(msg)
        given = task.enqueue_options
        if call.wake_key is not None or given.id is not None or given.key is not None:
            msg = f"step {step.name!r} of plan {self.name!r} cannot have an id or key of its own"
            raise OptionError(msg)
        return StoredStep(check_step_name(step.name), task.name, call.input, task.policy)

    def steps_of(self, input_: bytes) -> list[StoredStep]:
        """Return the steps of a stored plan.

        Raises:
            InputError: Something else is stored.
        """
        args, kwargs = self.input_codec.decode(input_)
        steps: list[StoredStep] = [*args, *kwargs.values()][0]
        return steps

    def forget(self, execution_id: str) -> None:
        """The plan has ended: drop what was prepared for it in this process."""
        for task in self.prepare:
            self._prepared.pop((execution_id, task), None)

    def _remember(self, key: tuple[str, str], value: object) -> None:
        self._prepared[key] = value
        if len(self._prepared) > _MOST_PREPARED:
            self._prepared.popitem(last=False)

    def _in_plan(self, execution: str, task: str, results: Mapping[str, StepResult]) -> InPlan:
        prepare = self.prepare.get(task)
        key = (execution, task)
        return InPlan(
            view=PlanView(dict(results)),
            prepare=None if prepare is None else self.steps.of(prepare, StepOptions(name=task)),
            prepared=lambda: (key in self._prepared, self._prepared.get(key)),
            remember=partial(self._remember, key),
        )

    # The function

    async def _carry_out(self, ctx: WorkflowContext, steps: list[StoredStep]) -> PlanResult:
        results: dict[str, StepResult] = {}
        for step in steps:
            results[step.name] = await self._step(ctx, step, results)
        aborted = {
            name: "" if one.error is None else one.error.message
            for name, one in results.items()
            if one.state is StepState.ABORTED
        }
        return PlanResult(
            completed=[name for name in results if name not in aborted], aborted=aborted
        )

    async def _step(
        self, ctx: WorkflowContext, step: StoredStep, results: Mapping[str, StepResult]
    ) -> StepResult:
        task = self.tasks.get(step.task)
        if task is None:
            msg = f"plan {self.name!r}, step {step.name!r}: task {step.task!r} is not known here"
            raise UnknownTaskError(msg)
        stage = ctx._stage  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] # plans are made here
        try:
            if isinstance(task, FunctionTask):
                args, kwargs = task.input_codec.decode(step.input)
                in_plan = self._in_plan(ctx.execution_id, task.name, results)
                options = _options(step, task, in_plan)
                output = await stage.step(task, args, kwargs, options)
            else:
                output = await stage.call(Call(task, step.input))
        except (StepFailedError, ExecutionError) as error:
            return _ended(step, error)
        return StepResult(name=step.name, task=step.task, state=StepState.COMPLETED, output=output)


def _options(step: StoredStep, task: FunctionTask[..., Any], in_plan: InPlan) -> StepOptions:
    policy = Policy.decode(step.policy)
    own = task.options.retries
    retries = RetryPolicy(
        policy.retries,
        delay=policy.delay_us / 1e6,
        multiplier=policy.multiplier,
        max_delay=policy.max_delay_us / 1e6,
        jitter=policy.jitter,
        retry_on=own.retry_on,
        never_on=own.never_on,
    )
    return StepOptions(
        name=step.name, retries=retries, timeout_us=policy.timeout_us, in_plan=in_plan
    )


def _ended(step: StoredStep, error: StepFailedError | ExecutionError) -> StepResult:
    """Return the result of a step that was to end so.

    Raises:
        PlanAbortedError: It ends the plan as well.
        StepFailedError: It was not expected; likewise `ExecutionError`.
    """
    info = error.info
    scope = None if info is None else next((EXPECTED[n] for n in info.notes if n in EXPECTED), None)
    if info is None or scope is None:
        error.add_note(f"in step {step.name!r} of the plan")
        raise error
    if scope == "workflow":
        msg = f"step {step.name!r} ({step.task}) has ended the plan: {info.message}"
        raise PlanAbortedError(msg)
    return StepResult(name=step.name, task=step.task, state=StepState.ABORTED, error=info)


def _steps(steps: list[StoredStep]) -> None:
    """Give plans their signature."""
