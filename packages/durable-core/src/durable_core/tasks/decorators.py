"""The types of the decorators that make tasks, for every shape of function."""

from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from .context import Context
from .kinds import ParentTask
from .results import FanOut, ParentResult
from .task import AsyncTask, SyncTask

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
O = TypeVar("O")  # noqa: E741 - the own output of a parent


class TaskDecorator(Protocol):
    """Makes a task of a function, with the options given before."""

    @overload
    def __call__(  # type: ignore[overload-overlap] # pyright: ignore[reportOverlappingOverload] # async is more special
        self, function: Callable[Concatenate[Context, P], Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap] # likewise
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Context, P], R], /) -> SyncTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> SyncTask[P, R]: ...
    def __call__(self, function: Callable[..., Any], /) -> Any:
        """Return the task."""
        ...


class ParentDecorator(Protocol):
    """Makes a parent without finalizer, with the options given before."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[Context, P], Coroutine[Any, Any, FanOut[O]]], /
    ) -> ParentTask[P, ParentResult[O]]: ...
    @overload
    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, FanOut[O]]], /
    ) -> ParentTask[P, ParentResult[O]]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[Context, P], FanOut[O]], /
    ) -> ParentTask[P, ParentResult[O]]: ...
    @overload
    def __call__(self, function: Callable[P, FanOut[O]], /) -> ParentTask[P, ParentResult[O]]: ...
    def __call__(self, function: Callable[..., Any], /) -> Any:
        """Return the parent task."""
        ...


class FinalizedDecorator(Protocol[R_co]):
    """Makes a parent with a finalizer, with the options given before."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[Context, P], Coroutine[Any, Any, FanOut[Any]]], /
    ) -> ParentTask[P, R_co]: ...
    @overload
    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, FanOut[Any]]], /
    ) -> ParentTask[P, R_co]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[Context, P], FanOut[Any]], /
    ) -> ParentTask[P, R_co]: ...
    @overload
    def __call__(self, function: Callable[P, FanOut[Any]], /) -> ParentTask[P, R_co]: ...
    def __call__(self, function: Callable[..., Any], /) -> Any:
        """Return the parent task."""
        ...
