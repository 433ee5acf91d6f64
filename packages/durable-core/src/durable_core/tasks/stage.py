"""What the engine offers to the durable function that it runs, behind its context."""

import asyncio
import random as random_module
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, NoReturn, Protocol, TypeAlias

from .context import Context
from .events import Event
from .step import StepOptions
from .task import Call, Task

Pending: TypeAlias = "asyncio.Future[Any]"


class Stage(Protocol):
    """The operations of `WorkflowContext`, as the engine carries them out."""

    @property
    def context(self) -> Context:
        """The execution."""
        ...

    @property
    def replaying(self) -> bool:
        """Whether the function is still being led through its record."""
        ...

    @property
    def recorded(self) -> int:
        """How many results are recorded."""
        ...

    @property
    def random(self) -> random_module.Random:
        """The same numbers in every run of this execution."""
        ...

    def now(self) -> int:
        """Return the time of the last result, µs."""
        ...

    def step(
        self,
        function: Callable[..., Any] | Task[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: StepOptions,
    ) -> Pending:
        """Run a function once."""
        ...

    def transaction(
        self,
        begin: Callable[[], AbstractAsyncContextManager[Any]],
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: StepOptions,
    ) -> Pending:
        """Run a function in the caller's transaction, with its record."""
        ...

    def call(self, call: Call[Any]) -> Pending:
        """Run a child execution."""
        ...

    def sleep(self, *, us: int | None, until: int | None) -> Pending:
        """Wait."""
        ...

    def wait_for(self, event: Event[Any], key: str, timeout_us: int | None) -> Pending:
        """Wait for an event."""
        ...

    def need_all(self, pending: Sequence["asyncio.Future[Any]"]) -> None:
        """Take note that nothing goes on before all of these have ended."""
        ...

    def version(self, change: str) -> bool:
        """Whether this execution goes the new way."""
        ...

    def continue_as_new(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> NoReturn:
        """Begin again with an empty record."""
        ...
