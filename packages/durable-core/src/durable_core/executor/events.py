"""Sending events to durable functions that wait for them."""

from abc import ABC, abstractmethod
from datetime import timedelta
from typing import Any, TypeVar, overload

from ..codec.serializer import Serializer
from ..durations import Duration, to_us
from ..engine.engine import Engine
from ..engine.ids import new_request
from ..storage import Phase, Query, Status, Wake, WakeOutcome
from ..tasks.events import Event, check_event_key, event_of
from .sleepers import wake_payload

T = TypeVar("T")

KEEP = timedelta(days=7)
"""How long an event is kept for somebody who does not wait for it yet."""


class Events(ABC):
    """Sends events; a base of `DurableExecutor`."""

    @property
    @abstractmethod
    def engine(self) -> Engine:
        """The engine at work, for tools and tests."""

    @property
    @abstractmethod
    def serializer(self) -> Serializer:
        """Makes the bytes of arguments and results."""

    @overload
    async def send_event(
        self, event: Event[T], /, *, key: str, payload: T, keep: Duration | None = KEEP
    ) -> WakeOutcome: ...
    @overload
    async def send_event(
        self, event: str, /, *, key: str, payload: Any = None, keep: Duration | None = KEEP
    ) -> WakeOutcome: ...
    async def send_event(
        self,
        event: Event[Any] | str,
        /,
        *,
        key: str,
        payload: Any = None,
        keep: Duration | None = KEEP,
    ) -> WakeOutcome:
        """Give an event to the durable function that waits for it, or keep it for the next one.

        The first one wins: what is sent for a key while another event is kept for it is dropped.
        Use a key once: what is sent again after its waiter went on is kept for the next waiter.

        Args:
            event: An event, or its name: then the payload is what JSON carries.
            key: Which one; see `WorkflowContext.wait_for`.
            payload: What the waiter gets.
            keep: How long to keep it if nobody waits yet: seconds or a timedelta; None does not
                keep it.

        Returns:
            WOKEN; KEPT; ALREADY_KEPT: another one is kept, this one was dropped; LATE: the waiter
            is just timing out; NOBODY: nobody waits and it was not to be kept.

        Raises:
            InputError: The key cannot be stored.
            OutputError: The payload does not fit the event's type.
            StorageError: The storage was away for longer than the executor's `patience`.
        """
        check_event_key(key)
        engine = self.engine
        await engine.fresh_time()
        keep_until = None if keep is None else engine.time.now() + to_us(keep, "keep")
        item = event_wake(event_of(event), key, payload, self.serializer, keep_until=keep_until)
        return (await engine.wake(item)).outcome

    @overload
    async def broadcast_event(self, event: Event[T], /, *, payload: T) -> int: ...
    @overload
    async def broadcast_event(self, event: str, /, *, payload: Any = None) -> int: ...
    async def broadcast_event(self, event: Event[Any] | str, /, *, payload: Any = None) -> int:
        """Give an event to all durable functions that wait for it now, whatever their keys.

        It is not kept: who begins to wait while this goes on may or may not get it. After an error
        some have got it; sending it again reaches the others, and those who wait anew.

        Args:
            event: An event, or its name.
            payload: What each waiter gets.

        Returns:
            How many got it.

        Raises:
            OutputError: The payload does not fit the event's type.
            StorageError: The storage was away for longer than the executor's `patience`.
        """
        engine = self.engine
        await engine.fresh_time()
        known = event_of(event)
        task = known.sleeper(self.serializer)
        encoded = wake_payload(task, payload)
        query = Query(tasks=frozenset({task.name}), statuses=frozenset({Status.SLEEPING}))
        heads = await engine.writer.heads(query)
        answers = [
            engine.wake(Wake(task=task.name, id=head.id, payload=encoded, request=new_request()))
            for head in heads
        ]
        return sum([(await answer).outcome is WakeOutcome.WOKEN for answer in answers])


def event_wake(
    event: Event[Any],
    key: str,
    payload: Any,
    serializer: Serializer,
    *,
    request: str | None = None,
    keep_until: int | None = None,
) -> Wake:
    """Return the wake-up that gives an event to its waiter.

    Raises:
        OutputError: The payload does not fit the event's type.
    """
    task = event.sleeper(serializer)
    return Wake(
        task=task.name,
        wake_key=key,
        phase=Phase.COMPLETED,
        payload=wake_payload(task, payload),
        request=request or new_request(),
        keep_until=keep_until,
    )
