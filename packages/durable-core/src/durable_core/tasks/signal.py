"""A flag for coroutines and threads alike."""

import asyncio
import threading
from collections.abc import Callable
from typing import ClassVar


class Signal:
    """A flag that is raised once; coroutines and threads may ask it or wait for it.

    Light until somebody waits: one is made for every running execution.
    """

    __slots__ = ("_callbacks", "_set")

    _lock: ClassVar = threading.Lock()

    def __init__(self) -> None:
        self._set = False
        self._callbacks: list[Callable[[], None]] | None = None

    def is_set(self) -> bool:
        """Whether the flag was raised."""
        return self._set

    def set(self) -> None:
        """Raise the flag and wake everybody who waits for it; may be called from any thread."""
        with self._lock:
            self._set = True
            callbacks, self._callbacks = self._callbacks, None
        for callback in callbacks or ():
            callback()

    def wait_blocking(self, timeout: float | None = None) -> bool:
        """Block a thread until the flag is raised.

        Args:
            timeout: Seconds; None waits for ever.

        Returns:
            Whether the flag was raised.
        """
        event = threading.Event()
        if not self._call_back(event.set):
            return True
        try:
            return event.wait(timeout)
        finally:
            self._forget(event.set)

    async def wait(self) -> None:
        """Wait in a coroutine until the flag is raised."""
        loop = asyncio.get_running_loop()
        raised = asyncio.Event()

        def wake() -> None:
            loop.call_soon_threadsafe(raised.set)

        if not self._call_back(wake):
            return
        try:
            await raised.wait()
        finally:
            self._forget(wake)

    def _call_back(self, callback: Callable[[], None]) -> bool:
        """Register a callback, unless the flag is up already."""
        with self._lock:
            if self._set:
                return False
            if self._callbacks is None:
                self._callbacks = []
            self._callbacks.append(callback)
            return True

    def _forget(self, callback: Callable[[], None]) -> None:
        with self._lock:
            if self._callbacks is not None and callback in self._callbacks:
                self._callbacks.remove(callback)
