"""Group commit: concurrent writes of one kind share calls to the storage.

What arrives while a call is in flight goes with the next one, so a lonely write waits for nobody
and a crowd shares one commit (natural batching).
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from ..storage import ClosedError, OutcomeUnknownError, StorageError, TemporaryError
from .clock import Clock, sleep

ItemT = TypeVar("ItemT")
AnswerT = TypeVar("AnswerT")
ItemT_contra = TypeVar("ItemT_contra", contravariant=True)
AnswerT_contra = TypeVar("AnswerT_contra", contravariant=True)

_LOG = logging.getLogger("durable.storage")
_UNCLASSIFIED_TRIES = 5


class Sender(Protocol[ItemT_contra, AnswerT_contra]):
    """Who sends items and takes over what becomes of them, whoever else may wait."""

    def abandoned(self, error: Exception, /) -> Exception | None:
        """Return what ends the attempts instead of a repetition; None goes on.

        Args:
            error: What the last attempt has met with.
        """
        ...

    def answered(self, item: ItemT_contra, outcome: AnswerT_contra | Exception, /) -> None:
        """Take over the answer, or the error that ended the attempts."""
        ...


@dataclass(slots=True)
class Entry(Generic[ItemT, AnswerT]):
    """One write on its way.

    Attributes:
        item: What to write; re-sent unchanged until it is answered.
        future: Resolved with the answer, unless the waiting side was cancelled; None: nobody waits.
        sender: Told of the answer or error, also when nobody waits any more; asked before a
            repetition.
        ends: Monotonic seconds after which it is not repeated any more.
    """

    item: ItemT
    future: "asyncio.Future[AnswerT] | None"
    sender: Sender[ItemT, AnswerT] | None
    ends: float

    def answer(self, answer: AnswerT) -> None:
        """Hand the answer over."""
        if self.sender is not None:
            self._tell(self.sender, answer)
        if self.future is not None and not self.future.done():
            self.future.set_result(answer)

    def fail(self, error: Exception) -> None:
        """Hand the error over."""
        if self.sender is not None:
            self._tell(self.sender, error)
        if self.future is not None and not self.future.done():
            self.future.set_exception(error)

    def _tell(self, sender: Sender[ItemT, AnswerT], outcome: AnswerT | Exception) -> None:
        try:
            sender.answered(self.item, outcome)
        except Exception:  # noqa: BLE001 - it must not stop the writes of others
            _LOG.exception("taking over the answer to %r failed", self.item)


class Channel(Generic[ItemT, AnswerT]):
    """Sends items in batches, one batch at a time, until each is answered.

    Temporary errors and unknown outcomes are repeated with backoff: every item is safe to send
    again unchanged. After any other error the batch is halved, so that a bad item fails alone.

    Args:
        name: For the log.
        send: Writes a batch; answers in order.
        cut: Returns how many items from the front may go together.
        clock: For the backoff.
        jitter: Returns a number in [0, 1).
    """

    def __init__(
        self,
        name: str,
        *,
        send: Callable[[Sequence[ItemT]], Awaitable[Sequence[AnswerT]]],
        cut: Callable[[Sequence[ItemT]], int],
        clock: Clock,
        jitter: Callable[[], float],
    ) -> None:
        self._name = name
        self._send = send
        self._cut = cut
        self._clock = clock
        self._jitter = jitter
        self._queue: deque[Entry[ItemT, AnswerT]] = deque()
        self._task: asyncio.Task[None] | None = None
        self.in_flight = 0

    def submit(
        self,
        item: ItemT,
        sender: Sender[ItemT, AnswerT] | None = None,
        ends: float = math.inf,
    ) -> "asyncio.Future[AnswerT]":
        """Queue an item, and wait for its answer.

        Args:
            item: What to write.
            sender: Told of the answer or error even if the caller was cancelled meanwhile.
            ends: Monotonic seconds; an error that comes later is not followed by a repetition.

        Returns:
            A future. Cancelling it does not undo the write.
        """
        future: asyncio.Future[AnswerT] = asyncio.get_running_loop().create_future()
        self._put(Entry(item, future, sender, ends))
        return future

    def post(self, item: ItemT, sender: Sender[ItemT, AnswerT]) -> None:
        """Queue an item for whose answer nobody waits: only its sender is told."""
        self._put(Entry(item, None, sender, math.inf))

    def _put(self, entry: Entry[ItemT, AnswerT]) -> None:
        self._queue.append(entry)
        if self._task is None:
            self._task = asyncio.create_task(self._drain(), name=f"durable {self._name}")

    @property
    def idle(self) -> bool:
        """Whether nothing is queued or in flight."""
        return self._task is None

    async def flushed(self) -> None:
        """Wait until everything submitted so far has been answered."""
        while self._task is not None:
            await asyncio.wait((self._task,))

    async def _drain(self) -> None:
        try:
            while self._queue:
                await self._write(self._next_batch())
        finally:
            self._task = None

    def _next_batch(self) -> list[Entry[ItemT, AnswerT]]:
        queue = self._queue
        if len(queue) == 1:
            return [queue.popleft()]
        size = max(1, self._cut([entry.item for entry in queue]))
        if size >= len(queue):
            batch = list(queue)
            queue.clear()
            return batch
        return [queue.popleft() for _ in range(size)]

    async def _write(self, batch: list[Entry[ItemT, AnswerT]]) -> None:
        failures = 0
        while batch:
            self.in_flight = len(batch)
            try:
                answers = await self._send([entry.item for entry in batch])
                self._check(len(batch), len(answers))
            except Exception as error:  # noqa: BLE001 - handed to those who wait
                failures += 1
                if _again(error, len(batch), failures):
                    batch = await self._rest(batch, error, failures)
                elif len(batch) == 1 or isinstance(error, ClosedError):
                    for entry in batch:
                        entry.fail(error)
                    return
                else:
                    middle = len(batch) // 2
                    await self._write(batch[:middle])
                    batch, failures = batch[middle:], 0
            else:
                for entry, answer in zip(batch, answers, strict=True):
                    entry.answer(answer)
                return
            finally:
                self.in_flight = 0

    def _check(self, items: int, answers: int) -> None:
        if answers != items:
            msg = f"{self._name}: the storage gave {answers} answers to {items} items"
            raise RuntimeError(msg)

    async def _rest(
        self, batch: list[Entry[ItemT, AnswerT]], error: Exception, failures: int
    ) -> list[Entry[ItemT, AnswerT]]:
        """Pause before the same items are sent again; return those that are still wanted."""
        batch = self._still_wanted(batch, error)
        if batch:
            what = type(error).__name__
            _LOG.warning("%s of %d items: %s: %s; sent again", self._name, len(batch), what, error)
            await sleep(self._clock, self._pause(failures - 1))
        return batch

    def _still_wanted(
        self, batch: list[Entry[ItemT, AnswerT]], error: Exception
    ) -> list[Entry[ItemT, AnswerT]]:
        wanted: list[Entry[ItemT, AnswerT]] = []
        late = self._clock.monotonic()
        for entry in batch:
            end = error if late >= entry.ends else None
            if end is None and entry.sender is not None:
                end = entry.sender.abandoned(error)
            if end is None:
                wanted.append(entry)
            else:
                entry.fail(end)
        return wanted

    def _pause(self, failures: int) -> float:
        """Return seconds: 25 ms doubled each time up to 2 s, spread by half."""
        return min(2.0, 0.025 * 2.0 ** min(failures, 10)) * (0.5 + self._jitter() / 2)


def _again(error: Exception, items: int, failures: int) -> bool:
    """Whether the same items are sent again.

    What a storage has not classified counts as an unknown outcome (ERROR-3), but not for ever:
    an item that upsets the storage must not hold up the others.
    """
    if isinstance(error, TemporaryError | OutcomeUnknownError):
        return True
    return not isinstance(error, StorageError) and items == 1 and failures < _UNCLASSIFIED_TRIES
