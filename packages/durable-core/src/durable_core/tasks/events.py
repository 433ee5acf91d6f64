"""Events from outside that durable functions wait for."""

from typing import Any, Final, Generic, TypeVar, overload

from ..codec.output import OutputCodec
from ..codec.serializer import Serializer
from ..codec.signature import InputCodec
from ..errors import InputError, TaskDefinitionError
from ..options import TaskOptions
from .kinds import SleepingTask

T = TypeVar("T")

EVENT_TASK: Final = "$event/"
"""Begins the task names of the sleepers that stand for waiting functions."""

_LONGEST_NAME: Final = 191 - len(EVENT_TASK)
_LONGEST_KEY: Final = 191


class Event(Generic[T]):
    """A kind of event, with the type of its payload.

    The same value is given to `WorkflowContext.wait_for` and to `DurableExecutor.send_event`, so
    that both sides are checked against one type.

    Args:
        name: 1 to 184 characters; what stored waiters are found by.
        payload: The type of the payload; by default anything that JSON can carry.

    Raises:
        TaskDefinitionError: The name cannot be stored.
    """

    __slots__ = ("_made", "name", "payload")

    @overload
    def __init__(self: "Event[Any]", name: str) -> None: ...
    @overload
    def __init__(self, name: str, payload: type[T]) -> None: ...
    def __init__(self, name: str, payload: Any = Any) -> None:
        if not 1 <= len(name) <= _LONGEST_NAME or "\0" in name:
            msg = (
                f"an event's name must have 1 to {_LONGEST_NAME} characters and no NUL: "
                f"{name[:60]!r}"
            )
            raise TaskDefinitionError(msg)
        self.name = name
        self.payload: Any = payload
        self._made: tuple[Serializer, SleepingTask[T]] | None = None

    def sleeper(self, serializer: Serializer) -> SleepingTask[T]:
        """Return the sleeping task that stands for those who wait.

        Args:
            serializer: Makes the bytes of payloads.

        Raises:
            TaskDefinitionError: The payload's type cannot be serialised.
        """
        if self._made is None or self._made[0] is not serializer:
            name = f"{EVENT_TASK}{self.name}"
            task: SleepingTask[T] = SleepingTask(
                name,
                options=TaskOptions.build(),
                input_codec=InputCodec.of(_by_key, serializer, task=name),
                output_codec=OutputCodec.of(self.payload, serializer, name),
            )
            self._made = (serializer, task)
        return self._made[1]

    def __repr__(self) -> str:
        """Return the kind and the name."""
        return f"<Event {self.name!r}>"


def event_of(event: Event[T] | str) -> Event[Any]:
    """Return the event that a caller names, or gives."""
    return event if isinstance(event, Event) else Event(event)


def check_event_key(key: str) -> None:
    """Refuse a key that no waiter can have.

    Raises:
        InputError: It is empty, too long, or contains NUL.
    """
    if not 1 <= len(key) <= _LONGEST_KEY or "\0" in key:
        msg = f"an event's key must have 1 to {_LONGEST_KEY} characters and no NUL: {key[:60]!r}"
        raise InputError(msg)


def _by_key(key: str) -> None:
    """Give waiters their signature."""
