"""Ordered plans: stored up front, each step's result recorded once, recovered by anybody."""

import asyncio
from typing import Any

import pytest

from durable_core import (
    Abort,
    Context,
    ExecutionFailedError,
    ExecutionNotFoundError,
    ExpectedError,
    FanOut,
    IdConflictError,
    InputError,
    NonRetryableError,
    OptionError,
    PayloadTooLargeError,
    PlanStep,
    PlanTask,
    RetryPolicy,
    Status,
    StepState,
    TaskDefinitionError,
    Tasks,
    current,
)

from .world import World

families = Tasks()


@families.task
async def small(number: int) -> int:
    return number


@families.parent
async def fan_out(count: int) -> FanOut[str]:
    return FanOut("all", [small.call(number) for number in range(count)])


class Press:
    """A kind of plan, and what ran of it."""

    def __init__(self) -> None:
        self.tasks = Tasks()
        self.ran: list[str] = []
        self.prepared: list[str] = []
        self.gate = asyncio.Event()
        self.failures = 0

        @self.tasks.task(retries=RetryPolicy.endless(60))
        async def write(ctx: Context, text: str) -> str:
            self.ran.append(f"write {text} {ctx.plan.prepared}")
            if self.failures:
                self.failures -= 1
                msg = "paper jam"
                raise OSError(msg)
            return text.upper()

        @self.tasks.task
        def join(ctx: Context, *names: str) -> str:
            self.ran.append("join")
            return "+".join(ctx.plan.output(name) for name in names)

        @self.tasks.task(retries=5)
        async def refuse(scope: str) -> int | Abort:
            self.ran.append(f"refuse {scope}")
            if scope.startswith("return "):
                return Abort("not today", "workflow" if scope.endswith("workflow") else "task")
            if scope == "by accident":
                msg = "unexpected"
                raise NonRetryableError(msg)
            raise ExpectedError("not today", "workflow" if scope == "workflow" else "task")

        @self.tasks.task
        async def hang() -> None:
            self.ran.append("hang")
            await self.gate.wait()

        async def prepare() -> str:
            self.prepared.append(current().execution_id)
            return f"ink {len(self.prepared)}"

        self.write, self.join, self.refuse, self.hang = write, join, refuse, hang
        self.tasks.include(families)
        self.plan: PlanTask = self.tasks.plan(
            "press", write, join, refuse, hang, fan_out, prepare={write: prepare}
        )


@pytest.fixture
def press() -> Press:
    return Press()


async def test_steps_run_in_order_and_read_earlier_results(world: World, press: Press) -> None:
    executor = await world.start(tasks=press.tasks)
    steps = [
        PlanStep("first", press.write.call("a")),
        PlanStep("second", press.write.call("b")),
        PlanStep("children", fan_out.call(2)),
        PlanStep("both", press.join.call("first", "second")),
    ]
    handle = await executor.add_plan(press.plan, "mine", steps)
    assert handle.created
    await world.idle(executor)
    result = await handle.result()
    assert (result.completed, result.aborted) == (["first", "second", "children", "both"], {})
    assert press.ran == ["write a ink 1", "write b ink 1", "join"]
    assert press.prepared == ["mine"]
    stored = await executor.plan_steps(press.plan, "mine")
    assert [one.name for one in stored] == ["first", "second", "children", "both"]
    assert [one.output for one in stored][0::3] == ["A", "A+B"]
    assert stored[2].output.children == 2
    assert {one.state for one in stored} == {StepState.COMPLETED}


async def test_an_id_is_one_plan_whatever_its_state(world: World, press: Press) -> None:
    executor = await world.start(tasks=press.tasks)
    steps = [PlanStep("hang", press.hang.call())]
    first = await executor.add_plan(press.plan, "mine", steps)
    await world.advance(1)
    others = await asyncio.gather(
        *(
            executor.add_plan(press.plan, "mine", [PlanStep("other", press.write.call("x"))])
            for _ in range(3)
        )
    )
    assert [first.created, *(other.created for other in others)] == [True, False, False, False]
    press.gate.set()
    assert (await others[0].result()).completed == ["hang"]
    # Completed, it is still the same.
    again = await executor.add_plan(press.plan, "mine", steps)
    assert (await again.result()).completed == ["hang"]
    assert press.ran == ["hang"]
    assert await world.count() == 1


async def test_a_failed_plan_is_not_resumed_by_adding_it_again(world: World, press: Press) -> None:
    executor = await world.start(tasks=press.tasks)
    steps = [
        PlanStep("no", press.refuse.call("by accident")),
        PlanStep("never", press.write.call("x")),
    ]
    handle = await executor.add_plan(press.plan, "mine", steps)
    with pytest.raises(ExecutionFailedError, match=r"step 'no' failed: .*unexpected"):
        await handle.result()
    again = await executor.add_plan(press.plan, "mine", steps)
    await world.idle(executor)
    assert await again.status() is Status.FAILED
    assert press.ran == ["refuse by accident"]
    states = [one.state for one in await executor.plan_steps(press.plan, "mine")]
    assert states == [StepState.FAILED, StepState.PENDING]


@pytest.mark.parametrize("how", ["task", "return task"])
async def test_an_expected_error_ends_the_step_only(world: World, press: Press, how: str) -> None:
    executor = await world.start(tasks=press.tasks)
    steps = [
        PlanStep("no", press.refuse.call(how)),
        PlanStep("yes", press.write.call("x")),
        PlanStep("reads", press.join.call("yes")),
    ]
    handle = await executor.add_plan(press.plan, "mine", steps)
    result = await handle.result()
    assert (result.completed, result.aborted) == (["yes", "reads"], {"no": "not today"})
    assert press.ran == [f"refuse {how}", "write x ink 1", "join"]
    states = [one.state for one in await executor.plan_steps(press.plan, "mine")]
    assert states == [StepState.ABORTED, StepState.COMPLETED, StepState.COMPLETED]


@pytest.mark.parametrize("how", ["workflow", "return workflow"])
async def test_an_expected_error_may_end_the_plan(world: World, press: Press, how: str) -> None:
    executor = await world.start(tasks=press.tasks)
    steps = [PlanStep("no", press.refuse.call(how)), PlanStep("never", press.write.call("x"))]
    handle = await executor.add_plan(press.plan, "mine", steps)
    with pytest.raises(ExecutionFailedError, match=r"step 'no' \(refuse\) has ended the plan"):
        await handle.result()
    assert press.ran == [f"refuse {how}"]


async def test_an_unexpected_error_is_retried_for_ever(
    world: World, press: Press, caplog: pytest.LogCaptureFixture
) -> None:
    press.failures = 50
    executor = await world.start(tasks=press.tasks)
    handle = await executor.add_plan(
        press.plan, "mine", [PlanStep("stubborn", press.write.call("x"))]
    )
    await world.idle(executor, horizon=60 * 49)
    assert await handle.status() is Status.SLEEPING
    await world.idle(executor, horizon=61)
    assert (await handle.result()).completed == ["stubborn"]
    assert len(press.ran) == 51
    assert press.prepared == ["mine"]
    retried = [record for record in caplog.records if "tried again" in record.getMessage()]
    assert len(retried) == 50


async def test_another_executor_goes_on_at_the_first_unfinished_step(
    world: World, press: Press
) -> None:
    first = await world.start(tasks=press.tasks)
    steps = [
        PlanStep("one", press.write.call("a")),
        PlanStep("two", press.hang.call()),
        PlanStep("three", press.write.call("b")),
        PlanStep("four", press.join.call("one", "three")),
    ]
    await first.add_plan(press.plan, "mine", steps)
    await world.advance(1)
    assert press.ran == ["write a ink 1", "hang"]
    await world.kill(first)
    press.gate.set()
    fresh = Press()
    fresh.gate.set()
    second = await world.start(tasks=fresh.tasks)
    await world.advance(60)
    handle = await second.handle(fresh.plan, "mine")
    assert (await handle.result()).completed == ["one", "two", "three", "four"]
    # What was prepared was lost with the process, so it is prepared again.
    assert fresh.ran == ["hang", "write b ink 1", "join"]
    assert (await second.plan_steps(fresh.plan, "mine"))[3].output == "A+B"


async def test_a_failed_preparation_is_a_failure_of_the_step(world: World) -> None:
    tasks = Tasks()
    tries: list[int] = []

    @tasks.task(retries=RetryPolicy(2, delay=10, jitter=0))
    async def step() -> int:
        return 1

    def prepare(ctx: Context) -> None:
        tries.append(ctx.attempt)
        if len(tries) < 3:
            msg = "no token"
            raise ConnectionError(msg)

    plan = tasks.plan("plan", step, prepare={step: prepare})
    executor = await world.start(tasks=tasks)
    handle = await executor.add_plan(plan, "mine", [PlanStep("one", step.call())])
    await world.idle(executor, horizon=100)
    assert (await handle.result()).completed == ["one"]
    assert tries == [1, 2, 3]


async def test_a_falsy_preparation_is_one(world: World) -> None:
    tasks = Tasks()
    prepared: list[int] = []

    @tasks.task
    async def step(number: int) -> int:
        return number

    async def prepare() -> int:
        prepared.append(1)
        return 0

    plan = tasks.plan("plan", step, prepare={step: prepare})
    executor = await world.start(tasks=tasks)
    steps = [PlanStep(str(number), step.call(0)) for number in range(3)]
    await (await executor.add_plan(plan, "mine", steps)).result()
    await (await executor.add_plan(plan, "other", steps)).result()
    assert len(prepared) == 2
    outputs = [one.output for one in await executor.plan_steps(plan, "mine")]
    assert outputs == [0, 0, 0]
    assert not plan._prepared


async def test_a_step_adds_another_plan_once(world: World, press: Press) -> None:
    tasks = Tasks()
    tasks.include(press.tasks)
    executors: list[Any] = []
    ran: list[int] = []

    @tasks.task(retries=RetryPolicy(1, delay=0))
    async def spawn() -> str:
        ran.append(1)
        executor = executors[0]
        id_ = f"{current().execution_id}/child"
        await executor.add_plan(press.plan, id_, [PlanStep("one", press.write.call("x"))])
        if len(ran) == 1:
            raise OSError
        return id_

    plan = tasks.plan("spawner", spawn)
    executor = await world.start(tasks=tasks)
    executors.append(executor)
    handle = await executor.add_plan(plan, "mine", [PlanStep("spawn", spawn.call())])
    await handle.result()
    child = await executor.handle(press.plan, "mine/child")
    await child.result()
    assert len(ran) == 2
    assert press.ran == ["write x ink 1"]


async def test_only_finished_plans_are_purged(world: World, press: Press) -> None:
    executor = await world.start(tasks=press.tasks)
    done = await executor.add_plan(press.plan, "done", [PlanStep("one", press.write.call("a"))])
    await done.result()
    await executor.add_plan(press.plan, "running", [PlanStep("one", press.hang.call())])
    await world.advance(1000)
    assert await executor.purge(older_than=2000) == 0
    assert await executor.purge(older_than=500) == 1
    with pytest.raises(ExecutionNotFoundError):
        await executor.plan_steps(press.plan, "done")
    states = [one.state for one in await executor.plan_steps(press.plan, "running")]
    assert states == [StepState.PENDING]


async def test_code_without_a_steps_task_hands_the_plan_back(world: World, press: Press) -> None:
    first = await world.start(tasks=press.tasks)
    await first.add_plan(
        press.plan,
        "mine",
        [PlanStep("one", press.hang.call()), PlanStep("two", press.write.call("a"))],
    )
    await world.advance(1)
    await first.shutdown()
    older = Tasks()

    @older.task
    async def hang() -> None: ...

    older.plan("press", hang)
    second = await world.start(tasks=older)
    await world.idle(second)
    assert (await world.row("mine")).status is not Status.FAILED
    await second.shutdown()
    fresh = Press()
    fresh.gate.set()
    third = await world.start(tasks=fresh.tasks)
    await world.idle(third, horizon=600)
    assert (await (await third.handle(fresh.plan, "mine")).result()).completed == ["one", "two"]


async def test_bad_plans_are_refused_before_anything_is_stored(world: World, press: Press) -> None:
    executor = await world.start(tasks=press.tasks, max_input=10_000)

    @executor.task
    async def foreign() -> None: ...

    ok = PlanStep("ok", press.hang.call())
    with pytest.raises(InputError, match="has no steps"):
        await executor.add_plan(press.plan, "mine", [])
    with pytest.raises(InputError, match=r"twice: \['ok'\]"):
        await executor.add_plan(press.plan, "mine", [ok, ok])
    with pytest.raises(InputError, match="'foreign' is none of its tasks"):
        await executor.add_plan(press.plan, "mine", [PlanStep("x", foreign.call())])
    with pytest.raises(TaskDefinitionError, match="a step's name"):
        await executor.add_plan(press.plan, "mine", [PlanStep("", press.hang.call())])
    keyed = press.hang.with_options(key="k").call()
    with pytest.raises(OptionError, match="id or key of its own"):
        await executor.add_plan(press.plan, "mine", [PlanStep("x", keyed)])
    with pytest.raises(OptionError, match="printable ASCII"):
        await executor.add_plan(press.plan, "not an id", [ok])
    with pytest.raises(PayloadTooLargeError):
        await executor.add_plan(press.plan, "mine", [PlanStep("x", press.write.call("x" * 9000))])
    assert await world.count() == 0
    taken = await executor.enqueue(foreign.with_options(id="mine"))
    with pytest.raises(IdConflictError, match="task 'foreign'"):
        await executor.add_plan(press.plan, "mine", [ok])
    await taken.result()


def test_bad_kinds_of_plans_are_refused(press: Press) -> None:
    with pytest.raises(TaskDefinitionError, match="has no tasks"):
        press.tasks.plan("empty")
    with pytest.raises(TaskDefinitionError, match="prepare is for its tasks"):
        press.tasks.plan("wrong", press.write, prepare={press.join: print})
    wrong: Any = "all"
    with pytest.raises(OptionError, match="'task' or 'workflow'"):
        ExpectedError("x", wrong)
