"""The known tasks."""

from collections.abc import Callable, Iterator, KeysView
from typing import Any

from ..codec.output import OutputCodec
from ..codec.serializer import JsonSerializer, Serializer
from ..errors import DurableError, TaskDefinitionError
from .definitions import Definitions
from .task import Task


class Tasks(Definitions):
    """Tasks that do not belong to an executor yet: define them in modules, run them anywhere.

    Args:
        serializer: Makes the bytes of arguments and results; JSON by default.
    """

    def __init__(self, *, serializer: Serializer | None = None) -> None:
        self._serializer = serializer or JsonSerializer()
        self._tasks: dict[str, Task[..., Any]] = {}
        self._followers: list[Callable[[Task[..., Any]], None]] = []

    @property
    def serializer(self) -> Serializer:
        """Makes the bytes of arguments and results."""
        return self._serializer

    def register(self, task: Task[..., Any]) -> None:
        """See `Definitions.register`."""
        there = self._tasks.get(task.name)
        if there is not None and there is not task:
            msg = (
                f"there is a task {task.name!r} already ({there!r}): give one of them another "
                "name with name=..."
            )
            raise TaskDefinitionError(msg)
        self._tasks[task.name] = task
        for follow in self._followers:
            follow(task)

    def include(self, other: "Tasks") -> None:
        """Make all tasks of another registry known here, too, those defined later included.

        Raises:
            TaskDefinitionError: A name is taken by another task.
        """
        for task in other:
            self.register(task)
        other._followers.append(self.register)  # noqa: SLF001 - another of this very class

    def find(self, name: str) -> Task[..., Any] | None:
        """Return the task of this name, or None."""
        return self._tasks.get(name)

    def names(self) -> KeysView[str]:
        """Return the names of all tasks."""
        return self._tasks.keys()

    def decode_output(self, name: str, data: bytes) -> Any:
        """Return a stored output; of an unknown task as plain values, if it can be read so."""
        task = self._tasks.get(name)
        if task is not None:
            return task.output_codec.decode(data)
        try:
            return OutputCodec.of(Any, self._serializer, name).decode(data)
        except DurableError:
            return data

    def __iter__(self) -> Iterator[Task[..., Any]]:
        """Yield the tasks in order of definition."""
        yield from tuple(self._tasks.values())

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._tasks)
