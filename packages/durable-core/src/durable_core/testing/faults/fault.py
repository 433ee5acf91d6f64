"""What can happen to one call of a storage."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from ...storage import OutcomeUnknownError, TemporaryError


class KilledError(BaseException):
    """The process has died, as far as the storage can tell; no `except Exception` survives it."""


class Gate:
    """Holds calls up until it is opened, so that a test decides what happens meanwhile.

    Attributes:
        reached: Set when the first call stands before the gate.
    """

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self._opened = asyncio.Event()

    def open(self) -> None:
        """Let all calls through, those to come as well."""
        self._opened.set()

    async def passed(self) -> None:
        """Wait until the gate is open."""
        self.reached.set()
        await self._opened.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to one call beside the call itself, in the order of the attributes.

    Attributes:
        delay_before: Seconds until the request arrives at the storage.
        gate_before: Where the request waits (not for the blocking heartbeat).
        error_before: Makes what is raised instead of calling the storage.
        deliveries: How often the storage carries the request out; the answer is the last one's.
        delay_after: Seconds until the answer arrives.
        gate_after: Where the answer waits (not for the blocking heartbeat).
        error_after: Makes what is raised instead of answering.
        stops: Whether all calls to come raise the same, as those of a dead process do.
    """

    delay_before: float = 0.0
    gate_before: Gate | None = None
    error_before: Callable[[], BaseException] | None = None
    deliveries: int = 1
    delay_after: float = 0.0
    gate_after: Gate | None = None
    error_after: Callable[[], BaseException] | None = None
    stops: bool = False

    @classmethod
    def failure(cls, error: Callable[[], BaseException] | None = None) -> "Fault":
        """Raise before anything is written: a `TemporaryError` unless another one is given."""
        return cls(error_before=error or temporary)

    @classmethod
    def lost_request(cls) -> "Fault":
        """Raise `OutcomeUnknownError`; the storage was never asked."""
        return cls(error_before=unknown)

    @classmethod
    def lost_answer(cls) -> "Fault":
        """Raise `OutcomeUnknownError`; the storage has carried the call out."""
        return cls(error_after=unknown)

    @classmethod
    def delay(cls, *, before: float = 0.0, after: float = 0.0) -> "Fault":
        """Let the request or the answer travel for so many seconds."""
        return cls(delay_before=before, delay_after=after)

    @classmethod
    def twice(cls) -> "Fault":
        """Deliver the request twice."""
        return cls(deliveries=2)

    @classmethod
    def gate(cls, *, before: Gate | None = None, after: Gate | None = None) -> "Fault":
        """Hold the request or the answer up at a gate."""
        return cls(gate_before=before, gate_after=after)

    @classmethod
    def stop(
        cls, error: Callable[[], BaseException] = KilledError, *, landed: bool = False
    ) -> "Fault":
        """Let the process die with this call.

        Args:
            error: Makes what this call raises, and all calls to come.
            landed: Whether the storage has carried this call out.
        """
        if landed:
            return cls(error_after=error, stops=True)
        return cls(error_before=error, stops=True)


def temporary() -> BaseException:
    """Make the error of a call that never arrived."""
    return TemporaryError("injected: nothing of this call was written")


def unknown() -> BaseException:
    """Make the error of a call whose answer was lost."""
    return OutcomeUnknownError("injected: the answer to this call was lost")
