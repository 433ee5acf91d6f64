"""What defines kinds of plans; a base of `Definitions`."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Unpack

from ..codec.serializer import Serializer
from ..options import TaskOptions
from .compositions import LifeOptions
from .define import check_name
from .plan import PlanTask
from .task import Task


class Plans(ABC):
    """Defines kinds of plans; a base of `Definitions`."""

    @property
    @abstractmethod
    def serializer(self) -> Serializer:
        """Makes the bytes of arguments and results."""

    @abstractmethod
    def register(self, task: Task[..., Any]) -> None:
        """Make a task known.

        Raises:
            TaskDefinitionError: Another task has this name.
        """

    def plan(
        self,
        name: str,
        /,
        *tasks: Task[..., Any],
        prepare: Mapping[Task[..., Any], Callable[..., Any]] | None = None,
        **options: Unpack[LifeOptions],
    ) -> PlanTask:
        """Define a kind of plan: what its steps may be made of.

        A plan itself is a list of `PlanStep`, made at run time and stored up front with
        `DurableExecutor.add_plan`. Its steps are run one after the other, each with the retries
        and the timeout of its task; results are recorded once. A step whose failure is an
        `ExpectedError` is aborted; any other failure, when its retries are used up, fails the
        plan: `RetryPolicy.endless` never gives up.

        Args:
            name: The kind's name.
            *tasks: Tasks of which steps may be made.
            prepare: A function for each of some tasks, called before the task's first step of a
                plan in a process, and again in another process or after a restart. What it
                returns is not stored: `Context.plan` has it. Its failure is the step's.
            **options: deadline, delay, priority, queue, tags: see `task`.

        Raises:
            TaskDefinitionError: There are no tasks, or the name is taken.
            OptionError: An option is out of range.
        """
        made = PlanTask(
            check_name(name),
            tasks,
            prepare=prepare or {},
            options=TaskOptions.build(**options),
            serializer=self.serializer,
        )
        self.register(made)
        return made
